"""A source beside RTSP that sends as fast as it is read: its process stands still for the most time."""

from __future__ import annotations

import pytest

from ingest.budget import BURST
from ingest.sources.share import MAX_BUSY, Share

RATE = 100 * 10**6 // 8  # bytes a second


class Machine:
    """A processor on which nothing happens but what is said here."""

    def __init__(self) -> None:
        self.now = self.cpu = self.slept = 0.0
        self.share = Share(100, clock=lambda: self.now, cpu=lambda: self.cpu, sleep=self._sleep)

    def work(self, busy: float, idle: float, size: int) -> None:
        """Be busy, wait, and have read so many bytes by then."""
        self.now += busy + idle
        self.cpu += busy
        self.share.take(size)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_a_source_that_plays_is_never_waited_for() -> None:
    machine = Machine()
    for _ in range(1_000):
        machine.work(0.001, 0.04, 20_000)
    assert machine.slept == 0


@pytest.mark.parametrize("size", [0, 1_000])
def test_one_that_keeps_its_process_busy_has_a_part_of_a_processor(size: int) -> None:
    machine = Machine()
    while machine.now < 20:
        machine.work(0.002, 0.0, size)
    assert machine.cpu == pytest.approx(MAX_BUSY * 20, abs=MAX_BUSY * BURST + 0.1)


def test_one_that_sends_a_lot_has_its_bitrate_in_the_end() -> None:
    machine, read = Machine(), 0
    while machine.now < 20:
        machine.work(0.0001, 0.0, 256 << 10)
        read += 256 << 10
    assert read == pytest.approx(RATE * 20, rel=0.1)


def test_what_a_busy_machine_makes_long_is_not_held_against_it() -> None:
    """Its process waits for a processor, and takes little of one."""
    machine = Machine()
    for _ in range(100):
        machine.work(0.002, 0.4, 20_000)
    assert machine.slept == 0
