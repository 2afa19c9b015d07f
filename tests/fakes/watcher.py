"""A browser before one feed, without a network between them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from common.media import Batch, Kind
from egress.catch_up import INTERVAL
from egress.formats import Format
from egress.media.feed import Feed
from egress.negotiation import Section
from egress.path.pace import Pace
from egress.path.quality import PathQuality
from egress.position import Position
from egress.sender import Sender
from egress.wire.dtls import PROFILES
from egress.wire.srtp import Srtp
from rigs.browser import Browser
from tests.fakes.media import number
from tests.fakes.target import FakeTarget

VIDEO = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f", 103),))
VIDEO_WITHOUT_RTX = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f"),))
VIDEO_WITH_FEEDBACK = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f", 103),), transport_cc=3)
VIDEO_WITH_DELAY = replace(VIDEO_WITH_FEEDBACK, playout_delay=6)
IDLE = 200  # steps, of a second
AUDIO = Section("1", Kind.AUDIO, (Format(111, "opus"), Format(0, "PCMU")))


class Watcher:
    """A browser that was given keys, without DTLS, and the sender that serves it.

    What is sent reaches a ``FakeTarget``, which has no socket: ``compiled`` is for one that has.
    """

    def __init__(
        self,
        feed: Feed,
        section: Section = VIDEO,
        browser: Browser | None = None,
        round_trip: float = 0.001,
        compiled: bool = False,
    ) -> None:
        self.browser = browser or Browser()
        self.target = FakeTarget()
        self.behind: list[Sender] = []
        profile = next(each for each in PROFILES if each in self.browser.profiles)
        ours, theirs = os.urandom(profile.master_size), os.urandom(profile.master_size)
        self.browser.take_keys(profile, theirs, ours)
        srtp = Srtp(profile, ours, theirs, compiled=compiled)
        self.quality = PathQuality()
        self.quality.measured(round_trip)
        self.now = 0.0
        self.sender = Sender(feed, section, srtp, self.target, Pace(self.quality), self.behind.append)

    def catch_up(self) -> None:
        """Until there is nothing left, or nothing more was sent for as long as the pace may need for a packet."""
        idle = 0
        while self.sender.position is Position.BEHIND and idle < IDLE:
            idle = 0 if self.step() else idle + 1

    def step(self) -> int:
        """One step of ``CatchUp``. The number of packets."""
        sent = self.sender.catch_up(self.now)
        self.now += INTERVAL
        return sent

    def received(self) -> list[tuple[int, int]]:
        """(sequence number, number at the publisher) of each packet since the last call."""
        self.browser.packets.clear()
        for datagram in self.target.take():
            self.browser.receive(datagram)
        return [(p.sequence_number, number(p.payload)) for p in self.browser.packets]

    def numbers(self) -> list[int]:
        return [published for _, published in self.received()]


def push(feed: Feed, stream: Iterator[Batch], count: int) -> None:
    for _ in range(count):
        feed.push(next(stream), 0.0)
