"""A viewer's session in an egress, with a browser at its other end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.media import Kind, Rendition
from common.sessions import SessionName
from egress.media.feed import Source
from egress.media.stream import Stream
from egress.negotiation import Negotiated, negotiate
from egress.sender import Sender
from egress.showing import Renditions
from egress.viewer import Viewer
from egress.wire.dtls import Identity
from rigs.browser import Browser, audio_section, video_section
from rigs.ice import prove, request
from tests.fakes.media import audio, gop_stream, number
from tests.fakes.renditions import NoOthers
from tests.fakes.target import FakeTarget

IDENTITY = Identity(compiled=False)
SECTIONS = {Kind.VIDEO: video_section, Kind.AUDIO: audio_section}


def viewer_of(
    offer: str | Negotiated,
    stream: Stream,
    session: str = "s1",
    *,
    kinds: Sequence[Kind] = tuple(Kind),
    convertible: Sequence[Kind] = (),
    on_behind: Callable[[Sender], None] = lambda _: None,
    renditions: Renditions | None = None,
    now: float = 0.0,
) -> Viewer:
    """The session of a viewer that made this offer, and is to get these kinds of one stream."""
    return Viewer(
        SessionName(session),
        stream.camera,
        dict.fromkeys(kinds, stream),
        negotiate(offer, [], convertible) if isinstance(offer, str) else offer,
        IDENTITY,
        cname="cname",
        on_behind=on_behind,
        renditions=renditions or NoOthers(),
        now=now,
        started=now,
    )


class Session:
    """A browser that watches a stream, without a network."""

    def __init__(
        self,
        *,
        connect: bool = True,
        round_trip: float = 0.0,
        waits: float = 0.0,
        convertible: Sequence[Kind] = (),
        kinds: Sequence[Kind] = tuple(Kind),
        browser: Browser | None = None,
    ) -> None:
        self.now = 0.0
        self.round_trip = round_trip  # seconds, of the handshake
        self.waits = waits  # seconds that each of its datagrams waits for us
        self.sources = {kind: Source() for kind in Kind}
        self.stream = Stream("front-door", lambda: None, sources=self.sources)
        self.others: list[Stream] = []  # that the viewer has acquired since …
        self.released: list[Rendition] = []  # … and what it has given back
        self.source = gop_stream()
        self.sounds = 0
        self.browser = browser or Browser()
        self.target = FakeTarget()
        self.behind: list[Sender] = []
        offer = self.browser.offer(*(SECTIONS[kind]() for kind in kinds))
        behind = self.behind.append
        self.viewer = viewer_of(
            offer, self.stream, kinds=kinds, convertible=convertible, on_behind=behind, renditions=self
        )
        if connect:
            self.nominate()
            self.browser.start_dtls()
            self.exchange()

    def acquire(self, rendition: Rendition) -> Stream:
        """See ``Renditions``."""
        known = next((stream for stream in self.others if stream.rendition == rendition), None)
        if known is None:
            self.others.append(known := Stream(rendition, lambda: None, sources=self.sources))
        return known

    def release(self, *streams: Stream) -> None:
        """See ``Renditions``."""
        self.released += [stream.rendition for stream in streams]

    @property
    def unix_ns(self) -> int:
        """The clock of reports."""
        return int((1_000 + self.now) * 1e9)

    def nominate(self, *, answers: bool = True) -> None:
        """The browser checks the path with USE-CANDIDATE and, unless told otherwise, answers our check."""
        agent = self.viewer.reach.agent
        pair = agent.heard(request(), self.target.path, 100, self.now)
        if answers:
            prove(agent, pair, self.now)
        if agent.select(pair, self.now):
            self.viewer.selected(self.target, self.now)

    def exchange(self) -> None:
        """Carry datagrams until there are none."""
        while (to_server := self.browser.take()) or self.target.datagrams:
            for datagram in to_server:
                if datagram[0] < 64:
                    self.now += self.round_trip / 2 + self.waits
                    self.viewer.receive_dtls(datagram, self.target, now=self.now, waited=self.waits)
                    self.now += self.round_trip / 2
                else:
                    self.viewer.receive_rtcp(datagram, now=self.now, unix_ns=self.unix_ns)
            for datagram in self.target.take():
                self.browser.receive(datagram)

    def play(self, count: int) -> None:
        for _ in range(count):
            batch = next(self.source)
            self.stream.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns)
            sound = audio(self.sounds)
            self.sounds += 1
            self.stream.incoming.receive(sound, now=self.now, unix_ns=sound.arrival_ns)
        for sender in self.behind:
            sender.catch_up(self.now)
        self.exchange()

    def numbers(self, kind: Kind) -> list[int]:
        ssrc = self.stream.feeds[kind].source.ssrc
        return [number(p.payload) for p in self.browser.packets if p.ssrc == ssrc]
