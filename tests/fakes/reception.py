"""Both tracks of a session as the receiver has them, and a picture and a sound to feed them with."""

from __future__ import annotations

from common.media import Batch
from common.payload.output import GATHER_NS
from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.stream import CameraStream
from rigs.rtp import rtp
from rigs.video import encode

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]
NOW = 1_700_000_000 * 10**9
FRAME_NS = 40_000_000
DESCRIPTION = sdp.parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n")


class Session:
    """Both tracks of a session, and what came of them."""

    def __init__(self, *, udp: bool = True) -> None:
        self.stream = CameraStream(choose(DESCRIPTION)[0], udp=udp, epoch=1_000)
        self.video, self.audio = self.stream.receivers
        self.batches: list[Batch] = []
        self.now_ns = NOW

    def feed(self, packets: list[bytes], *, spacing_ns: int = 0) -> Session:
        """Receive packets of the picture, each so long after the one before."""
        for packet in packets:
            self.video.receive(packet, self.now_ns)
            self.batches += self.stream.take(self.now_ns + GATHER_NS)
            self.now_ns += spacing_ns
        return self

    def feed_audio(self, packets: list[bytes]) -> Session:
        """Receive packets of the sound, all at once."""
        for packet in packets:
            self.audio.receive(packet, self.now_ns)
            self.batches += self.stream.take(self.now_ns + GATHER_NS)
        return self

    def of(self, kind: str) -> list[Batch]:
        """The batches of one kind so far."""
        return [batch for batch in self.batches if batch.kind == kind]


def sound(count: int, *, sequence: int = 0, timestamp: int = 0, ssrc: int = 9) -> list[bytes]:
    """Packets of G.711, 20 ms each."""
    return [rtp(bytes(160), sequence + n, timestamp + 160 * n, payload_type=0, ssrc=ssrc) for n in range(count)]


def renumbered(packets: list[bytes], payload_type: int) -> list[bytes]:
    """The packets with another payload type."""
    return [packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:] for packet in packets]
