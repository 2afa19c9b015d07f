"""One rendition by two ways: each batch is passed on once and in order, whichever is faster and whenever it changes."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from common.media import Batch, live_topic
from common.worker.incoming import EPOCH_SILENCE, Incoming
from common.worker.ways import MAX_HELD, PATIENCE, Joining, Ways
from tests.fakes.media import audio, video
from tests.fakes.sink import recording_sinks

DOOR = live_topic("door")


class Stage:
    """A publisher, the relay and a pipe as queues, and the subscriber that reads both."""

    def __init__(self) -> None:
        self.now = 1.0
        self.sinks = recording_sinks()
        self.incoming = Incoming(self.sinks, lambda: None)
        self.ways: Ways[str] = Ways(self._relay)
        self.wanted = False  # of the relay; the publisher hears of it later
        self.heard = False
        self.relay: deque[Batch] = deque()
        self.pipes: dict[str, deque[Batch]] = {}
        self.pictures = self.sounds = 0
        self.ways.begin(DOOR)

    def _relay(self, topic: bytes, subscribe: bool) -> None:
        self.wanted = subscribe
        if not subscribe:
            self.relay.clear()  # a SUB socket hands out nothing more of it

    @property
    def near(self) -> str | Joining[str] | None:
        return self.ways.sources.get(DOOR)

    def emit(self, epoch: int = 1, pipe: str = "pipe") -> None:
        """A picture and its sound."""
        picture = video(self.pictures, self.pictures, keyframe=not self.pictures, packets=1, epoch=epoch)
        self.pictures += 1
        self.sounds += 1
        for batch in (picture, audio(self.sounds - 1, epoch=epoch)):
            if self.heard:
                self.relay.append(batch)
            if pipe in self.pipes:
                self.pipes[pipe].append(batch)

    def deliver(self, pipe: str | None = None) -> None:
        """Hand on the next batch of a way, if it has one."""
        queue = self.relay if pipe is None else self.pipes.get(pipe, deque())
        if queue:
            self.come(queue.popleft(), pipe)

    def come(self, batch: Batch, pipe: str | None) -> None:
        if self.near is pipe:
            self.take(batch)
        else:
            expected = self.incoming.expects(batch.kind)[1]
            self.ways.come(DOOR, batch, pipe, self.take, epoch=self.incoming.epoch, expected=expected, now=self.now)

    def take(self, batch: Batch) -> bool:
        return self.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns)

    def drain(self) -> None:
        for _ in range(3):
            self.heard = self.wanted
            self.emit()
            while self.relay or any(self.pipes.values()):
                for way in (None, *self.pipes):
                    self.deliver(way)

    def numbers(self, kind: str) -> list[int]:
        return [batch.sequence for batch in self.sinks[kind].batches]


def flowing() -> Stage:
    """By the relay."""
    stage = Stage()
    stage.heard = True
    stage.emit()
    stage.deliver()
    stage.deliver()
    return stage


STEPS = ("emit", "relay", "near", "heard", "connect", "certain", "doubt", "silent", "flows")


@settings(max_examples=300)
@given(st.lists(st.sampled_from(STEPS), max_size=60))
def test_each_batch_is_passed_on_once_and_in_order(steps: list[str]) -> None:
    stage = flowing()
    for step in steps:
        match step:
            case "emit":
                stage.emit()
            case "relay":
                stage.deliver()
            case "near":
                stage.deliver("pipe")
            case "heard":
                stage.heard = stage.wanted
            case "connect":
                stage.pipes.setdefault("pipe", deque())
            case "certain" | "doubt":
                stage.ways.certain(step == "certain")
            case "silent":  # nothing has come for long, or was read
                stage.ways.silent(DOOR)
            case "flows":
                stage.ways.flows(DOOR)
    stage.drain()
    for kind in ("video", "audio"):
        assert stage.numbers(kind) == list(range(stage.pictures)), kind
    assert stage.incoming.counters["gaps"] == stage.incoming.counters["lost"] == 0


def test_what_comes_from_near_by_first_needs_no_relay() -> None:
    stage = Stage()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.emit()
    stage.deliver("pipe")
    assert stage.near == "pipe"
    assert not stage.wanted
    assert stage.numbers("video") == [0]


def test_a_relay_that_is_away_is_not_waited_for() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.heard = False
    stage.emit()
    stage.deliver("pipe")
    stage.now += PATIENCE
    assert isinstance(stage.near, Joining)
    stage.deliver("pipe")
    assert stage.near == "pipe"
    assert stage.numbers("video") == [0, 1]
    assert stage.numbers("audio") == [0, 1]


def test_what_comes_near_by_goes_on_after_a_silence() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.drain()
    assert stage.near == "pipe"
    stage.ways.silent(DOOR)
    for _ in range(5):  # all that the publisher has read at once, before it hears that the relay wants it again
        stage.emit()
    stage.heard = stage.wanted
    stage.emit()
    while stage.relay:
        stage.deliver()
    while stage.pipes["pipe"]:
        stage.deliver("pipe")
    for kind in ("video", "audio"):
        assert stage.numbers(kind) == list(range(stage.pictures)), kind
    stage.ways.flows(DOOR)
    assert stage.near == "pipe"
    assert not stage.wanted


def test_a_relay_that_was_asked_late_skips_nothing_that_came_near_by() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.heard = False
    stage.pipes["pipe"] = deque()
    stage.emit()
    stage.deliver("pipe")  # the picture; its sound is still unread
    for _ in range(5):
        stage.emit()
    stage.come(audio(stage.sounds, epoch=1), None)
    assert stage.near == "pipe"
    stage.drain()
    for kind in ("video", "audio"):
        assert stage.numbers(kind) == list(range(stage.pictures)), kind
    assert stage.incoming.counters["lost"] == 0


def test_a_start_near_by_is_taken_whether_or_not_all_publishers_are() -> None:
    stage = Stage()
    stage.pipes["pipe"] = deque()
    stage.emit()
    stage.deliver("pipe")
    assert stage.near == "pipe"
    assert stage.wanted
    stage.ways.certain(True)
    assert not stage.wanted


def test_an_older_epoch_by_the_relay_counts_again_once_the_newer_is_silent() -> None:
    stage = Stage()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.emit(epoch=2)
    stage.deliver("pipe")
    stage.ways.silent(DOOR)
    older = video(9, 9, keyframe=True, packets=1)
    stage.come(older, None)
    assert stage.near == "pipe"
    stage.now += EPOCH_SILENCE
    stage.come(older, None)
    assert stage.near is None
    assert stage.incoming.epoch == 1


def test_what_is_held_is_bounded() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.heard = False
    for _ in range(MAX_HELD):
        stage.emit()
        stage.deliver("pipe")
        stage.deliver("pipe")
    assert isinstance(stage.near, Joining)
    assert len(stage.near.held) <= MAX_HELD


def test_another_publisher_near_by_takes_over_with_a_newer_epoch() -> None:
    stage = Stage()
    stage.ways.certain(True)
    stage.pipes |= {"pipe": deque(), "other": deque()}
    stage.emit()
    stage.deliver("pipe")
    before, stage.pictures, stage.sounds = stage.pictures, 0, 0
    stage.emit(epoch=2, pipe="other")
    stage.deliver("other")
    assert stage.near == "other"
    stage.come(video(before, before, packets=1), "pipe")
    assert stage.near == "other", "what is left over of the former one counts no more"
    stage.ways.ended("pipe")
    assert not stage.wanted
    stage.ways.ended("other")
    assert stage.wanted


def test_a_newer_epoch_by_the_relay_wins_while_both_ways_are_taken() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.emit()
    stage.deliver("pipe")
    stage.deliver()
    assert stage.near == "pipe"
    stage.ways.certain(False)
    assert stage.wanted
    stage.come(video(7, 7, packets=1), None)
    assert stage.numbers("video") == [0, 1], "the near way brings it"
    stage.come(video(0, 0, packets=1, keyframe=True, epoch=2), None)
    assert stage.near is None
    assert stage.incoming.epoch == 2


def test_a_former_owner_near_by_does_not_become_the_way() -> None:
    stage = flowing()
    stage.come(video(0, 0, packets=1, keyframe=True, epoch=2), None)
    stage.ways.certain(True)
    stage.come(video(1, 1, packets=1), "pipe")
    stage.come(video(1, 1, packets=1), None)
    assert stage.near is None
    assert stage.wanted


def test_a_batch_after_which_nobody_wants_more_is_the_last() -> None:
    stage = flowing()
    stage.ways.certain(True)
    stage.pipes["pipe"] = deque()
    stage.emit()

    def last(batch: Batch) -> bool:
        stage.ways.over(DOOR)
        return stage.take(batch)

    stage.ways.come(DOOR, stage.pipes["pipe"].popleft(), "pipe", last, epoch=1, expected=1, now=stage.now)
    stage.ways.come(DOOR, stage.relay.popleft(), None, last, epoch=1, expected=1, now=stage.now)
    assert stage.near is None
    assert not stage.wanted
