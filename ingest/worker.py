"""The ingest process: pulls the cameras that the broker assigns to it, and tells how each of them is.

What is wanted and what is running are compared at every message, so that no message is missed for long. While the
broker is away everything goes on as it is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import zmq

from common.bus import Endpoints, Keys
from common.cameras import CameraSpec
from common.config import Config, LimitsConfig
from common.control import Assign, Release, Report, Role, ToWorker
from common.log import get_logger
from common.media import as_it_came
from common.systemd import READY, notify
from common.worker.link import Link
from common.worker.membership import worker_keys
from common.worker.publisher import Publisher
from ingest.camera import Camera, Shared


async def run(config: Config, node: str, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set. Raises ``ConfigError`` for a bus that cannot be."""
    endpoints = Endpoints.parse(config.broker.address)
    with zmq.Context() as context:
        keys = await worker_keys(context, endpoints, config.cluster, Role.INGEST, node, stop)
        if not stop.is_set():
            await _work(context, endpoints, keys, node, config.limits, stop)


async def _work(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Endpoints,
    keys: Keys | None,
    node: str,
    limits: LimitsConfig,
    stop: asyncio.Event,
) -> None:
    with Publisher(context, endpoints, keys, limits.cache_bytes) as publisher:
        worker = Worker(publisher, node, limits)
        link = Link(
            context,
            endpoints,
            keys,
            node=node,
            role=Role.INGEST,
            version=_version(),
            snapshot=worker.snapshot,
            on_message=worker.receive,
        )
        worker.changed = link.report_soon
        async with link:
            notify(READY)
            await worker.run(stop)


class Worker:
    """The cameras of this process."""

    def __init__(self, publisher: Publisher, node: str, limits: LimitsConfig = LimitsConfig()) -> None:  # noqa: B008  # frozen
        self.changed: Callable[[], None] = lambda: None  # a report should go out soon
        self._publisher = publisher
        self._log = get_logger(node=node)
        self._shared = Shared(publisher.publish, publisher.forget, lambda: self.changed(), limits.camera_bitrate)
        self._cameras: dict[str, Camera] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}  # the last runs the camera, all before it say goodbye
        self._group: asyncio.TaskGroup
        self._ending = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then end every session."""
        async with asyncio.TaskGroup() as self._group:
            await stop.wait()
            self._ending = True
            for name in tuple(self._cameras):
                self._release(name)

    def receive(self, message: ToWorker) -> None:
        """The broker's word."""
        match message:
            case Assign(spec, key):
                if not self._ending:
                    self._publisher.use_key(as_it_came(spec.id), key)
                    self._assign(spec)
            case Release(name):
                self._release(name)

    def snapshot(self, report: Report) -> Report:
        """This worker's part of its report."""
        cameras = self._cameras.values()
        counters = Counter(report.counters)
        for each in (self._publisher.counters, *(camera.counters for camera in cameras)):
            counters.update(each)
        streams = tuple(camera.report for camera in cameras)
        return replace(report, draining=self._ending, served=streams, counters=dict(counters))

    def _assign(self, spec: CameraSpec) -> None:
        running = self._cameras.get(spec.id)
        if running is not None and running.spec == spec:
            return
        tasks = self._tasks.setdefault(spec.id, [])
        if running is not None:
            tasks[-1].cancel()
        camera = self._cameras[spec.id] = Camera(spec, self._shared, self._log)
        task = self._group.create_task(self._pull(camera, tuple(tasks)))
        tasks.append(task)
        task.add_done_callback(lambda done: self._gone(spec.id, done))
        self.changed()

    def _release(self, name: str) -> None:
        if self._cameras.pop(name, None) is not None:
            self._tasks[name][-1].cancel()
            self.changed()

    async def _pull(self, camera: Camera, before: tuple[asyncio.Task[None], ...]) -> None:
        """Run a camera, after the sessions of its former selves have ended: many cameras allow only one."""
        if before:
            await asyncio.wait(before)
        await camera.run()

    def _gone(self, name: str, task: asyncio.Task[None]) -> None:
        self._tasks[name].remove(task)
        if not self._tasks[name]:
            del self._tasks[name]
            if name not in self._cameras:  # up to now something may have been published
                self._publisher.use_key(as_it_came(name), b"")


def _version() -> str:
    try:
        return version("camshaft")
    except PackageNotFoundError:  # run from a checkout
        return ""
