"""The workers that are told the key of a rendition's frames: the one that makes it, and those that take it.

The key follows from rendition and worker (``Keyring.stream_key``): nothing is kept here, and a new broker knows the
same. A worker that missed one says so (``KeyWanted``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from broker.director.director import Director
from broker.keyring import Keyring
from common.control import SUBSCRIBERS, Assign, Convert, Move, NodeName, Offer, Snapshot, StreamKey, ToWorker
from common.media import Rendition, as_it_came, camera_of, converted_kind


def with_keys(
    node: NodeName, message: ToWorker, director: Director, keyring: Keyring
) -> Iterator[tuple[NodeName, ToWorker]]:
    """The messages to send, and to whom, when the director orders ``message`` to ``node``; it comes last itself."""
    match message:
        case Assign(camera):
            rendition = as_it_came(camera.id)
            key = keyring.stream_key(rendition, node)
            yield from _told(rendition, key, director)
            message = replace(message, key=key)
        case Convert(rendition):
            key = keyring.stream_key(rendition, node)
            yield from _told(rendition, key, director)
            source = current_key(as_it_came(camera_of(rendition)), director, keyring)
            message = replace(message, key=key, source_key=source.key if source else b"")
        case Snapshot(camera=camera_id):
            source = current_key(as_it_came(camera_id), director, keyring)
            message = replace(message, source_key=source.key if source else b"")
        case Offer() | Move():
            others = [message.other] if isinstance(message, Offer) and message.other else []
            for camera_id in (message.camera, *others):
                if (stream_key := current_key(as_it_came(camera_id), director, keyring)) is not None:
                    yield node, stream_key
    yield node, message


def current_key(rendition: Rendition, director: Director, keyring: Keyring) -> StreamKey | None:
    """The key that opens the rendition's frames now, as a worker is told it; ``None`` while nobody makes it."""
    if converted_kind(rendition) is not None:
        node = director.converter(rendition)
    else:
        status = director.camera(camera_of(rendition))
        node = status.worker if status is not None else None
    key = keyring.stream_key(rendition, node) if node is not None else b""
    return StreamKey(rendition, key) if key else None


def _told(rendition: Rendition, key: bytes, director: Director) -> Iterator[tuple[NodeName, StreamKey]]:
    """To those that take the rendition: egresses of its viewers, and workers that convert it."""
    camera = camera_of(rendition)
    for worker in director.workers:
        takes = rendition in worker.report.subscribed or camera in worker.watched
        converts = rendition == as_it_came(camera) and any(
            camera_of(each.rendition) == camera for each in worker.report.made
        )
        if worker.alive and worker.report.role in SUBSCRIBERS and (takes or converts):
            yield worker.node, StreamKey(rendition, key)
