"""Reads the configuration again: when asked to (SIGHUP), and when a file that it is made of has changed.

* Files are looked at once a second, through symbolic links, as Kubernetes swaps them: device, inode, size, time.
* A file that changes is read when two looks have found it the same: somebody may be writing it. One that changes while
  it is being read is read again.
* A configuration with a mistake changes nothing. That is logged once, and whatever is written next is tried again.
* It is read in a thread of its own: ten thousand cameras take seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from common.config import Config
from common.errors import ConfigError
from common.live import Live, Taken, within
from common.log import get_logger
from common.moments import waited

LOOK_INTERVAL = 1.0  # seconds
TRIES = 5  # for a file that changes while it is read
TRY_INTERVAL = 0.2  # seconds between them
MAX_NAMED = 20  # keys in a line of the log

log = get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """A file as it was seen; all zero if there is none."""

    device: int = 0
    inode: int = 0
    size: int = 0
    mtime_ns: int = 0


def look_at(files: Sequence[Path]) -> tuple[Look, ...]:
    """Each file as it is now."""
    looks = []
    for file in files:
        try:
            found = file.stat()
        except (OSError, ValueError):
            looks.append(Look())
        else:
            looks.append(Look(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(looks)


class Settled:
    """Tells when files are to be read. ``read`` is how they were when they were read last."""

    def __init__(self, read: tuple[Look, ...]) -> None:
        self.read = read
        self._last = read

    def look(self, looks: tuple[Look, ...]) -> bool:
        """Whether what was found now is new, and has been the same at the last look."""
        same, self._last = looks == self._last, looks
        return same and looks != self.read


class Reloader:
    """``live`` is where owners of settings register, before ``running`` is entered.

    ``load`` makes a configuration of ``files``; it is called once at first, for ``config``, and may raise
    ``ConfigError`` then. ``sections`` are those that concern this process. One that is ``supervised`` is asked by its
    supervisor, which looks at the files and says what has changed, for all. ``on_taken`` is called after each success.
    ``kept`` gives a configuration to begin with where the files have a mistake, which then is ``problem``.
    """

    def __init__(
        self,
        load: Callable[[], Config],
        files: Sequence[Path],
        *,
        supervised: bool = False,
        sections: Collection[str] = tuple(Config.model_fields),
        on_taken: Callable[[Taken], None] | None = None,
        kept: Callable[[], Config | None] = lambda: None,
    ) -> None:
        self._load = load
        self._files = tuple(files)
        self._good = look_at(self._files)
        self._settled = Settled(self._good)
        self._supervised = supervised
        self._sections = sections
        self.problem: ConfigError | None = None
        self.config = self._first(kept)
        self.live = Live(self.config)
        self.on_taken = on_taken
        self._asked = asyncio.Event()

    def _first(self, kept: Callable[[], Config | None]) -> Config:
        try:
            return self._load()
        except ConfigError as exc:
            config = kept()
            if config is None:
                raise
            self.problem = exc
            return config

    def ask(self) -> None:
        """Have the configuration read again now. From the event loop's thread."""
        self._asked.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While open, read the configuration again whenever there is a reason to."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._run())
            try:
                yield
            finally:
                task.cancel()

    async def _run(self) -> None:
        while True:
            asked = await self._wait()
            looks = look_at(self._files)
            if self._settled.look(looks) or asked:
                await self._read(asked=asked)

    async def _wait(self) -> bool:
        """Until the next look; whether somebody has asked."""
        if self._supervised:
            await self._asked.wait()
        asked = await waited(LOOK_INTERVAL, self._asked)
        self._asked.clear()
        return asked

    async def _read(self, *, asked: bool) -> None:
        whole = await self._read_whole()
        if whole is None:
            log.warning("configuration keeps changing and is not applied", files=list(map(str, self._files)))
            return
        found, looks = whole
        self._settled.read = looks
        outcome = self._take(found, looks)
        if isinstance(outcome, ConfigError):
            log.error("configuration has a mistake; nothing was changed", mistake=str(outcome))
            return
        self._good = looks
        self._tell(outcome, asked=asked)
        if self.on_taken is not None:
            self.on_taken(outcome)

    async def _read_whole(self) -> tuple[Config | ConfigError, tuple[Look, ...]] | None:
        """The configuration or its mistake, and how the files were; ``None`` if they never stood still."""
        for _ in range(TRIES):
            looks = look_at(self._files)
            try:
                found: Config | ConfigError = await asyncio.to_thread(self._load)
            except ConfigError as exc:
                found = exc
            if look_at(self._files) == looks:
                return found, looks
            await asyncio.sleep(TRY_INTERVAL)
        return None

    def _take(self, found: Config | ConfigError, looks: tuple[Look, ...]) -> Taken | ConfigError:
        if isinstance(found, ConfigError):
            return found
        if missing := self._missing(looks):
            return missing
        try:
            return self.live.take(found)
        except ConfigError as exc:
            return exc

    def _missing(self, looks: tuple[Look, ...]) -> ConfigError | None:
        """A file that has gone, or become empty, is a mistake: somebody is about to write it."""
        for file, before, now in zip(self._files, self._good, looks, strict=True):
            if before.inode and not now.inode:
                return ConfigError("is gone", where=str(file))
            if now.inode and not now.size:
                return ConfigError("is empty; write {} if there is nothing to configure", where=str(file))
        return None

    def _tell(self, taken: Taken, *, asked: bool) -> None:
        changed, at_restart = (
            [key for key in keys if within(key, self._sections)] for keys in (taken.changed, taken.at_restart)
        )
        if self._supervised:
            log.debug("configuration read again", changed=_named(changed))
            return
        if changed:
            log.info("configuration read again", changed=_named(changed))
        elif asked and not at_restart:
            log.info("configuration read again; nothing has changed")
        if at_restart:
            log.warning("some changed settings need a restart", settings=_named(at_restart))


def _named(keys: Sequence[str]) -> str:
    more = len(keys) - MAX_NAMED
    return ", ".join(keys[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
