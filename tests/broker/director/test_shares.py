"""Cameras that move to ingests which have fewer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest

from broker.director.commands import Command
from broker.director.shares import ARRIVES_WITHIN, AT_ONCE, BETWEEN, FIRST_DOUBT, SETTLED, STAYS
from common.cameras import CameraSpec, CameraState
from common.control import Assign, Release, TrackStats
from common.media import Kind
from tests.fakes.stage import Stage, camera, sent, stream, viewer

TICK = 0.5


@dataclass
class Ingests:
    """Ingests that do what they are told: a camera plays on the second report after it was assigned, if it can."""

    stage: Stage
    has: dict[str, dict[str, int]] = field(default_factory=dict)  # node: camera: reports since
    states: dict[tuple[str, str], CameraState] = field(default_factory=dict)  # node and camera that do not go on
    rates: dict[str, float] = field(default_factory=dict)  # bit/s
    watched: tuple[str, ...] = ()  # cameras, each by a session of its name
    draining: set[str] = field(default_factory=set)
    most_moving: int = 0

    def tick(self, seconds: float = TICK) -> list[tuple[str, object]]:
        told = self.follow(self.stage.tick(seconds))
        for node in list(self.has):
            told += self.follow(self.stage.ingest(node, *self.served(node), draining=node in self.draining))
        if self.watched:
            self.stage.egress("out-1", *(viewer(f"of {id}", id) for id in self.watched))
        twice = Counter(id for cameras in self.has.values() for id in cameras)
        self.most_moving = max(self.most_moving, sum(count > 1 for count in twice.values()))
        return told

    def follow(self, commands: list[Command]) -> list[tuple[str, object]]:
        for node, message in sent(commands):
            match message:
                case Assign(spec):
                    self.has[node].setdefault(spec.id, 0)
                case Release(id):
                    self.has[node].pop(id, None)
        return sent(commands)

    def served(self, node: str) -> list[object]:
        found = []
        for id in self.has[node]:
            self.has[node][id] += 1
            plays = CameraState.PLAYING if self.has[node][id] > 1 else CameraState.CONNECTING
            state = self.states.get((node, id), plays)
            octets = int(self.rates.get(id, 0) / 8 * self.stage.now)
            stats = (TrackStats(Kind.VIDEO, keyframes=int(state is CameraState.PLAYING), bytes=octets),)
            found.append(stream(id, state=state, stats=stats))
        return found

    def run(self, seconds: float) -> list[tuple[str, object]]:
        return [each for _ in range(int(seconds / TICK)) for each in self.tick()]

    def counts(self) -> list[int]:
        return [len(cameras) for cameras in self.has.values()]


def ingests(count: int, *, specs: list[CameraSpec] | None = None) -> Ingests:
    """``count`` cameras on in-1, which is alone and settled."""
    stage = Stage(*(specs or [camera(f"c{number}") for number in range(count)]))
    made = Ingests(stage, {"in-1": {}})
    made.run(2 * SETTLED)
    assert made.counts() == [count]
    return made


@pytest.mark.thorough
def test_a_new_ingest_takes_its_share_and_then_nothing_moves_any_more() -> None:
    made = ingests(9)
    made.has["in-2"] = {}
    made.run(SETTLED)
    assert made.counts() == [9, 0], "it may be one that was just started again"
    made.run(3)
    assert 0 < made.counts()[1] < 4, "not all at once"
    made.run(20 * BETWEEN)
    assert sorted(made.counts()) == [4, 5]
    assert made.most_moving <= AT_ONCE
    before = {node: set(cameras) for node, cameras in made.has.items()}
    assert not [told for told in made.run(1.5 * STAYS) if isinstance(told[1], Assign | Release)]
    assert {node: set(cameras) for node, cameras in made.has.items()} == before


def test_the_new_one_plays_before_the_old_one_lets_go() -> None:
    made = ingests(2)
    made.has["in-2"] = {}
    told = made.run(SETTLED + 4 * BETWEEN)
    orders = [(node, type(message)) for node, message in told if isinstance(message, Assign | Release)]
    assert orders[0] == ("in-2", Assign)
    assert ("in-1", Release) in orders
    assert made.counts() == [1, 1]


def test_those_that_nobody_watches_go_first() -> None:
    made = ingests(4)
    made.stage.egress("out-1")
    made.watched = ("c0", "c1", "c2")
    for id in made.watched:
        made.stage.watch(f"of {id}", id)
    made.has["in-2"] = {}
    made.run(SETTLED + 6 * BETWEEN)
    assert next(iter(made.has["in-2"])) == "c3"
    assert made.counts() == [2, 2]


@pytest.mark.parametrize(
    "spec",
    [
        {"one_session": True},
        {"url": "device:///dev/video0"},
        {"url": "udp://239.1.1.1:5004"},
    ],
    ids=lambda spec: next(iter(spec)),
)
def test_what_cannot_be_had_twice_stays(spec: dict[str, object]) -> None:
    made = ingests(4, specs=[camera(f"c{number}", **spec) for number in range(4)])
    made.has["in-2"] = {}
    made.run(SETTLED + 20 * BETWEEN)
    assert made.counts() == [4, 0]


def test_one_that_does_not_play_stays() -> None:
    made = ingests(4)
    made.states = {("in-1", f"c{number}"): CameraState.UNREACHABLE for number in range(4)}
    made.run(1)
    made.has["in-2"] = {}
    made.run(SETTLED + 20 * BETWEEN)
    assert made.counts() == [4, 0]


def test_one_that_refuses_a_second_session_stays_where_it_plays_and_is_known_for_it() -> None:
    made = ingests(2)
    made.has["in-2"] = {}
    made.states = {("in-2", f"c{number}"): CameraState.FULL for number in range(2)}
    told = made.run(SETTLED + 20 * BETWEEN)
    assert made.counts() == [2, 0]
    assert [message.camera.id for _, message in told if isinstance(message, Assign)] == ["c0", "c1"], "each once"
    assert not [told for told in told if told[0] == "in-1" and isinstance(told[1], Release)], "it plays all the while"


@pytest.mark.thorough
def test_an_ingest_that_reaches_no_camera_is_asked_ever_more_seldom() -> None:
    made = ingests(20)
    made.has["in-2"] = {}
    made.states = {("in-2", f"c{number}"): CameraState.UNREACHABLE for number in range(20)}
    told = made.run(SETTLED + ARRIVES_WITHIN + FIRST_DOUBT / 2)
    assert len([message for _, message in told if isinstance(message, Assign)]) <= AT_ONCE + 1
    told = made.run(10 * FIRST_DOUBT)
    assert len([message for _, message in told if isinstance(message, Assign)]) <= 4 * AT_ONCE
    assert made.counts()[0] == 20
    assert not [told for told in told if told[0] == "in-1" and isinstance(told[1], Release)]


def test_a_worker_that_drains_while_a_camera_moves_by_choice_has_it_moved_in_any_case() -> None:
    made = ingests(2)
    made.has["in-2"] = {}
    made.states = {("in-2", f"c{number}"): CameraState.CONNECTING for number in range(2)}
    while not made.has["in-2"]:
        made.tick()
    made.draining.add("in-1")
    made.run(2 * ARRIVES_WITHIN)
    assert made.counts() == [2, 2], "both wait for its keyframe"
    made.states.clear()
    made.run(2)
    assert made.counts() == [0, 2]


def test_a_worker_that_dies_while_a_camera_moves_leaves_it_to_the_other() -> None:
    made = ingests(2)
    made.has["in-2"] = {}
    while not made.has["in-2"]:
        made.tick()
    del made.has["in-1"]
    made.stage.leave("in-1")
    made.run(5)
    assert made.counts() == [2]


def test_heavy_cameras_count_for_more() -> None:
    made = ingests(6)
    made.rates = {"c0": 20e6, "c1": 20e6}
    made.run(10)
    made.has["in-2"] = {}
    made.run(SETTLED + 20 * BETWEEN)
    assert sum(id in made.rates for id in made.has["in-2"]) == 1


def test_one_that_would_make_the_other_the_busier_one_stays() -> None:
    made = ingests(2)
    made.rates = {"c0": 20e6}
    made.run(10)
    made.has["in-2"] = {}
    made.run(SETTLED + 20 * BETWEEN)
    assert set(made.has["in-2"]) == {"c1"}


def test_no_more_than_a_few_are_on_their_way_though_none_arrives() -> None:
    made = ingests(9)
    made.has["in-2"] = {}
    made.states = {("in-2", f"c{number}"): CameraState.CONNECTING for number in range(9)}
    made.run(SETTLED + 10 * BETWEEN)
    assert len(made.has["in-2"]) == AT_ONCE


@pytest.mark.thorough
def test_an_ingest_that_a_camera_has_reached_is_doubted_no_longer_than_at_first() -> None:
    made = ingests(30)
    made.has["in-2"] = {}
    unreachable = {("in-2", f"c{number}"): CameraState.UNREACHABLE for number in range(30)}
    made.states = dict(unreachable)
    made.run(SETTLED + ARRIVES_WITHIN + 4 * BETWEEN)  # two have tried in vain
    made.states = {}
    while len(made.has["in-2"]) < 3:
        made.tick()
    made.run(1)
    made.states = {at: state for at, state in unreachable.items() if at[1] not in made.has["in-2"]}
    made.run(ARRIVES_WITHIN + 4 * BETWEEN)  # two others have
    told = made.run(2 * FIRST_DOUBT)
    assert [message for _, message in told if isinstance(message, Assign)]
