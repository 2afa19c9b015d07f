"""Settings that take effect while a process runs, and who takes them; no I/O.

* Whoever can take a new value says so once: ``on``, with the keys and what is to be called. A key is ``http.hosts``, or
  ``limits`` for all below it.
* A configuration is taken as a whole or not at all: owners that may find a mistake in it are asked first.
* What is not ``LIVE`` (``common.settings``) keeps the value that it had at the start, and is named while it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from common.config import Config
from common.settings import LIVE


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome of a configuration that was read again, by dotted keys; a camera is ``cameras.NAME``."""

    changed: tuple[str, ...]  # what takes effect now
    at_restart: tuple[str, ...]  # what would, had the process been started anew


@dataclass(frozen=True, slots=True)
class _Owner:
    keys: tuple[str, ...]
    take: Callable[[Config], None]
    check: Callable[[Config], None] | None
    always: bool


class Live:
    """``running`` is the configuration that the process goes by: what it began with, and what it has taken since."""

    def __init__(self, running: Config) -> None:
        self.running = running
        self._owners: list[_Owner] = []

    def on(
        self,
        *keys: str,
        take: Callable[[Config], None],
        check: Callable[[Config], None] | None = None,
        always: bool = False,
    ) -> None:
        """Have ``take`` called with each configuration in which something below ``keys`` has changed.

        ``check`` is called before anything is taken, and may raise ``ConfigError``: then nothing is. ``always`` is for
        an owner that keeps more than values, such as the lines of the file where they stand.
        """
        unknown = [key for key in keys if not any(within(key, (live,)) for live in LIVE)]
        if unknown:
            raise ValueError(f"not in LIVE of common.settings: {', '.join(unknown)}")
        self._owners.append(_Owner(keys, take, check, always))

    def take(self, new: Config) -> Taken:
        """Take over what can be. Raises the ``ConfigError`` of an owner that finds a mistake; then nothing is taken."""
        differing = changes(self.running, new)
        changed = tuple(key for key in differing if within(key, LIVE))
        running = _merged(self.running, new)
        owners = [owner for owner in self._owners if owner.always or any(within(key, owner.keys) for key in changed)]
        for owner in owners:
            if owner.check is not None:
                owner.check(running)
        self.running = running
        for owner in owners:
            owner.take(running)
        return Taken(changed, tuple(key for key in differing if key not in changed))


def within(key: str, keys: Collection[str]) -> bool:
    """Whether ``key`` is one of ``keys``, or stands below one."""
    return any(key == each or key.startswith(f"{each}.") for each in keys)


def changes(old: Config, new: Config) -> tuple[str, ...]:
    """The keys whose values differ."""
    return tuple(key for section in Config.model_fields for key in _differing(section, old, new))


def _differing(section: str, old: Config, new: Config) -> Iterator[str]:
    before, after = (_values(getattr(config, section)) for config in (old, new))
    for key in {**before, **after}:
        if (key in before) != (key in after) or before.get(key) != after.get(key):
            yield f"{section}.{key}"


def _values(section: Any) -> dict[str, Any]:
    """A section's values by key; the cameras by name."""
    if isinstance(section, BaseModel):
        return {key: getattr(section, key) for key in type(section).model_fields}
    return dict(section)


def _merged(old: Config, new: Config) -> Config:
    """``new``, with the values of ``old`` where they cannot be taken."""
    kept = {}
    for section in Config.model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if isinstance(after, BaseModel):
            keep = {key: value for key, value in _values(before).items() if not within(f"{section}.{key}", LIVE)}
            kept[section] = after.model_copy(update=keep)
        elif not within(section, LIVE):
            kept[section] = before
    return new.model_copy(update=kept)
