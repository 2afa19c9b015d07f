"""A browser before one feed, without a network between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from common.media import Batch, Kind
from egress.formats import Format
from egress.media.feed import Feed
from egress.negotiation import Section
from egress.path.pace import Pace
from egress.path.quality import PathQuality
from egress.sender import Sender
from egress.wire.dtls import DtlsServer, Identity
from rigs.browser import Browser
from tests.fakes.media import number
from tests.fakes.target import FakeTarget

IDENTITY = Identity(compiled=False)  # what is sent reaches a FakeTarget, which has no socket
VIDEO = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f", 103),))
VIDEO_WITHOUT_RTX = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f"),))
VIDEO_WITH_FEEDBACK = Section("0", Kind.VIDEO, (Format(102, "H264", "42e01f", 103),), transport_cc=3)
VIDEO_WITH_DELAY = replace(VIDEO_WITH_FEEDBACK, playout_delay=6)
AUDIO = Section("1", Kind.AUDIO, (Format(111, "opus"), Format(0, "PCMU")))


class Watcher:
    """A browser, connected, and the sender that serves it."""

    def __init__(
        self,
        feed: Feed,
        section: Section = VIDEO,
        browser: Browser | None = None,
        round_trip: float = 0.001,
        identity: Identity = IDENTITY,
    ) -> None:
        self.browser = browser or Browser()
        self.target = FakeTarget()
        self.behind: list[Sender] = []
        dtls = DtlsServer(identity, [self.browser.certificate.fingerprint()], self.browser.receive)
        self.browser.start_dtls()
        while not dtls.connected:
            for datagram in self.browser.take():
                dtls.receive(datagram)
        self.quality = PathQuality()
        self.quality.measured(round_trip)
        self.now = 0.0
        self.sender = Sender(feed, section, dtls.srtp, self.target, Pace(self.quality), self.behind.append)

    def catch_up(self) -> None:
        """Until there is nothing left, or nothing more can be sent."""
        for _ in range(1_000):
            self.step()

    def step(self) -> None:
        """One step of ``CatchUp``."""
        self.sender.catch_up(self.now)
        self.now += 0.005

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
