"""Memories of each stream: what is known of it beyond its configuration, kept across restarts.

A stream's revision grows whenever its configuration differs from what it was, also while we did not run: that is how
an ingest worker that outlived a broker is told of a change. Revisions are Unix milliseconds, so that they grow even if
the store was lost. What a worker does not need to know (when a camera is pulled) has no part in them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from broker.store import Memory, Store
from common.cameras import CameraName, CameraSpec
from common.control import NodeName
from common.errors import RequestError
from common.log import Quiet, get_logger
from common.media import Track

_UNTOLD = ("on_demand", "keep_after", "one_session")  # the director's alone: a camera that plays need not begin anew

log = get_logger()


class Memories:
    """The ``Memory`` of every stream, by the stream's name, and the store that they are kept in."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.problem = ""  # why nothing can be written to the store; empty if it can
        self._store = store
        self._clock = clock
        self._quiet = Quiet(log)
        self._kept = store.memories()
        self._newest = max((memory.revision for memory in self._kept.values()), default=0)

    def tracks(self, names: Iterable[CameraName]) -> Mapping[CameraName, tuple[Track, ...]]:
        """The last that was seen of each of these streams as it is configured now."""
        return {name: self._kept[name].tracks for name in names}

    def workers(self, names: Iterable[CameraName]) -> Mapping[CameraName, NodeName]:
        """The worker that had each of these streams when this was last known."""
        workers = {name: self._kept[name].worker for name in names}
        return {name: worker for name, worker in workers.items() if worker is not None}

    def of(
        self, specs: Mapping[CameraName, CameraSpec], before: Mapping[CameraName, CameraSpec]
    ) -> dict[CameraName, Memory]:
        """Each of a camera's streams as it is remembered: as before, unless its configuration is another."""
        return {name: self._memory(name, spec, before.get(name)) for name, spec in specs.items()}

    def become(
        self, new: Mapping[CameraName, Memory], names: Iterable[CameraName]
    ) -> tuple[Iterable[CameraName], Mapping[CameraName, Memory]]:
        """Take these in, and let go what is known of streams that are not among ``names``.

        Returns what has to be done to the store: the streams that are to be forgotten, and what is to be remembered.
        """
        before = self._kept
        every = {**before, **new}
        self._kept = {name: every[name] for name in names}
        changed = {name: memory for name, memory in self._kept.items() if memory is not before.get(name)}
        return before.keys() - self._kept.keys(), changed

    def remember(self, name: CameraName, **changes: Any) -> None:
        """Keep ``tracks`` or ``worker`` of a stream. If the disk fails, that is logged and no more."""
        if name in self._kept:
            self._kept[name] = replace(self._kept[name], **changes)
            try:
                self._store.remember(name, self._kept[name])
            except sqlite3.Error as exc:
                self._cannot_write(exc)

    def check(self) -> None:
        """Have a store that was lost written again now, and not only with the next change; to be called each second.

        While there is a problem, and where the disk is nearly full, a write is tried.
        """
        self._quiet.sweep()
        try:
            self._store.check()
            if self.problem or self._store.nearly_full:
                self._store.prove()
            self.problem = ""
        except sqlite3.Error as exc:
            self._cannot_write(exc)

    @contextmanager
    def writing(self, forget: Iterable[CameraName], remember: Mapping[CameraName, Memory]) -> Iterator[Store]:
        """Write these, and what is written inside. Either all of it takes effect, or ``RequestError`` is raised."""
        try:
            with self._store.transaction():
                yield self._store
                for name in forget:
                    self._store.forget(name)
                for name, memory in remember.items():
                    self._store.remember(name, memory)
        except sqlite3.Error as exc:
            self._cannot_write(exc)
            raise RequestError(503, "store_failed", f"The camera store cannot be written: {exc}.") from None

    def _memory(self, name: CameraName, spec: CameraSpec, before: CameraSpec | None) -> Memory:
        told = {key: value for key, value in asdict(spec).items() if key not in _UNTOLD}
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
        known = self._kept.get(name)
        if known is not None and known.digest == digest:
            return known
        self._newest = max(int(self._clock() * 1000), self._newest + 1)
        tracks = known.tracks if known and before and before.url == spec.url else ()
        return Memory(digest, self._newest, tracks, known.worker if known else None)

    def _cannot_write(self, error: sqlite3.Error) -> None:
        self.problem = str(error)
        self._quiet.warning("camera store cannot be written", reason=self.problem)
