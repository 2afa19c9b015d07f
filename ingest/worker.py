"""The ingest process: pulls the cameras that the broker assigns to it, and tells how each of them is.

What is wanted and what is running are compared at every message, so that no message is missed for long. While the
broker is away everything goes on as it is, but for what nobody takes, or takes from another worker instead: after
``LET_GO_AFTER`` that is let go, because a worker that is cut off must not hold a session that another one needs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from common.camera_url import refusal
from common.cameras import CameraSpec
from common.config import Config
from common.config_limits import LimitsConfig, SourcesConfig
from common.control import Assign, NodeName, Release, Report, Role, ToWorker
from common.log import get_logger
from common.media import Rendition, as_it_came
from common.memory import Rush, give_back_aside
from common.moments import waited
from common.reloader import Reloader
from common.worker.link import Link
from common.worker.process import Surroundings, run_worker
from common.worker.publisher import Publisher
from ingest.camera import Camera, Shared

LET_GO_AFTER = 9.0  # seconds since the broker's connection broke, a second after it was last heard: it restarts in two
LOOK_INTERVAL = 0.5  # seconds between looks


async def run(config: Config, node: NodeName, stop: asyncio.Event, reloader: Reloader | None = None) -> None:
    """Pull cameras until ``stop`` is set. Raises ``ConfigError`` for a bus that cannot be."""
    await run_worker(Role.INGEST, _opened, config, node, stop, reloader)


@asynccontextmanager
async def _opened(around: Surroundings) -> AsyncIterator[Ingest]:
    with around.publisher() as publisher:
        async with asyncio.TaskGroup() as group:
            ingest = Ingest(around.link, publisher, group, around.config.limits, around.config.sources)
            around.live.on("limits.camera_bitrate", take=lambda new: ingest.limit(new.limits))
            around.live.on("sources", take=lambda new: ingest.allow(new.sources))
            yield ingest


class Ingest:
    """The cameras of this process, each in a task of ``group``."""

    def __init__(
        self,
        link: Link,
        publisher: Publisher,
        group: asyncio.TaskGroup,
        limits: LimitsConfig = LimitsConfig(),  # noqa: B008  # frozen
        sources: SourcesConfig = SourcesConfig(),  # noqa: B008  # frozen
    ) -> None:
        self._link = link
        self._publisher = publisher
        self._group = group
        self._log = get_logger(node=link.node)
        self._shared = Shared(
            publisher.publish, publisher.forget, link.report_soon, publisher.straight, limits.camera_bitrate, sources
        )
        publisher.on_taken = self._watched
        self._cameras: dict[str, Camera] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}  # the last runs the camera, all before it say goodbye
        self._counters: Counter[str] = Counter()  # of cameras that it does not have any more
        self._ending = False
        self._rush = Rush()
        self._replays = 0  # that were answered, at the last look

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then end every session."""
        try:
            while not stop.is_set():
                now = asyncio.get_running_loop().time()
                self._let_go(now)
                await self._tidy(now)
                await waited(LOOK_INTERVAL, stop)
        finally:
            self._ending = True
            for name in tuple(self._cameras):
                self._release(name)
            if self._tasks:
                await asyncio.wait([task for tasks in self._tasks.values() for task in tasks])

    async def _tidy(self, now: float) -> None:
        """Give back what replays left about, of which each is a group of pictures more for a moment."""
        before, self._replays = self._replays, self._publisher.counters["replays"]
        if self._replays != before:
            self._rush.note(now)
        if self._rush.over(now):
            await give_back_aside()

    @property
    def drained(self) -> bool:
        """Whether the broker has taken every camera from it, or cannot be reached: then nobody sees them."""
        return not self._cameras or not self._link.there

    def _let_go(self, now: float) -> None:
        """Cut off from the broker, let go what nobody takes from here: the broker has given it to another by now.

        Media may have a way that the control plane lacks. Then who takes it tells that a newer epoch is there; where
        the broker is merely away there is none, and nothing is let go that somebody watches.
        """
        if self._link.away_for(now) < LET_GO_AFTER:
            return
        for name, camera in tuple(self._cameras.items()):
            rendition = as_it_came(name)
            if self._publisher.taken(rendition) and not self._publisher.outdated(rendition, camera.epoch):
                continue
            self._log.warning("letting a camera go: no broker for a while, and nobody takes it from here", camera=name)
            self._counters["cameras_let_go"] += 1
            self._release(name)

    def limit(self, limits: LimitsConfig) -> None:
        """Keep to other limits, with each camera from its next session on."""
        self._shared.bitrate = limits.camera_bitrate

    def allow(self, sources: SourcesConfig) -> None:
        """Open other kinds of source, and no longer those that may not be any more."""
        before, self._shared.sources = self._shared.sources, sources
        for camera in tuple(self._cameras.values()):  # none once it ends
            url = camera.spec.url
            if bool(refusal(url, before.allow)) != bool(refusal(url, sources.allow)):
                self._begin(camera.spec, camera.fence)

    def handle(self, message: ToWorker) -> None:
        """Do what the broker says."""
        match message:
            case Assign(spec, key, fence):
                if not self._ending:
                    self._publisher.use_key(as_it_came(spec.id), key)
                    self._assign(spec, fence)
            case Release(name):
                self._release(name)

    def report(self, base: Report) -> Report:
        """Complete a report with every camera that this process has."""
        cameras = self._cameras.values()
        counters = Counter(base.counters)
        for each in (self._publisher.counters, self._counters, *(camera.counters for camera in cameras)):
            counters.update(each)
        streams = tuple(camera.report for camera in cameras)
        return replace(base, draining=base.draining or self._ending, served=streams, counters=dict(counters))

    def _watched(self, rendition: Rendition) -> None:
        """Have a camera published without delay, as somebody watches."""
        camera = self._cameras.get(rendition)
        if camera is not None:
            camera.watched()

    def _assign(self, spec: CameraSpec, fence: int) -> None:
        running = self._cameras.get(spec.id)
        if running is None or running.spec != spec:
            self._begin(spec, fence)

    def _begin(self, spec: CameraSpec, fence: int) -> None:
        """Pull a camera, or pull it anew."""
        running = self._cameras.get(spec.id)
        tasks = self._tasks.setdefault(spec.id, [])
        if running is not None:
            self._counters.update(running.counters)
            tasks[-1].cancel()
            self._publisher.forget(as_it_came(spec.id))  # its goodbye takes a while, and it may be another camera's
        camera = self._cameras[spec.id] = Camera(spec, self._shared, self._log, fence=fence, after=running)
        task = self._group.create_task(self._pull(camera, tuple(tasks)))
        tasks.append(task)
        task.add_done_callback(lambda done: self._gone(spec.id, done))
        self._link.report_soon()

    def _release(self, name: str) -> None:
        if (camera := self._cameras.pop(name, None)) is not None:
            self._counters.update(camera.counters)
            self._tasks[name][-1].cancel()
            self._publisher.forget(as_it_came(camera.spec.id))
            self._link.report_soon()

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
