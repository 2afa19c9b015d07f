"""All metrics of a director's and its workers', read by a parser that is not ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broker.metrics.collect import Own, collect
from broker.metrics.families import FAMILIES
from common.cameras import CameraState
from common.control import Load, Measured, Report, Role, TrackStats, ViewerReport, ViewerState
from common.histogram import Histogram, Measure
from common.media import Kind
from tests.fakes.stage import Stage, camera, stream, viewer

ANSWER = Histogram(Measure.ANSWER)
ANSWER.add(0.02)
OWN = Own(
    version="1",
    host="here",
    load=Load(0.5, 7 << 20, 9 << 30),
    reasons={"relay": False, "no_egress": True},
    connections=3,
    sockets=2,
    socket_queues=100,
    unanswered=1,
    offers={"answered": 5, "limit_sessions": 2},
    answer=ANSWER.measured,
    relay={"in": (10, 1_000), "out": (20, 2_000)},
    reserve=256 << 20,
    tasks=12,
    counters={"http_garbage": 4},
)


class Text:
    """A collector of what was collected."""

    def __init__(self, stage: Stage, *streams: str, own: Own = OWN) -> None:
        self._metrics = [each for each in collect(own, stage.director, streams, stage.now) if each is not None]
        self.text = generate_latest(self).decode()  # type: ignore[arg-type]
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def collect(self):
        return self._metrics

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """The values of one metric by its labels', in the order of their names."""
        found = [sample for sample in self.samples if sample.name == name]
        return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in found}


@pytest.fixture
def stage() -> Stage:
    """Two cameras, one of which is away; an ingest, an egress with three viewers, a transcoder."""
    stage = Stage(camera("door"), camera("door/sub"), camera("yard"))
    stats = (
        TrackStats(Kind.VIDEO, packets=100, bytes=90_000, lost=3, frames=30, keyframes=2, jitter=0.002),
        TrackStats(Kind.AUDIO, packets=50, dropped=4),
        TrackStats(Kind.AUDIO, packets=51),
    )
    away = stream("yard", state=CameraState.UNREACHABLE, reconnects=4)
    stage.ingest("in-1", stream("door", stats=stats), stream("door/sub"), away, counters={"junk_bytes": 8, "tasks": 5})
    stage.transcode("x-1", full=True)
    stage.egress("out-1")
    for session in ("a", "b", "c"):
        stage.watch(session)
    delay = Histogram(Measure.DELAY)
    delay.add(0.003)
    stage.egress(
        "out-1",
        replace(viewer("a"), video="H264", audio="opus", transport="tcp"),
        replace(viewer("b"), video="not negotiated", transport="by pigeon", waiting="for a keyframe"),
        ViewerReport("c", "door", ViewerState.CONNECTING),
        counters={"sent_bytes": 70, "gaps": 2},
        measured=(delay.measured, Measured("patience", (1,), 1.0)),
        subscribed=("door",),
    )
    return stage


@pytest.fixture
def text(stage: Stage) -> Text:
    return Text(stage, "door", "door/sub", "yard")


def test_only_what_is_in_the_table_is_exposed(text: Text) -> None:
    known = {family.name.removesuffix("_total"): family for family in FAMILIES}
    assert text.families.keys() <= known.keys()
    for name, family in text.families.items():
        assert (family.type, family.documentation) == (known[name].type, known[name].help)
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == set(known[name].labels), sample


def test_no_series_is_there_twice(text: Text) -> None:
    series = [(sample.name, *sorted(sample.labels.items())) for sample in text.samples]
    assert len(set(series)) == len(series), "the second audio track of a camera is none of ours"


def test_the_broker_itself(text: Text) -> None:
    assert text.values("camshaft_info") == {("1",): 1}
    assert text.values("camshaft_ready") == {(): 0}
    assert text.values("camshaft_not_ready") == {("relay",): 0, ("no_egress",): 1}
    assert text.values("camshaft_http_connections") == {(): 3}
    offers = text.values("camshaft_offers_total")
    assert {outcome: count for outcome, count in offers.items() if count} == {("answered",): 5, ("limit_sessions",): 2}
    assert text.values("camshaft_relay_bytes_total") == {("in",): 1_000, ("out",): 2_000}
    assert text.values("camshaft_answer_seconds_bucket")["+Inf",] == 1
    assert text.values("camshaft_answer_seconds_sum") == {(): 0.02}


def test_a_certificate_is_shown_where_there_is_one(stage: Stage, text: Text) -> None:
    assert "camshaft_certificate" not in text.text
    with_tls = Text(stage, own=replace(OWN, certificate=1_800_000_000.0))
    assert with_tls.values("camshaft_certificate_expires_timestamp_seconds") == {(): 1_800_000_000.0}


def test_nodes(stage: Stage, text: Text) -> None:
    assert text.values("camshaft_node_up") == {
        ("broker", "broker"): 1,
        ("in-1", "ingest"): 1,
        ("out-1", "egress"): 1,
        ("x-1", "transcode"): 1,
    }
    assert text.values("camshaft_node_cpu_cores")["broker", "broker"] == 0.5
    assert text.values("camshaft_node_memory_free_bytes") == {("broker", "broker"): 9 << 30}, "others do not say"
    assert text.values("camshaft_node_full") == {("out-1", "egress"): 0, ("x-1", "transcode"): 1}
    assert text.values("camshaft_node_streams") == {
        ("in-1", "ingest"): 3,
        ("out-1", "egress"): 1,
        ("x-1", "transcode"): 0,
    }
    assert text.values("camshaft_node_tasks") == {("broker", "broker"): 12, ("in-1", "ingest"): 5}
    assert {event: count for event, count in text.values("camshaft_events_total").items() if count} == {
        ("http_garbage", "broker", "broker"): 4,
        ("junk_bytes", "in-1", "ingest"): 8,
        ("gaps", "out-1", "egress"): 2,
    }
    assert text.values("camshaft_sent_bytes_total") == {("out-1",): 70}
    assert text.values("camshaft_delay_seconds_bucket")["0.005", "out-1"] == 1
    assert text.values("camshaft_delay_seconds_count") == {("out-1",): 1}
    assert "patience" not in text.text


def test_what_alerts_ask_for_is_there_before_it_happens(text: Text) -> None:
    """Prometheus sees no increase in a series that begins with its first count."""
    told = text.values("camshaft_events_total")
    assert (told["overloads", "out-1", "egress"], told["units_given_up", "x-1", "transcode"]) == (0, 0)
    assert text.values("camshaft_offers_total")["limit_offer_rate",] == 0
    assert text.values("camshaft_first_picture_seconds_bucket")["2.5", "out-1"] == 0
    assert text.values("camshaft_first_picture_seconds_count") == {("out-1",): 0}


def test_a_dead_node_is_shown_as_down_and_then_not_at_all(stage: Stage) -> None:
    for _ in range(4):
        stage.tick(1.0)
        stage.ingest("in-1", stream("door"))
    text = Text(stage, "door")
    assert text.values("camshaft_node_up")["out-1", "egress"] == 0
    assert ("out-1", "egress") not in text.values("camshaft_node_cpu_cores"), "it uses nothing any more"
    assert not any(labels[0] == "out-1" for labels in text.values("camshaft_viewers"))
    stage.tick(60.0)
    assert "out-1" not in Text(stage, "door").text


def test_viewers(text: Text) -> None:
    assert text.values("camshaft_viewers") == {("out-1", "connected"): 2, ("out-1", "connecting"): 1}
    assert text.values("camshaft_viewers_way") == {("tcp",): 1, ("none",): 2}
    assert text.values("camshaft_viewers_waiting") == {("out-1",): 1}
    assert text.values("camshaft_viewers_codec") == {
        ("H264", "video"): 1,
        ("none", "video"): 2,
        ("opus", "audio"): 1,
        ("none", "audio"): 2,
    }


def test_cameras(text: Text) -> None:
    assert text.values("camshaft_camera_state") == {
        ("door", "playing", "main"): 1,
        ("door", "playing", "sub"): 1,
        ("yard", "unreachable", "main"): 1,
    }
    assert text.values("camshaft_camera_failed") == {("door", "main"): 0, ("door", "sub"): 0, ("yard", "main"): 1}
    assert text.values("camshaft_camera_reconnects_total")["yard", "main"] == 4
    assert text.values("camshaft_camera_viewers")["door", "main"] == 3
    assert text.values("camshaft_camera_packets_lost_total")["door", "video", "main"] == 3
    assert text.values("camshaft_camera_jitter_seconds")["door", "video", "main"] == 0.002
    states = text.values("camshaft_cameras")
    assert (states["playing",], states["unreachable",], states["idle",]) == (2, 1, 0)
    assert len(states) == len(CameraState), "those that nobody is in as well"


def test_what_goes_while_others_have_their_turn_is_left_out(stage: Stage) -> None:
    metrics = collect(OWN, stage.director, ["door", "yard"], stage.now)
    for metric in metrics:
        if metric is not None and metric.name == "camshaft_info":
            stage.want(camera("door"))
    assert Text(stage, "door", "nowhere").values("camshaft_camera_failed") == {("door", "main"): 0}


@pytest.mark.parametrize("name", ['a"b\\c', "line\nbreak", "Küche"])
def test_a_name_cannot_break_the_format(name: str) -> None:
    stage = Stage()
    stage.hear(name, Report(name, Role.EGRESS, "1", host=name, version=name))
    assert text_of(stage, name)["node_up"] == 1


def text_of(stage: Stage, node: str) -> dict[str, float]:
    text = Text(stage)
    return {"node_up": text.values("camshaft_node_up")[node, "egress"]}
