"""The cameras there are: those of the configuration, which only its file changes, and those added at run time.

Each stream of a camera is remembered, and seen to by the director, under a name of its own.

Every camera has a revision (see ``broker.memories``); what only the director needs to know has no part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from broker.camera_documents import described, patched
from broker.memories import Memories
from broker.store import Memory, Store
from common.cameras import CameraName, CameraSpec
from common.config import Config, Origin
from common.config_cameras import CameraConfig
from common.control import NodeName
from common.errors import RequestError
from common.log import get_logger
from common.media import Track

log = get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One camera. ``origin`` is where the configuration has it, ``None`` if it was added at run time."""

    id: CameraName
    specs: Mapping[CameraName, CameraSpec]  # of its streams by their names, the main one first
    config: CameraConfig
    origin: Origin | None


class Catalogue:
    """See the module's text. Methods that change it raise ``RequestError`` with the status to answer."""

    def __init__(self, config: Config, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._memories = Memories(store, clock)
        self._most = config.limits.cameras
        self._networks = config.sources.networks
        self._allowed = config.sources.allow
        self._entries: dict[CameraName, Entry] = {}
        self._hidden: dict[CameraName, CameraConfig] = store.cameras()  # of the store, behind one of the configuration
        self._listeners: list[Callable[[], None]] = []
        self._keep(*self._compose(config))

    def take(self, config: Config) -> None:
        """Take over the cameras of a configuration that was read again. Those that are as before are left alone.

        A disk that fails is logged and is no reason not to: only memories are lost by it.
        """
        before = self._entries
        changed = self._compose(config)
        with suppress(RequestError):
            self._keep(*changed)
        if list(before.items()) != list(self._entries.items()):  # also for names, order, and lines that people are told
            self._announce()

    def limit(self, most: int) -> None:
        """Let the API add cameras up to so many in all; 0 is no limit."""
        self._most = most

    @property
    def names(self) -> Iterable[CameraName]:
        """All cameras."""
        return self._entries.keys()

    @property
    def specs(self) -> Mapping[CameraName, CameraSpec]:
        """The streams that the director is to see to."""
        return {name: spec for entry in self._entries.values() for name, spec in entry.specs.items()}

    @property
    def tracks(self) -> Mapping[CameraName, tuple[Track, ...]]:
        """The last that was seen of each stream as it is configured now."""
        return self._memories.tracks(self.specs)

    @property
    def last_workers(self) -> Mapping[CameraName, NodeName]:
        """Which worker had each stream when this was last known."""
        return self._memories.workers(self.specs)

    @property
    def store_problem(self) -> str:
        """Why nothing can be written to the store; empty if it can."""
        return self._memories.problem

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` from now on whenever a camera was added, changed or removed."""
        self._listeners.append(listener)

    def check_store(self) -> None:
        """Have a store that was lost written again now, and not only with the next change; to be called each second.

        While there is a problem, and where the disk is nearly full, a write is tried.
        """
        self._memories.check()

    def get(self, id: CameraName) -> Entry | None:
        """One camera."""
        return self._entries.get(id)

    def remember(self, name: CameraName, **changes: Any) -> None:
        """Keep ``tracks`` or ``worker`` of a stream across restarts. If the disk fails, that is logged and no more."""
        self._memories.remember(name, **changes)

    def add(self, document: Mapping[str, Any]) -> CameraName:
        """Add a camera as the API describes it: a ``CameraConfig`` and its ``id``. Returns the id.

        Raises ``RequestError`` for what is wrong with it.
        """
        id, config = described(document, self._allowed)
        if id in self._entries:
            raise RequestError(
                409, "camera_exists", f"There is already a camera {id!r}; change or remove it, or choose another name."
            )
        if 0 < self._most <= len(self._entries):
            message = f"There are as many cameras as limits.cameras allows ({self._most}); remove one."
            raise RequestError(503, "limit_cameras", message)
        self._put(id, config)
        return id

    def change(self, id: CameraName, patch: Mapping[str, Any]) -> None:
        """Lay a JSON merge patch (RFC 7396) over a camera's configuration. A hidden password is the one it has.

        Raises ``RequestError`` for what is wrong with it.
        """
        self._put(id, patched(id, self._changeable(id).config, patch, self._allowed))

    def remove(self, id: CameraName) -> None:
        """Remove a camera that was added at run time."""
        entry = self._changeable(id)
        with self._memories.writing(entry.specs, {}) as store:
            store.remove_camera(id)
        del self._entries[id]
        self._memories.become({}, self.specs)
        self._announce()

    def _announce(self) -> None:
        for listener in self._listeners:
            listener()

    def _changeable(self, id: CameraName) -> Entry:
        entry = self._entries.get(id)
        if entry is None:
            raise RequestError(404, "unknown_camera", f"There is no camera {id!r}.")
        if entry.origin is not None:
            restart = "" if entry.origin.watched else " and restart"
            message = f"Camera {id!r} comes from {entry.origin.where}; change it there{restart}."
            if entry.origin.simulated:
                message = (
                    f"Camera {id!r} is simulated. Add a camera of your own and start `camshaft serve` again: "
                    "then it is gone. `camshaft demo` always simulates one."
                )
            raise RequestError(409, "camera_is_configured", message)
        return entry

    def _put(self, id: CameraName, config: CameraConfig) -> None:
        before = self._entries.get(id)
        memories = self._remembered(id, config, None)
        gone = before.specs.keys() - memories.keys() if before is not None else ()
        with self._memories.writing(gone, memories) as store:
            store.put_camera(id, config)
        self._entries[id] = self._entry(id, config, None, memories)
        self._memories.become(memories, self.specs)
        self._announce()

    def _compose(self, config: Config) -> tuple[Iterable[CameraName], Mapping[CameraName, Memory]]:
        """The cameras of the configuration, and then those of the store that none of these hides.

        Returns the streams that are to be forgotten, and what is to be remembered.
        """
        before = self._entries
        self._allowed = config.sources.allow
        elsewhere, self._networks = self._networks != config.sources.networks, config.sources.networks
        stored = self._hidden | {id: entry.config for id, entry in before.items() if entry.origin is None}
        wanted: list[tuple[CameraName, CameraConfig, Origin | None]]
        wanted = [(id, camera, config.origin_of(id)) for id, camera in config.cameras.items()]
        wanted += [(id, camera, None) for id, camera in sorted(stored.items()) if id not in config.cameras]
        memories: dict[CameraName, Memory] = {}
        entries = {}
        for id, camera, origin in wanted:
            known = before.get(id) if not elsewhere else None
            if known is None or known.config != camera or _simulated(known.origin) != _simulated(origin):
                memories |= (renewed := self._remembered(id, camera, origin))
                known = self._entry(id, camera, origin, renewed)
            entries[id] = replace(known, origin=origin)
        self._hidden = {id: camera for id, camera in stored.items() if id in config.cameras}
        self._entries = entries
        for id in sorted(self._hidden):
            if id not in before or before[id].origin is None:
                where = config.origin_of(id).where
                log.warning(
                    "a camera of the configuration hides one of the same name in the store", camera=id, place=where
                )
        return self._memories.become(memories, self.specs)

    def _keep(self, gone: Iterable[CameraName], new: Mapping[CameraName, Memory]) -> None:
        with self._memories.writing(gone, new):
            pass

    def _entry(
        self, id: CameraName, config: CameraConfig, origin: Origin | None, memories: Mapping[CameraName, Memory]
    ) -> Entry:
        specs = self._specs(id, config, origin).items()
        revised = {name: replace(spec, revision=memories[name].revision) for name, spec in specs}
        return Entry(id, revised, config, origin)

    def _specs(self, id: CameraName, config: CameraConfig, origin: Origin | None) -> dict[CameraName, CameraSpec]:
        """The camera's streams, and where they may be; the simulated one is here, whatever others are allowed."""
        networks = () if _simulated(origin) else self._networks
        return {name: replace(spec, networks=networks) for name, spec in config.specs(id).items()}

    def _remembered(self, id: CameraName, config: CameraConfig, origin: Origin | None) -> dict[CameraName, Memory]:
        """Each stream of a camera as it is remembered: as before, unless its configuration is another."""
        before = self._entries.get(id)
        return self._memories.of(self._specs(id, config, origin), before.specs if before is not None else {})


def _simulated(origin: Origin | None) -> bool:
    return origin is not None and origin.simulated
