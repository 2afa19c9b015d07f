"""All metrics as of now, family by family, made in slices: with a thousand cameras it takes a tenth of a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from broker.director.director import Director
from broker.director.state import Worker
from broker.director.status import CameraStatus
from broker.metrics import families as f
from broker.metrics.events import FROM_ZERO, OUTCOMES, events
from broker.metrics.families import Family
from common.cameras import CameraName, CameraState, split_stream
from common.control import Load, Measured, Report, Role, ViewerReport, ViewerState
from common.histogram import Histogram, Measure, cumulative
from common.media import CLOCK_RATES, Kind

_WAYS = ("udp", "tcp", "websocket")
_CODECS = {"AAC", *(codec.partition("/")[0] for codec in CLOCK_RATES)}  # AAC is what a WebSocket carries as it comes
NODE, ROLE = "broker", "broker"  # of the broker itself, among the nodes
_MEASURES = ((f.DELAY, Measure.DELAY), (f.CONNECT, Measure.CONNECT), (f.FIRST_PICTURE, Measure.FIRST_PICTURE))


@dataclass(frozen=True, slots=True)
class Own:
    """The broker's own figures."""

    version: str
    host: str
    load: Load
    reasons: Mapping[str, bool]  # why no viewer would be served: every reason there is, and whether it is one now
    connections: int
    sockets: int
    socket_queues: int  # bytes
    unanswered: int
    offers: Mapping[str, int]
    answer: Measured
    relay: Mapping[str, tuple[int, int]]  # frames and bytes by direction
    reserve: int  # bytes
    tasks: int
    counters: Mapping[str, int] = field(default_factory=dict)
    certificate: float | None = None  # Unix time at which it expires


def collect(own: Own, director: Director, streams: Iterable[CameraName], now: float) -> Iterator[Metric | None]:
    """Every family that has samples. ``None`` where others may have a turn.

    ``streams`` are all streams of all cameras; ``now`` is in monotonic seconds.
    """
    yield from _of_broker(own)
    yield from _of_nodes(own, [*director.workers], now)
    yield from _of_viewers(director)
    yield from _of_cameras(director, [*streams])


class _Samples:
    """A family that is being filled."""

    __slots__ = ("_add", "_labels", "_name", "metric")

    def __init__(self, family: Family) -> None:
        self.metric = family.begin()
        self._name = family.name
        self._labels = family.labels
        self._add = self.metric.samples.append

    def add(self, value: float, *labels: str) -> None:
        """Add a sample."""
        self._add(Sample(self._name, dict(zip(self._labels, labels, strict=True)), value))

    def measure(self, measured: Measured, *labels: str) -> None:
        """Add a histogram."""
        named = dict(zip(self._labels, labels, strict=True))
        count = -1
        for bound, count in cumulative(measured):
            self._add(Sample(f"{self._name}_bucket", {**named, "le": bound}, count))
        if count >= 0:
            self._add(Sample(f"{self._name}_count", named, count))
            self._add(Sample(f"{self._name}_sum", named, measured.total))


def _filled(family: Family, samples: Iterable[tuple[float, tuple[str, ...]]]) -> Metric:
    filled = _Samples(family)
    for value, labels in samples:
        filled.add(value, *labels)
    return filled.metric


def _of_broker(own: Own) -> Iterator[Metric]:
    yield _filled(f.INFO, [(1, (own.version,))])
    yield _filled(f.READY, [(not any(own.reasons.values()), ())])
    yield _filled(f.NOT_READY, [(holds, (reason,)) for reason, holds in own.reasons.items()])
    for family, value in (
        (f.CONNECTIONS, own.connections),
        (f.SOCKETS, own.sockets),
        (f.SOCKET_QUEUES, own.socket_queues),
        (f.UNANSWERED, own.unanswered),
        (f.RESERVE, own.reserve),
    ):
        yield _filled(family, [(value, ())])
    if own.certificate is not None:
        yield _filled(f.CERTIFICATE, [(own.certificate, ())])
    outcomes = {**dict.fromkeys(OUTCOMES, 0), **own.offers}
    yield _filled(f.OFFERS, [(count, (outcome,)) for outcome, count in outcomes.items()])
    answer = _Samples(f.ANSWER)
    answer.measure(own.answer)
    yield answer.metric
    yield _filled(f.RELAY_FRAMES, [(frames, (way,)) for way, (frames, _) in own.relay.items()])
    yield _filled(f.RELAY_BYTES, [(octets, (way,)) for way, (_, octets) in own.relay.items()])


def _of_nodes(own: Own, workers: list[Worker], now: float) -> Iterator[Metric]:
    names = [(worker, (worker.node, worker.report.role.value)) for worker in workers]
    first = NODE, ROLE
    infos = [(1, (*name, worker.report.host, worker.report.version)) for worker, name in names]
    yield _filled(f.NODE_INFO, [(1, (*first, own.host, own.version)), *infos])
    yield _filled(f.NODE_UP, [(1, first), *((worker.alive, name) for worker, name in names)])
    yield _filled(f.NODE_DRAINING, [(worker.report.draining, name) for worker, name in names])
    fillable = [each for each in names if each[0].report.role not in (Role.INGEST, Role.RELAY)]
    yield _filled(f.NODE_FULL, [(worker.report.full, name) for worker, name in fillable])
    yield _filled(f.NODE_SILENT, [(max(0.0, now - worker.seen), name) for worker, name in names])
    alive = [(worker.report, name) for worker, name in names if worker.alive]
    loads = [(own.load, first), *((report.load, name) for report, name in alive)]
    yield _filled(f.NODE_CPU, [(load.cpu, name) for load, name in loads])
    yield _filled(f.NODE_MEMORY, [(load.memory, name) for load, name in loads])
    yield _filled(f.NODE_FREE, [(load.free, name) for load, name in loads if load.free])
    tasks = [(report.counters["tasks"], name) for report, name in alive if "tasks" in report.counters]
    yield _filled(f.NODE_TASKS, [(own.tasks, first), *tasks])
    counts = ((len(report.served) + len(report.subscribed) + len(report.made), name) for report, name in alive)
    yield _filled(f.NODE_STREAMS, counts)
    happened = [(own.counters, first), *((_from_zero(report), name) for report, name in alive)]
    yield _filled(f.EVENTS, [(n, (*name, event)) for counters, name in happened for event, n in events(counters)])
    yield from _of_egresses([worker for worker, _ in names if worker.alive and worker.report.role is Role.EGRESS])


def _from_zero(report: Report) -> Mapping[str, int]:
    return {**dict.fromkeys(FROM_ZERO.get(report.role, ()), 0), **report.counters}


def _of_egresses(workers: list[Worker]) -> Iterator[Metric]:
    for counter, family in f.OF_COUNTERS.items():
        counted = [worker for worker in workers if counter in worker.report.counters]
        yield _filled(family, [(worker.report.counters[counter], (worker.node,)) for worker in counted])
    for family, measure in _MEASURES:
        samples = _Samples(family)
        for worker in workers:
            found = (each for each in worker.report.measured if each.measure == measure)
            samples.measure(next(found, Histogram(measure).measured), worker.node)  # none yet
        yield samples.metric


def _of_viewers(director: Director) -> Iterator[Metric | None]:
    by_state = Counter({(w.node, state): 0 for w in director.workers for state in ViewerState if _serves(w)})
    waiting = Counter({worker.node: 0 for worker in director.workers if _serves(worker)})
    by_codec: Counter[tuple[str, str]] = Counter()
    by_way: Counter[str] = Counter()
    for id in [*director.sessions]:
        if (status := director.session(id)) is None:  # it ended while others had their turn
            continue
        report = status.report or ViewerReport(id, status.camera, ViewerState.CONNECTING)
        by_state[status.node, report.state] += 1
        waiting[status.node] += report.state is ViewerState.CONNECTED and bool(report.waiting)
        by_way[report.transport if report.transport in _WAYS else "none"] += 1
        by_codec[Kind.VIDEO, _codec(report.video)] += 1
        by_codec[Kind.AUDIO, _codec(report.audio)] += 1
        yield None
    yield _filled(f.VIEWERS, [(count, labels) for labels, count in by_state.items()])
    yield _filled(f.VIEWERS_WAITING, [(count, (node,)) for node, count in waiting.items()])
    yield _filled(f.VIEWERS_WAY, [(count, (way,)) for way, count in by_way.items()])
    yield _filled(f.VIEWERS_CODEC, [(count, labels) for labels, count in by_codec.items()])


def _serves(worker: Worker) -> bool:
    return worker.alive and worker.report.role is Role.EGRESS


def _codec(text: str) -> str:
    """The name of a codec; "none" for the reason why there is none."""
    return text if text in _CODECS else "none"


def _of_cameras(director: Director, streams: list[CameraName]) -> Iterator[Metric | None]:
    states = Counter(dict.fromkeys(CameraState, 0))
    state, failed, viewers, reconnects = map(_Samples, (f.STATE, f.FAILED, f.CAMERA_VIEWERS, f.RECONNECTS))
    tracks = [(_Samples(family), field) for family, field in f.OF_TRACKS]
    for name in streams:
        if (status := director.camera(name)) is None:  # it was removed while others had their turn
            continue
        now, _, _ = status.itself
        labels = split_stream(name)
        states[now] += 1
        state.add(1, *labels, now)
        failed.add(now.failed, *labels)
        viewers.add(status.shown, *labels)
        if status.stream is not None:
            reconnects.add(status.stream.reconnects, *labels)
        _add_tracks(tracks, status, labels)
        yield None
    yield _filled(f.CAMERAS, [(count, (state,)) for state, count in states.items()])
    for samples in (state, failed, viewers, reconnects, *(each for each, _ in tracks)):
        yield samples.metric


def _add_tracks(tracks: list[tuple[_Samples, str]], status: CameraStatus, labels: tuple[str, str]) -> None:
    """The figures of a stream's tracks, one of each kind: a worker's report might name one twice."""
    if status.stream is None:
        return
    for kind, stats in {each.kind: each for each in status.stream.stats}.items():
        for samples, name in tracks:
            samples.add(getattr(stats, name), *labels, kind)
