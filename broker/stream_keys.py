"""Who is told the key that a camera's frames are sealed with: the ingest that has the camera, and the egresses of its
viewers.

The key follows from camera and worker (``Keyring.stream_key``): nothing is kept here, and a new broker knows the same.
An egress that missed one says so (``KeyWanted``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from broker.director import Director
from broker.keyring import Keyring
from common.control import SUBSCRIBERS, Assign, Offer, StreamKey, ToWorker


def with_keys(node: str, message: ToWorker, director: Director, keyring: Keyring) -> Iterator[tuple[str, ToWorker]]:
    """What is to be sent, to whom, when the director orders ``message`` to ``node``; the message itself comes last."""
    match message:
        case Assign(camera):
            key = keyring.stream_key(camera.id, node)
            for worker in director.workers:
                if worker.alive and worker.report.role in SUBSCRIBERS and worker.has_stream(camera.id):
                    yield worker.node, StreamKey(camera.id, key)
            message = replace(message, key=key)
        case Offer(camera=camera_id):
            if (stream_key := current_key(camera_id, director, keyring)) is not None:
                yield node, stream_key
    yield node, message


def current_key(camera: str, director: Director, keyring: Keyring) -> StreamKey | None:
    """What an egress has to know to open the camera's frames now; ``None`` while no worker has it."""
    status = director.camera(camera)
    key = keyring.stream_key(camera, status.worker) if status is not None and status.worker is not None else b""
    return StreamKey(camera, key) if key else None
