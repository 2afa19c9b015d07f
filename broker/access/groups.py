"""Groups that a proxy or a provider of sign-in keeps of its users, and the rights that they give. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from common.access import AccessRole
from common.config_access import GroupConfig

MAX_GROUPS = 1_000  # of one user


class Groups:
    """The groups of the configuration. Others give no right."""

    def __init__(self, groups: Mapping[str, GroupConfig]) -> None:
        self._groups = groups

    def known(self, names: Collection[str]) -> tuple[str, ...]:
        """The names of these that give a right."""
        return tuple(dict.fromkeys(name for name in list(names)[:MAX_GROUPS] if name in self._groups))

    def rights(self, names: Collection[str]) -> tuple[AccessRole, tuple[str, ...]]:
        """Role and cameras of somebody who is in these: an admin by any of them, else the cameras of all.

        One whose groups have no camera is a monitor by any of them.
        """
        known = [self._groups[name] for name in self.known(names)]
        if any(group.role is AccessRole.ADMIN for group in known):
            return AccessRole.ADMIN, ()
        cameras = tuple(dict.fromkeys(camera for group in known for camera in group.cameras))
        if not cameras and any(group.role is AccessRole.MONITOR for group in known):
            return AccessRole.MONITOR, ()
        return AccessRole.VIEWER, cameras

    @property
    def has_admin(self) -> bool:
        """Whether one of them gives the right to everything."""
        return any(group.role is AccessRole.ADMIN for group in self._groups.values())
