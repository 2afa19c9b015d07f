"""Rights that groups of a proxy or a provider of sign-in give."""

from __future__ import annotations

import pytest

from broker.access.groups import Groups
from common.access import AccessRole
from common.config_access import GroupConfig

GROUPS = Groups(
    {
        "ops": GroupConfig(role=AccessRole.ADMIN),
        "graphs": GroupConfig(role=AccessRole.MONITOR),
        "shop": GroupConfig(cameras=("shop-*", "yard")),
        "yard": GroupConfig(cameras=("yard",)),
    }
)


@pytest.mark.parametrize(
    ("names", "role", "cameras"),
    [
        ([], AccessRole.VIEWER, ()),
        (["strangers"], AccessRole.VIEWER, ()),
        (["yard", "shop"], AccessRole.VIEWER, ("yard", "shop-*")),
        (["graphs"], AccessRole.MONITOR, ()),
        (["graphs", "yard"], AccessRole.VIEWER, ("yard",)),
        (["yard", "graphs", "ops"], AccessRole.ADMIN, ()),
    ],
)
def test_the_mightiest_group_counts(names: list[str], role: AccessRole, cameras: tuple[str, ...]) -> None:
    assert GROUPS.rights(names) == (role, cameras)


def test_a_monitor_with_cameras_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="watches none"):
        GroupConfig(role=AccessRole.MONITOR, cameras=("yard",))
