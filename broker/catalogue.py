"""The cameras there are: those of the configuration, which only its file changes, and those added at run time.

Each stream of a camera is remembered, and seen to by the director, under a name of its own.

Every camera has a revision that grows whenever its configuration differs from what it was, also while we did not run:
that is how an ingest worker that outlived a broker is told of a change. Revisions are Unix milliseconds, so that they
grow even if the store was lost. What a worker does not need to know (when a camera is pulled) has no part in them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from broker.store import Memory, Store
from common.cameras import CAMERA_ID, CameraName, CameraSpec, redact
from common.config import CameraConfig, Config, Origin
from common.config_file import parse_camera
from common.control import NodeName
from common.errors import ConfigError, RequestError
from common.log import Quiet, get_logger
from common.media import Track

_HIDDEN = "***"
_HOST_END = re.compile("[/?#]")

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
        self.store_problem = ""  # why nothing can be written to the store; empty if it can
        self._store = store
        self._clock = clock
        self._most = config.limits.cameras
        self._networks = config.sources.networks
        self._allowed = config.sources.allow
        self._quiet = Quiet(log)
        self._memories = store.memories()
        self._newest = max((memory.revision for memory in self._memories.values()), default=0)
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
        return {name: self._memories[name].tracks for name in self.specs}

    @property
    def last_workers(self) -> Mapping[CameraName, NodeName]:
        """Which worker had each stream when this was last known."""
        workers = {name: self._memories[name].worker for name in self.specs}
        return {name: worker for name, worker in workers.items() if worker is not None}

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` from now on whenever a camera was added, changed or removed."""
        self._listeners.append(listener)

    def check_store(self) -> None:
        """Have a store that was lost written again now, and not only with the next change; to be called each second.

        While there is a problem, and where the disk is nearly full, a write is tried.
        """
        self._quiet.sweep()
        try:
            self._store.check()
            if self.store_problem or self._store.nearly_full:
                self._store.prove()
            self.store_problem = ""
        except sqlite3.Error as exc:
            self._cannot_write(exc)

    def get(self, id: CameraName) -> Entry | None:
        """One camera."""
        return self._entries.get(id)

    def remember(self, name: CameraName, **changes: Any) -> None:
        """Keep ``tracks`` or ``worker`` of a stream across restarts. If the disk fails, that is logged and no more."""
        if name in self._memories:
            self._memories[name] = replace(self._memories[name], **changes)
            try:
                self._store.remember(name, self._memories[name])
            except sqlite3.Error as exc:
                self._cannot_write(exc)

    def add(self, document: Mapping[str, Any]) -> CameraName:
        """Add a camera as the API describes it: a ``CameraConfig`` and its ``id``. Returns the id.

        Raises ``RequestError`` for what is wrong with it.
        """
        fields = dict(document)
        id = fields.pop("id", None)
        if not isinstance(id, str) or not CAMERA_ID.fullmatch(id):
            rule = "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
            raise _wrong("id", f"must be given: {rule}" if id is None else f"must be {rule}")
        config = self._parse(fields)
        for key, url in (("url", config.url), ("streams.sub.url", config.streams.sub and config.streams.sub.url)):
            if url and _HIDDEN in url:
                raise _wrong(key, f"{_HIDDEN} stands for hidden credentials; give the real ones")
        if id in self._entries:
            raise RequestError(
                409, "camera_exists", f"There is a camera {id!r} already; change or remove it, or choose another name."
            )
        if 0 < self._most <= len(self._entries):
            message = f"No more cameras can be kept (limits.cameras is {self._most}); remove one."
            raise RequestError(503, "limit_cameras", message)
        self._put(name := CameraName(id), config)
        return name

    def change(self, id: CameraName, patch: Mapping[str, Any]) -> None:
        """Lay a JSON merge patch (RFC 7396) over a camera's configuration. A hidden password is the one it has.

        Raises ``RequestError`` for what is wrong with it.
        """
        entry = self._changeable(id)
        patch = dict(patch)
        if patch.pop("id", id) != id:
            raise _wrong("id", "cannot be changed; add a new camera instead")
        match patch:
            case {"streams": {"main": {"url": _} as main}}:  # which the configuration keeps as the camera's own
                patch |= {**main, "streams": {**patch["streams"], "main": None}}
        if isinstance(url := patch.get("url"), str):
            patch["url"] = _reveal(url.strip(), entry.config.url)
        match patch:
            case {"streams": {"sub": {"url": str(url)}}}:
                revealed = _reveal(url.strip(), (entry.config.streams.sub or entry.config).url)
                patch["streams"] = {**patch["streams"], "sub": {**patch["streams"]["sub"], "url": revealed}}
        self._put(id, self._parse(_merge(entry.config.model_dump(mode="json"), patch)))

    def remove(self, id: CameraName) -> None:
        """Remove a camera that was added at run time."""
        entry = self._changeable(id)
        with self._writing():
            self._store.remove_camera(id)
            self._forget(entry.specs)
        del self._entries[id]
        self._keep_memories()
        self._announce()

    def _parse(self, fields: Mapping[str, Any]) -> CameraConfig:
        try:
            camera = parse_camera(fields)
        except ConfigError as exc:
            raise _wrong(exc.key, exc.problem) from None
        if (refused := camera.refused(self._allowed)) is not None:
            raise _wrong(".".join(refused.key), refused.problem)
        return camera

    def _forget(self, names: Iterable[CameraName]) -> None:
        for name in names:
            self._store.forget(name)

    def _keep_memories(self) -> None:
        """Let go what is known of streams that are not there any more: the store has done so."""
        specs = self.specs
        self._memories = {name: memory for name, memory in self._memories.items() if name in specs}

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
        with self._writing():
            self._store.put_camera(id, config)
            for name, memory in memories.items():
                self._store.remember(name, memory)
            self._forget(before.specs.keys() - memories.keys() if before is not None else ())
        self._memories |= memories
        self._entries[id] = self._entry(id, config, None)
        self._keep_memories()
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
        memories = self._memories
        self._memories = dict(memories)
        entries = {}
        for id, camera, origin in wanted:
            known = before.get(id) if not elsewhere else None
            if known is None or known.config != camera or _simulated(known.origin) != _simulated(origin):
                self._memories |= self._remembered(id, camera, origin)
                known = self._entry(id, camera, origin)
            entries[id] = replace(known, origin=origin)
        self._hidden = {id: camera for id, camera in stored.items() if id in config.cameras}
        self._entries = entries
        for id in sorted(self._hidden):
            if id not in before or before[id].origin is None:
                where = config.origin_of(id).where
                log.warning("camera of the store is hidden by the configuration", camera=id, place=where)
        self._keep_memories()
        new = {name: memory for name, memory in self._memories.items() if memory is not memories.get(name)}
        return memories.keys() - self._memories.keys(), new

    def _keep(self, gone: Iterable[CameraName], new: Mapping[CameraName, Memory]) -> None:
        with self._writing():
            self._forget(gone)
            for name, memory in new.items():
                self._store.remember(name, memory)

    def _entry(self, id: CameraName, config: CameraConfig, origin: Origin | None) -> Entry:
        specs = self._specs(id, config, origin).items()
        revised = {name: replace(spec, revision=self._memories[name].revision) for name, spec in specs}
        return Entry(id, revised, config, origin)

    def _specs(self, id: CameraName, config: CameraConfig, origin: Origin | None) -> dict[CameraName, CameraSpec]:
        """Its streams, and where they may be; the simulated camera is on this machine whatever is allowed to others."""
        networks = () if _simulated(origin) else self._networks
        return {name: replace(spec, networks=networks) for name, spec in config.specs(id).items()}

    def _remembered(self, id: CameraName, config: CameraConfig, origin: Origin | None) -> dict[CameraName, Memory]:
        """Each stream of a camera as it is remembered: as before, unless its configuration is another."""
        before = self._entries.get(id)
        return {
            name: self._memory(name, spec, before.specs.get(name) if before is not None else None)
            for name, spec in self._specs(id, config, origin).items()
        }

    def _memory(self, name: CameraName, spec: CameraSpec, before: CameraSpec | None) -> Memory:
        told = asdict(spec)
        for key in (
            "on_demand",
            "keep_after",
            "one_session",
        ):  # the director's alone: a camera that plays need not begin anew
            del told[key]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        known = self._memories.get(name)
        if known is not None and known.digest == digest:
            return known
        self._newest = max(int(self._clock() * 1000), self._newest + 1)
        tracks = known.tracks if known and before and before.url == spec.url else ()
        return Memory(digest, self._newest, tracks, known.worker if known else None)

    def _cannot_write(self, error: sqlite3.Error) -> None:
        self.store_problem = str(error)
        self._quiet.warning("camera store cannot be written", reason=self.store_problem)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Either all that is written inside takes effect, or nothing does and ``RequestError`` is raised."""
        try:
            with self._store.transaction():
                yield
        except sqlite3.Error as exc:
            self._cannot_write(exc)
            raise RequestError(503, "store_failed", f"The camera store cannot be written: {exc}.") from None


def _simulated(origin: Origin | None) -> bool:
    return origin is not None and origin.simulated


def _wrong(key: str, problem: str) -> RequestError:
    return RequestError(422, "invalid_camera", f"{key}: {problem}" if key else f"{problem[0].upper()}{problem[1:]}.")


def _merge(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396; ``null`` brings a key's default back."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            target[key] = _merge(target[key], value)
        else:
            target[key] = value
    return target


def _reveal(url: str, current: str) -> str:
    """``url`` as a person sent it back, with the hidden credentials of ``current`` put in again."""
    if url == redact(current):
        return current
    if _HIDDEN not in url:
        return url
    (scheme, user, host, rest), (old_scheme, old_user, old_host, _) = _split(url), _split(current)
    if user != f"{_HIDDEN}@" or _HIDDEN in host + rest:
        raise _wrong("url", f"{_HIDDEN} stands for hidden credentials; give the real ones")
    if (scheme, host) != (old_scheme, old_host):
        # Otherwise a person who may change a camera could have its password sent to a host of theirs.
        raise _wrong("url", "the host changed, so user and password must be given again")
    return f"{scheme}{old_user}{host}{rest}"


def _split(url: str) -> tuple[str, str, str, str]:
    """A URL as ``rtsp://``, ``user:password@`` (which may hold any character, to the last @), host, and the rest."""
    scheme, separator, rest = url.partition("://")
    user, at, rest = rest.rpartition("@")
    end = _HOST_END.search(rest)
    host = rest[: end.start()] if end else rest
    return scheme + separator, user + at, host, rest[len(host) :]
