"""A director with a clock, and short words for what workers and viewers do to it."""

from typing import Any

from broker.director.commands import Command, Send
from broker.director.director import Director
from broker.director.events import CamerasWanted, Event, FromWorker, Tick, ViewerOffered
from common.cameras import CameraSpec, CameraState
from common.control import (
    Answered,
    Leaving,
    Load,
    Made,
    Offer,
    Ping,
    Report,
    Role,
    StreamReport,
    ToBroker,
    ToWorker,
    ViewerReport,
    ViewerState,
)
from common.demand import Demand
from common.media import Kind, Rendition, Track, camera_of, converted_kind

H264 = Track(Kind.VIDEO, "H264", 90_000, profile="42e01f")


def camera(id: str = "door", **fields: Any) -> CameraSpec:
    return CameraSpec(**({"id": id, "url": f"rtsp://host/{id}", "revision": 1} | fields))


def stream(id: str = "door", **fields: Any) -> StreamReport:
    return StreamReport(**({"camera": id, "revision": 1, "state": CameraState.PLAYING, "tracks": (H264,)} | fields))


def viewer(session: str, camera: str = "door", state: ViewerState = ViewerState.CONNECTED) -> ViewerReport:
    return ViewerReport(session, camera, state)


class Stage:
    def __init__(self, *specs: CameraSpec, started_now: bool = False, reserve: bool = False, **remembered: Any) -> None:
        self.now = 1_000.0
        self.director = Director(self.now, {spec.id: spec for spec in specs}, **{"ingests": 1} | remembered)
        self.demand: Demand | None = None  # on transcode workers, as it was told last
        if reserve:
            self.director.reserve.open()
        if not started_now:
            self.tick(100.0)

    def __call__(self, event: Event) -> list[Command]:
        commands = self.director.handle(event, self.now)
        self.demand = next((each for each in commands if isinstance(each, Demand)), self.demand)
        return [each for each in commands if not isinstance(each, Demand)]

    def tick(self, seconds: float = 0.0) -> list[Command]:
        self.now += seconds
        return self(Tick())

    def want(self, *specs: CameraSpec) -> list[Command]:
        return self(CamerasWanted({spec.id: spec for spec in specs}))

    def hear(self, node: str, message: ToBroker) -> list[Command]:
        return self(FromWorker(node, message))

    def ingest(self, node: str, *streams: StreamReport, cpu: float = 0.0, **fields: Any) -> list[Command]:
        fields = {"incarnation": "1"} | fields
        return self.hear(node, Report(node, Role.INGEST, load=Load(cpu), served=streams, **fields))

    def egress(self, node: str, *viewers: ViewerReport, cpu: float = 0.0, **fields: Any) -> list[Command]:
        fields = {"incarnation": "1"} | fields
        return self.hear(node, Report(node, Role.EGRESS, load=Load(cpu), viewers=viewers, **fields))

    def transcode(self, node: str, *renditions: str, cpu: float = 0.0, **fields: Any) -> list[Command]:
        fields = {"incarnation": "1"} | fields
        track, problem = fields.pop("track", None), fields.pop("problem", None)
        made = tuple(Made(Rendition(name), track or self._track_of(name), problem) for name in renditions)
        return self.hear(node, Report(node, Role.TRANSCODE, load=Load(cpu), made=made, **fields))

    def _track_of(self, rendition: str) -> Track:
        """The camera's track that it is made of now."""
        camera = self.director.camera(camera_of(Rendition(rendition)))
        kind = converted_kind(Rendition(rendition))
        return next((track for track in camera.tracks if track.kind is kind), H264) if camera else H264

    def leave(self, node: str, incarnation: str = "1") -> list[Command]:
        return self.hear(node, Leaving(node, incarnation))

    def offer(self, session: str, camera: str = "door") -> list[Command]:
        return self(ViewerOffered(session, camera, f"offer of {session}"))

    def watch(self, session: str, camera: str = "door") -> str:
        """Offer and answer; returns the egress."""
        (node,) = [node for node, message in sent(self.offer(session, camera)) if isinstance(message, Offer)]
        self.hear(node, Answered(session, "answer"))
        return node

    def worker_of(self, id: str = "door") -> str | None:
        return self.director.camera(id).worker

    def state_of(self, id: str = "door") -> CameraState:
        return self.director.camera(id).state


def sent(commands: list[Command]) -> list[tuple[str, ToWorker]]:
    """The messages to each worker, pings aside."""
    return [(c.node, c.message) for c in commands if isinstance(c, Send) and not isinstance(c.message, Ping)]


def of(kind: type, commands: list[Command]) -> list[Command]:
    """The commands of one kind."""
    return [c for c in commands if isinstance(c, kind)]
