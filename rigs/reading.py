"""A camera's connection without its socket: what reads brought goes in, batches come out."""

from __future__ import annotations

from common.media import Batch
from ingest import sdp
from ingest.rtsp.interleaved import Interleaved
from ingest.rtsp.media import SessionMedia
from ingest.rtsp.message import Request, Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.setup import Setup
from ingest.rtsp.transport import TransportSpec
from ingest.rtsp.url import RtspUrl

H264 = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
H265 = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"


class Reading:
    """One camera that plays over TCP. Its tracks have the interleaved channels 0 and 1, 2 and 3, …"""

    def __init__(self, description: bytes = H264) -> None:
        self.messages: list[Request | Response] = []
        self.packets = 0
        self._parser = Parser()
        self._media = SessionMedia(RtspUrl.parse("rtsp://127.0.0.1/"), udp=False, epoch=1)
        self._interleaved = Interleaved(self._parser, self.messages.append)
        sections = self._media.select(sdp.parse(description))
        specs = [TransportSpec(tcp=True, interleaved=(at, at + 1)) for at in range(0, 2 * len(sections), 2)]
        setups = [Setup(section, spec) for section, spec in zip(sections, specs, strict=True)]
        self._media.open(setups, "127.0.0.1", "127.0.0.1", lambda _arrival_ns, _size, _packets: None, self._interleaved)
        self.stream = self._media.stream

    def read(self, data: bytes, now_ns: int) -> list[Batch]:
        """One read brought so much, at that time."""
        rest = memoryview(data)
        while rest:
            room = self._parser.buffer()
            size = min(len(room), len(rest))
            room[:size] = rest[:size]
            rest = rest[size:]
            self.packets += self._interleaved.read(size, now_ns)
            while self._parser.more:
                self.packets += self._interleaved.read(0, now_ns)
        return self.stream.take(now_ns)
