"""The answers of the API: their models, and how they are made. None holds a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, Field

from broker.catalogue import Entry
from broker.control_plane import ControlPlane
from broker.director.commands import CameraChanged
from broker.director.state import Worker
from broker.director.status import CameraStatus, SessionStatus
from common.cameras import CameraName, CameraState, Transport, redact, split_stream
from common.config_cameras import TlsConfig
from common.control import Load, Role, TrackStats, ViewerReport, ViewerState
from common.media import Kind, Track
from common.sessions import public_name

_FOR_ALL = "Whether browsers that cannot play its video codec still get a picture: converted, or from another stream."


class TrackView(BaseModel):
    """One track of a camera."""

    kind: Kind
    codec: str = Field(description="RTP encoding name.")
    name: str = Field(description="The codec as people know it.")
    clock_rate: int = Field(description="Hz.")
    channels: int
    profile: str = Field(description="H.264: profile-level-id. H.265: profile-id, tier-flag and level-id.")
    playable: bool
    problem: str = Field(description="Why it cannot be played; empty if it can.")
    warning: str = Field(description="Why it may not look right although it plays; empty if there is no reason.")
    convert: str = Field(
        description="Why no browser plays it directly, so that it is converted while somebody watches; else empty."
    )
    width: int = Field(description="Of the picture in pixels; 0 if unknown.")
    height: int


class StreamView(BaseModel):
    """One of a camera's streams."""

    url: str = Field(description="With *** in place of user and password.")
    state: CameraState
    sentence: str = Field(description="The state, in words for people.")
    failed: bool = Field(description="Whether there is no picture because of an error.")
    tracks: list[TrackView] = Field(description="As last seen; empty if it never played.")
    viewers: int = Field(description="Viewers who see it, or are about to.")
    worker: str | None = Field(description="The ingest process that pulls it.")


class CameraView(BaseModel):
    """One camera: how it is configured, and how it is. What is not told apart by streams is of the main one."""

    id: str
    name: str = Field(description="The name that people see.")
    group: str = Field(description="The heading under which lists show it; empty for none.")
    order: int = Field(description="Its place in lists: lower numbers come first, equal ones by name.")
    url: str = Field(description="With *** in place of user and password; empty to a viewer.")
    transport: Transport
    on_demand: bool
    keep_after: float = Field(description="Seconds.")
    one_session: bool = Field(description="As configured: it serves one client at a time.")
    tls: TlsConfig
    source: Literal["config", "api"] = Field(description="Only cameras from the api can be changed here.")
    place: str | None = Field(description="Where to change a camera that comes from the config.")
    state: CameraState
    sentence: str = Field(description="The state, in words for people.")
    detail: str = Field(description="What was seen; empty to a viewer.")
    sound: str = Field(
        description="Why its sound is not heard, in words for people; empty if it is heard, or there is none."
    )
    for_all: bool = Field(description=_FOR_ALL)
    failed: bool = Field(description="Whether there is no picture because of an error.")
    connected_over: str = Field(
        description="tcp or udp once RTP has been set up; for sources other than RTSP, the scheme."
    )
    tracks: list[TrackView] = Field(description="As last seen; empty if the camera never played.")
    statistics: list[TrackStats] = Field(description="Of each track since the session started.")
    since: float | None = Field(description="Unix time of the last change of state.")
    reconnects: int
    last_error: str
    retry_at: float | None = Field(description="Unix time of the next attempt.")
    viewers: int = Field(description="Of all its streams.")
    worker: str | None = Field(description="The ingest process that pulls it.")
    streams: dict[str, StreamView] = Field(description="All its streams: main, and perhaps sub.")


class CameraSummary(BaseModel):
    """A camera as lists show it; also sent over the WebSocket when it changes."""

    camera: str
    name: str = Field(description="The name that people see.")
    group: str = Field(description="The heading under which lists show it; empty for none.")
    order: int = Field(description="Its place in lists: lower numbers come first, equal ones by name.")
    state: CameraState
    sentence: str
    detail: str
    failed: bool
    video: str = Field(description="RTP encoding name of its picture as last seen; empty without one.")
    sound: str = Field(
        description="Why its sound is not heard, in words for people; empty if it is heard, or there is none."
    )
    for_all: bool = Field(description=_FOR_ALL)


class ViewerView(BaseModel):
    """One viewer's session."""

    session: str = Field(description="Its public name; whoever knows its secret name owns it.")
    camera: str
    stream: str = Field(description="Which of the camera's streams it is shown: main or sub.")
    node: str = Field(description="The egress process that serves it.")
    state: ViewerState
    principal: str = Field(description="Whose right it uses, such as token:wall; empty if nobody signs in.")
    expires: float | None = Field(description="Unix time at which that right expires.")
    started: float | None = Field(description="Unix time of the answer.")
    remote: str = Field(description="Address and port that media goes to.")
    transport: str = Field(description="What carries it there: udp, tcp or websocket; empty as long as nothing has.")
    restarts: int = Field(description="How often it restarted ICE because its network changed.")
    srtp: str = Field(description="SRTP protection profile.")
    video: str = Field(description="Codec in use, or why there is none.")
    audio: str = Field(description="Codec in use, or why there is none.")
    waiting: str = Field(description="Why nothing is being sent; empty while media flows.")
    packets: int
    bytes: int
    dropped: int = Field(description="Packets not sent because the path was full.")
    nacked: int
    retransmitted: int
    plis: int
    lost: int = Field(description="From receiver reports.")
    jitter: float = Field(description="Seconds.")
    round_trip: float | None = Field(description="Seconds.")
    estimated_bandwidth: int | None = Field(description="Bit/s, from the receiver's feedback.")


class ArrivalView(BaseModel):
    """How a request arrived: with this a page finds what a proxy in between does not pass on."""

    host: str = Field(description="The Host header; a browser's names the host of the page's own address.")
    forwarded_host: str = Field(description="The host in X-Forwarded-Host, or in Forwarded; empty without one.")
    forwarded_proto: str = Field(description="The scheme in X-Forwarded-Proto, or in Forwarded; empty without one.")
    forwarded_for: bool = Field(description="Whether X-Forwarded-For, or Forwarded, names the client.")
    believed: bool = Field(description="Whether it came from one of http.trusted_proxies.")
    scheme: str = Field(description="http or https: that of the browser's address, as far as this server knows.")
    prefix: str = Field(
        description="The path under which a proxy serves this server, as far as it knows; empty for none."
    )
    refused: str = Field(description="Why this server itself would refuse a WebSocket now; empty if it would not.")


class SessionView(BaseModel):
    """A session as its player sees it."""

    session: str = Field(description="Its name in lists and logs.")
    camera: CameraSummary
    state: ViewerState
    video: str
    audio: str
    waiting: str


class NodeView(BaseModel):
    """One process of the cluster."""

    node: str
    role: str = Field(json_schema_extra={"enum": ["broker", *Role]})
    host: str
    pid: int
    version: str
    alive: bool
    draining: bool
    silent_for: float = Field(description="Seconds since it last reported.")
    load: Load = Field(
        description="cpu: share of a core; memory: resident bytes; free: bytes that it could still be given."
    )
    cameras: list[str] = Field(
        description="Ingest: those it pulls. Egress: renditions it is subscribed to. Transcode: renditions it makes."
    )
    viewers: int
    counters: dict[str, int] = Field(description="What it counted, drops for the most part, by name.")


def camera_view(entry: Entry, statuses: Mapping[CameraName, CameraStatus]) -> CameraView:
    """A camera in full. ``statuses`` are those of its streams."""
    status = statuses[entry.id]
    stream = status.stream
    return CameraView(
        id=entry.id,
        name=entry.config.name or entry.id,
        group=entry.config.group,
        order=entry.config.order,
        url=redact(entry.config.url),
        transport=entry.config.transport,
        on_demand=entry.config.on_demand,
        keep_after=entry.config.keep_after,
        one_session=entry.config.one_session,
        tls=entry.config.tls,
        source="api" if entry.origin is None else "config",
        place=entry.origin and entry.origin.where,
        state=status.state,
        sentence=_sentence_of(status),
        detail=redact(status.detail),
        sound=status.sound,
        for_all=status.for_all,
        failed=status.state.failed,
        connected_over=stream.transport if stream else "",
        tracks=_track_views(status),
        statistics=list(stream.stats) if stream else [],
        since=stream.since or None if stream else None,
        reconnects=stream.reconnects if stream else 0,
        last_error=redact(stream.last_error) if stream else "",
        retry_at=stream.retry_at if stream else None,
        viewers=status.viewers,
        worker=status.worker,
        streams={split_stream(name)[1]: _stream_view(each) for name, each in statuses.items()},
    )


def view_for_viewer(view: CameraView) -> CameraView:
    """The camera without what concerns only those who set it up: addresses, places, processes, what went wrong."""
    streams = {name: stream.model_copy(update={"url": "", "worker": None}) for name, stream in view.streams.items()}
    hidden = {"url": "", "detail": "", "tls": TlsConfig(), "place": None, "last_error": "", "worker": None}
    return view.model_copy(update=hidden | {"streams": streams})


def _track_views(status: CameraStatus) -> list[TrackView]:
    return [TrackView(name=track.name, playable=track.playable, **asdict(track)) for track in status.tracks]


def _stream_view(status: CameraStatus) -> StreamView:
    state, detail, _ = status.itself
    return StreamView(
        url=redact(status.spec.url),
        state=state,
        sentence=_sentence(state, detail),
        failed=state.failed,
        tracks=_track_views(status),
        viewers=status.shown,
        worker=status.worker,
    )


def camera_summary(entry: Entry, camera: CameraChanged | CameraStatus) -> CameraSummary:
    """A camera in short."""
    return CameraSummary(
        camera=entry.id,
        name=entry.config.name or entry.id,
        group=entry.config.group,
        order=entry.config.order,
        state=camera.state,
        sentence=_sentence_of(camera),
        detail=redact(camera.detail),
        failed=camera.state.failed,
        video=camera.video,
        sound=camera.sound,
        for_all=camera.for_all,
    )


def summary_for_viewer(summary: CameraSummary) -> CameraSummary:
    """A camera's summary without what was seen, which may name addresses."""
    return summary.model_copy(update={"detail": ""})


def viewer_view(status: SessionStatus) -> ViewerView:
    """A viewer in full. One whose egress has not reported it yet is connecting."""
    holder = status.holder
    report = status.report or ViewerReport(
        status.session, status.camera, ViewerState.CONNECTING, principal=holder.principal, expires=holder.expires
    )
    camera, stream = split_stream(report.camera)
    changed = {
        "principal": report.principal.partition("#")[0],  # without the proof, by which it is told apart from its like
        "session": public_name(status.session),
        "camera": camera,
        "stream": stream,
        "started": report.started or None,
    }
    return ViewerView(node=status.node, **asdict(report) | changed)


def session_view(control: ControlPlane, status: SessionStatus) -> SessionView:
    """A session as its player sees it."""
    viewer = viewer_view(status)
    name, _ = split_stream(status.camera)
    camera, entry = control.director.camera(name), control.catalogue.get(name)
    assert camera is not None, "a session's camera is always known"
    assert entry is not None, "and is in the catalogue"
    return SessionView(
        session=viewer.session,
        camera=camera_summary(entry, camera),
        state=viewer.state,
        video=viewer.video,
        audio=viewer.audio,
        waiting=viewer.waiting,
    )


def node_view(worker: Worker, now: float) -> NodeView:
    """A worker."""
    report = worker.report
    return NodeView(
        node=report.node,
        role=report.role.value,
        host=report.host,
        pid=report.pid,
        version=report.version,
        alive=worker.alive,
        draining=report.draining,
        silent_for=round(now - worker.seen, 3),
        load=report.load,
        cameras=sorted({*worker.cameras, *report.subscribed, *(each.rendition for each in report.made)}),
        viewers=len(worker.sessions),
        counters=report.counters,
    )


def _sentence_of(camera: CameraChanged | CameraStatus) -> str:
    sentence = _sentence(camera.state, camera.detail)
    if camera.for_all:
        return sentence
    codec = Track(Kind.VIDEO, camera.video, 0).name
    return (
        f"{sentence.rstrip('.')}; only browsers that take {codec} can play it, because no transcode worker is running."
    )


def _sentence(state: CameraState, detail: str) -> str:
    """The state for a person. Where what the camera sends is at fault, the detail says what that is and what to set."""
    if state in (CameraState.NO_PICTURE, CameraState.NO_PLAYABLE_TRACK) and detail:
        return f"{state.sentence.rstrip('.')}: {redact(detail).rstrip('.')}."
    return state.sentence
