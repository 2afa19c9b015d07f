"""The workers that are told the key of a rendition's frames: the ingest that has the camera, and those that take it.

The key follows from camera and worker (``Keyring.stream_key``): nothing is kept here, and a new broker knows the same.
A worker that missed one says so (``KeyWanted``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from broker.director import Director
from broker.keyring import Keyring
from common.control import SUBSCRIBERS, Assign, NodeName, Offer, StreamKey, ToWorker
from common.media import Rendition, as_it_came, camera_of


def with_keys(
    node: NodeName, message: ToWorker, director: Director, keyring: Keyring
) -> Iterator[tuple[NodeName, ToWorker]]:
    """What is to be sent, to whom, when the director orders ``message`` to ``node``; the message itself comes last."""
    match message:
        case Assign(camera):
            key = keyring.stream_key(camera.id, node)
            for worker in director.workers:
                if worker.alive and worker.report.role in SUBSCRIBERS and worker.has_stream(camera.id):
                    yield worker.node, StreamKey(as_it_came(camera.id), key)
            message = replace(message, key=key)
        case Offer(camera=camera_id):
            if (stream_key := current_key(as_it_came(camera_id), director, keyring)) is not None:
                yield node, stream_key
    yield node, message


def current_key(rendition: Rendition, director: Director, keyring: Keyring) -> StreamKey | None:
    """What a worker has to know to open the rendition's frames now; ``None`` while no worker makes it."""
    camera = camera_of(rendition)
    status = director.camera(camera)
    key = keyring.stream_key(camera, status.worker) if status is not None and status.worker is not None else b""
    return StreamKey(rendition, key) if key else None
