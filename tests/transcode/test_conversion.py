"""Units go in from the bus, what is made of them comes out to it, in order, however busy the machine is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from common.media import CONVERTED, Batch, Flags, Kind, Track
from common.payload.access_unit import access_unit
from common.payload.assembler import AccessUnit
from rigs.waiting import until
from tests.fakes.log import Recorder
from transcode.conversion import (
    MAX_WAITING,
    MAX_WAITING_BYTES,
    SHOWN_BEFORE,
    Conversion,
    Made,
    h264_payloads,
)
from transcode.gathering import BURST, GATHER, SMALL, Gathering
from transcode.success import JUDGED

KEY_AND_END, END = int(Flags.KEYFRAME | Flags.UNIT_END), int(Flags.UNIT_END)
FRAME_NS = 40_000_000


class Slow:
    """A converter that waits for the test before each unit, if it is told to."""

    def __init__(self) -> None:
        self.undecodable = 0
        self.seen: list[tuple[bytes, bool]] = []
        self.threads: list[int] = []
        self.takes = 0.0  # seconds of CPU for each unit
        self.gate = threading.Event()
        self.gate.set()

    def convert(self, unit: AccessUnit, *, show: bool) -> list[Made]:
        assert self.gate.wait(5)
        self.seen.append((unit.data, show))
        self.threads.append(threading.get_ident())
        until = time.thread_time() + self.takes
        while time.thread_time() < until:
            pass
        if unit.data == b"bad":
            raise MemoryError("no more")
        if unit.data == b"noise":
            self.undecodable += 1
            return []
        return [Made([unit.data], unit.keyframe, unit.capture_ns, unit.arrival_ns)] if show else []


class Bench:
    def __init__(self, executor: ThreadPoolExecutor, codec: str, kind: Kind = Kind.VIDEO) -> None:
        self.codec, self.kind = codec, kind
        self.converters: list[Slow] = []
        self.batches: list[Batch] = []
        self.turns: list[int] = []  # how many of them left at once
        source = Track(kind, codec, 90_000)
        self.log = Recorder()
        self.conversion = Conversion(
            source,
            CONVERTED[kind],
            self._make,
            self._publish,
            executor,
            self.log,  # type: ignore[arg-type]
            epoch=7,
            gathering=Gathering() if kind is Kind.AUDIO else None,
        )
        self.epoch = 1
        self._number = 0

    def _publish(self, batches: list[Batch]) -> None:
        self.turns.append(len(batches))
        self.batches += batches

    def _make(self) -> Slow:
        self.converters.append(Slow())
        return self.converters[-1]

    def push(self, data: bytes, *, flags: int = KEY_AND_END) -> None:
        at = 10**18 + self._number * FRAME_NS
        self._number += 1
        self.conversion.push(Batch(self.kind, self.codec, self.epoch, self._number, 0, at, at + 5, flags, [data]), 0.0)


@asynccontextmanager
async def bench(codec: str = "JPEG", kind: Kind = Kind.VIDEO) -> AsyncIterator[Bench]:
    with ThreadPoolExecutor(1) as executor:
        made = Bench(executor, codec, kind)
        try:
            yield made
        finally:
            made.conversion.close()
            for converter in made.converters:
                converter.gate.set()


async def test_what_is_made_is_published_with_the_times_of_its_source() -> None:
    async with bench() as made:
        for number in range(5):
            made.push(b"%d" % number)
            await until(lambda: len(made.batches) == made.conversion.units)
    assert [batch.payloads for batch in made.batches] == [[b"%d" % n] for n in range(5)]
    assert [batch.timestamp for batch in made.batches] == [n * 3_600 for n in range(5)]
    assert [batch.capture_ns for batch in made.batches] == [10**18 + n * FRAME_NS for n in range(5)]
    assert {(batch.codec, batch.kind, batch.epoch, batch.flags) for batch in made.batches} == {
        ("H264", "video", 7, KEY_AND_END)
    }
    assert (made.conversion.units, made.conversion.made, made.conversion.given_up) == (5, 5, 0)


@pytest.mark.parametrize("bad", [b"noise", b"bad"])
async def test_what_nothing_comes_of_is_said_until_something_does(bad: bytes) -> None:
    async with bench() as made:
        conversion = made.conversion
        for data, said in ((bad, True), (b"fine", False)):
            for _ in range(2 * JUDGED):
                made.push(data)
                await until(lambda: conversion.undecodable + conversion.made == conversion.units)
            await until(lambda said=said: bool(conversion.problem) is said)  # type: ignore[misc]


async def test_units_that_cannot_be_put_together_are_said_as_well() -> None:
    async with bench("H264") as made:
        for _ in range(2 * JUDGED):
            made.push(b"\x7c\x05")  # a fragment between that has no beginning
        assert made.conversion.undecodable >= JUDGED
        assert made.conversion.problem


async def test_a_burst_is_caught_up_with_by_decoding_and_the_newest_come_first() -> None:
    async with bench() as made:
        made.converters[0].gate.clear()
        for number in range(20):
            made.push(b"%d" % number)
        made.converters[0].gate.set()
        await until(lambda: len(made.converters[0].seen) == 20)
        await until(lambda: made.conversion.made == 1 + SHOWN_BEFORE + 1)
    assert [data for data, _ in made.converters[0].seen] == [b"%d" % n for n in range(20)], "all are decoded, in order"
    shown = [show for _, show in made.converters[0].seen]
    assert shown == [True] + [False] * (18 - SHOWN_BEFORE) + [True] * (SHOWN_BEFORE + 1), "the first was alone"


async def test_a_queue_without_end_is_given_up_until_the_next_keyframe() -> None:
    async with bench() as made:
        made.converters[0].gate.clear()
        made.push(b"first")
        for number in range(MAX_WAITING + 3):
            made.push(b"%d" % number, flags=END)
        assert made.conversion.given_up >= MAX_WAITING - 1
        before = made.conversion.units
        made.push(b"needs another", flags=END)
        assert made.conversion.units == before
        made.push(b"new")
        made.converters[0].gate.set()
        await until(lambda: made.converters[0].seen[-1:] == [(b"new", True)])


async def test_a_converter_that_fails_is_made_anew_and_said_to_be() -> None:
    async with bench() as made:
        made.push(b"fine")
        await until(lambda: len(made.batches) == 1)
        made.push(b"bad")
        await until(lambda: made.conversion.failed == 1)
        made.push(b"needs another", flags=END)
        made.push(b"new")
        await until(lambda: len(made.batches) == 2)
    assert len(made.converters) == 2
    assert made.converters[1].seen == [(b"new", True)]
    assert "MemoryError" in str(made.log.of("a converter failed; making a new one"))


async def test_a_closed_conversion_publishes_nothing_more() -> None:
    async with bench() as made:
        made.converters[0].gate.clear()
        made.push(b"on its way")
        made.conversion.close()
        made.converters[0].gate.set()
        made.push(b"late")
        await until(lambda: len(made.converters[0].seen) == 1)
        await asyncio.sleep(0.05)  # nothing comes, which cannot be waited for
    assert made.batches == []


def test_parameter_sets_share_a_packet_and_slices_are_cut_equally() -> None:
    units = [b"\x67sps", b"\x68pps", b"\x65" + bytes(3_000), b"\x65small"]
    payloads = h264_payloads(units)
    assert payloads[0] == b"\x78\0\4\x67sps\0\4\x68pps"
    assert [len(payload) for payload in payloads[1:3]] == [1_160, 1_160]
    assert payloads[-1] == b"\x65small"
    assert access_unit("H264", payloads) == b"".join(b"\0\0\0\1" + unit for unit in units)


async def test_another_epoch_of_the_source_begins_another_of_what_is_made() -> None:
    async with bench() as made:
        made.push(b"old")
        await until(lambda: len(made.batches) == 1)
        made.converters[0].gate.clear()
        made.push(b"dropped")
        made.epoch = 2
        made.push(b"needs another", flags=END)
        made.push(b"new")
        made.converters[0].gate.set()
        await until(lambda: len(made.batches) == 2)
    assert [batch.payloads for batch in made.batches] == [[b"old"], [b"new"]]
    assert [batch.epoch for batch in made.batches] == [7, 8]
    assert made.batches[0].timestamp < made.batches[1].timestamp
    assert len(made.converters) == 2


async def test_what_was_made_leaves_before_the_next_unit_is_worked_on() -> None:
    async with bench() as made:
        gate = made.converters[0].gate
        gate.clear()
        for number in range(3):
            made.push(b"%d" % number)
        gate.set()
        await until(lambda: len(made.batches) == 3)
    assert made.turns == [1, 1, 1]


async def test_a_queue_is_bounded_in_bytes() -> None:
    async with bench() as made:
        made.converters[0].gate.clear()
        made.push(b"first")
        for _ in range(40):
            made.push(bytes(1 << 20), flags=END)
        assert made.conversion.given_up
        assert sum(len(unit.data) for unit in made.conversion._waiting) <= MAX_WAITING_BYTES


async def test_sound_costs_no_thread_and_leaves_together() -> None:
    async with bench("AAC", Kind.AUDIO) as made:
        for data in (b"0", b"noise", b"1", b"bad"):
            made.push(data)
        await until(lambda: made.conversion.failed == 1)
        assert [batch.payloads for batch in made.batches] == [[b"0"], [b"1"]]
        assert made.conversion.undecodable == 2
        made.push(b"2")
        await until(lambda: len(made.batches) == 3)
    assert {thread for each in made.converters for thread in each.threads} == {threading.get_ident()}


@pytest.mark.parametrize(("takes", "size"), [(2 * BURST, 9), (0.0, SMALL + 1)])
async def test_sound_that_takes_long_or_is_large_does_not_hold_up_the_loop(
    monkeypatch: pytest.MonkeyPatch, takes: float, size: int
) -> None:
    monkeypatch.setattr("transcode.gathering.SHARE", 1e-6)  # what was spent is not back however long this takes
    async with bench("AAC", Kind.AUDIO) as made:
        made.push(b"0")
        await until(lambda: len(made.batches) == 1)
        made.converters[0].takes = takes
        for number in range(1, 5):
            made.push(bytes(size))
            await until(lambda number=number: len(made.batches) == number + 1)  # type: ignore[misc]
            made.converters[0].takes = 0.0
    here = [thread == threading.get_ident() for thread in made.converters[0].threads]
    assert here == [True, takes > 0, False, False, False]


async def test_a_closed_conversion_does_not_work_on_what_was_gathered() -> None:
    async with bench("AAC", Kind.AUDIO) as made:
        made.push(b"0")
        made.conversion.close()
        await asyncio.sleep(2 * GATHER)  # nothing comes, which cannot be waited for
    assert made.converters[0].seen == []
