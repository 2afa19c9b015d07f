"""A converter makes something of a wrong picture or sound, or a sentence says why it does not."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from common.media import Kind
from common.payload.assembler import Assembler
from ingest.payload.registry import choose
from ingest.rtp.stream import CameraStream
from ingest.sdp import parse
from rigs.bad_tracks import BAD, FPS
from transcode.conversion import Converter, Made
from transcode.picture import PictureConverter
from transcode.sound import SoundConverter
from transcode.success import Success

START_NS = 1_700_000_000 * 10**9
EVERY_NS = 10**9 // FPS
PICTURES = 7 * FPS  # so long takes a camera without keyframes to be doubted
MOST_APART = 0.1  # seconds between sound and the picture that came with it
TICKS_NS = 10**9 // 90_000
HELD_UP = 0.05  # seconds of CPU that a turn may take for which other cameras wait; most take a thousandth of that


@dataclass
class Turns:
    """The turns of event loops that a camera costs: of ingest, and of the transcode process but for its threads."""

    longest: float = 0.0  # seconds of CPU, so that it does not matter what else the machine does

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One of them."""
        began = time.thread_time()
        yield
        self.longest = max(self.longest, time.thread_time() - began)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's garbage collector, which would go through all that the tests before this one have left."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@dataclass
class Outcome:
    """The product of a track, and what is said of it."""

    made: list[Made] = field(default_factory=list)
    said: str = ""
    units: int = 0


def outcomes(name: str, turns: Turns) -> dict[Kind, Outcome]:
    """Each track of a camera through receiver, bus and converter, at the pace of its pictures."""
    bad = BAD[name]
    tracks = bad.tracks()
    description = "".join(f"{track.sdp}a=control:{track.control}\n" for track in tracks)
    with turns.turn():
        choices, _ = choose(parse(f"v=0\n{description}".encode()))
        stream = CameraStream(choices, udp=False, epoch=1)
    found = {receiver.track.kind: Outcome() for receiver in stream.receivers}
    converters: dict[str, tuple[Assembler, Converter, Success]] = {}
    sequences = [0] * len(tracks)
    for number in range(PICTURES):
        now_ns = START_NS + number * EVERY_NS
        for at, (receiver, track) in enumerate(zip(stream.receivers, tracks, strict=True)):
            if not number % 10:
                receiver.receive_rtcp(track.report(number, now_ns), now_ns)
            packets = track.packets(number, sequences[at])
            sequences[at] += len(packets)
            for packet in packets:
                for mangled in bad.mangle(packet):
                    with turns.turn():
                        receiver.receive(mangled, now_ns)
        with turns.turn():
            batches = stream.take(now_ns)
        for batch in batches:
            receiver = next(each for each in stream.receivers if each.track.kind == batch.kind)
            if batch.kind not in converters:
                track_now = receiver.track
                picture = track_now.kind is Kind.VIDEO
                with turns.turn():
                    made = PictureConverter(track_now.codec) if picture else SoundConverter(track_now)
                converters[batch.kind] = Assembler(track_now.kind, track_now.codec), made, Success(track_now)
            assembler, converter, success = converters[batch.kind]
            with turns.turn():
                unit = assembler.push(batch)
            if unit is None:
                continue
            outcome = found[receiver.track.kind]
            outcome.units += 1
            with turns.turn() if batch.kind == Kind.AUDIO else nullcontext():
                outcome.made += converter.convert(unit, show=True)
            success.hear(outcome.units, converter.undecodable)
            outcome.said = success.problem or ""
    for receiver in stream.receivers:
        outcome = found[receiver.track.kind]
        outcome.said = outcome.said or receiver.unpacking.hindrance
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("name", BAD)
def test_something_is_made_of_it_or_said(name: str) -> None:
    turns = Turns()
    with uncollected():
        found = outcomes(name, turns)
    assert turns.longest < HELD_UP, "other cameras wait"
    silent = [kind for kind, outcome in found.items() if outcome.said]
    assert bool(silent) is bool(BAD[name].said), found
    for kind in silent:
        assert BAD[name].said in found[kind].said
    for kind, outcome in found.items():
        if kind not in silent:
            assert len(outcome.made) >= 0.95 * PICTURES
            times = [made.capture_ns for made in outcome.made]
            assert all(after - before >= TICKS_NS for before, after in pairwise(times))
            assert abs(times[-1] - (START_NS + PICTURES * EVERY_NS)) < MOST_APART * 10**9, "it stays with its camera"
