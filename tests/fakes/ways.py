"""A camera whose bytes go by the express way where they can, beside one whose bytes go the usual way."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from unittest.mock import patch

from common.media import Batch, decode_frame, encode_batch, live_topic
from common.worker.groups import Groups
from common.worker.straight import Books, Straight
from ingest import native
from ingest.rtsp.express import Express
from rigs.reading import H264, H265, Reading
from rigs.rtp import rtp
from tests.fakes.pictures import framed

NOW = 1_700_000_000 * 10**9
FRAME_NS = 40_000_000
OPUS = b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n"
AAC = (
    b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/1\r\n"
    b"a=fmtp:97 mode=AAC-hbr;config=1188;sizelength=13;indexlength=3;indexdeltalength=3\r\n"
)
TOPIC = live_topic("door")

# What is left behind of the last NAL unit is looked at by nobody before the next one begins; tables never change.
NO_STATE = {"_rest", "_header", "_type", "_left", "_pictures", "_tracks"} | {
    "_syntax",
    "_structures",
    "_types",
    "_fragment_headers",
}
_PLAIN = {int, float, str, bytes, bool, type(None)}


def state(thing: object, seen: dict[int, object] | None = None) -> object:
    """Everything that is remembered, as far as it matters. What was ``seen`` by its ``id`` is not looked at again."""
    seen = {} if seen is None else seen
    if type(thing) in _PLAIN:
        return thing
    if isinstance(thing, list | tuple):
        return [state(each, seen) for each in thing]
    if isinstance(thing, dict):
        return {key: state(value, seen) for key, value in thing.items()}
    if type(thing).__module__.startswith(("ingest.r", "ingest.payload", "common.payload.output")):
        if not hasattr(thing, "__dict__"):
            return repr(thing)
        if id(thing) not in seen:
            seen[id(thing)] = {n: state(value, seen) for n, value in vars(thing).items() if n not in NO_STATE}
        return seen[id(thing)]
    return thing if isinstance(thing, int | float | str | bytes | Counter) else type(thing)


class Short(Reading):
    """A camera whose packets may go by the express way, to one who takes them."""

    def __init__(self, description: bytes) -> None:
        super().__init__(description)
        self.sent: list[bytes] = []
        self.express_ones = 0
        self.spent = [0, 0, 0]
        self.groups = Groups(1 << 30, SimpleNamespace())  # type: ignore[arg-type]
        turns = SimpleNamespace(spend=self._spend)
        self.express = Express(self._parser, self._interleaved, turns, self._way)  # type: ignore[arg-type]

    def read(self, data: bytes, now_ns: int) -> list[Batch]:
        room = self._parser.buffer()
        if len(data) < len(room) and self.express.begun:
            room[: len(data)] = data
            if self.express.take(len(data), now_ns):
                self.express_ones += 1
                return []
        self.publish(super().read(data, now_ns))
        if self._interleaved.whole and not self.express.begun:
            self.express.begin(now_ns)
        return []

    def publish(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.sent.append(TOPIC + encode_batch(batch))
            self.groups.keep("door", batch, encode_batch(batch))

    def _way(self, _books: Books) -> Straight:
        return Straight(TOPIC, self._send, lambda *kept: self.groups.keep("door", *kept))  # type: ignore[arg-type]

    def _send(self, frame: memoryview) -> None:
        assert int.from_bytes(frame[:4]) == len(frame) - 4
        self.sent.append(bytes(frame[4:]))

    def _spend(self, size: int, packets: int, batches: int, _passed_ns: int) -> None:
        assert batches == 1, "a turn for each read: eight of them together would seem long"
        self.spent = [a + b for a, b in zip(self.spent, (size, packets, batches), strict=True)]


class Both:
    """One camera, whose packets go by the express way where they can, and by the usual one, ``compiled`` or not."""

    def __init__(self, *, h265: bool = False, sound: bytes = OPUS, compiled: bool = True) -> None:
        description = (H265 if h265 else H264) + sound
        self._sound = sound
        self.short = Short(description)
        with patch.object(native, "BUILT", native.BUILT and compiled):
            self.plain = Reading(description)
        self.expected: list[Batch] = []
        self.now_ns = NOW
        self.sounds = 0

    def read(self, data: bytes, after_ns: int = FRAME_NS) -> None:
        self.now_ns += after_ns
        self.short.read(data, self.now_ns)
        self.expected += self.plain.read(data, self.now_ns)
        self.compare()

    def sound(self, size: int = 160) -> bytes:
        self.sounds += 1
        unit = b"" if self._sound is OPUS else b"\0\x10" + (size << 3).to_bytes(2)  # RFC 3640 3.2.1
        sound = b"%c" % (self.sounds % 256) * size
        packet = rtp(unit + sound, self.sounds, 960 * self.sounds, payload_type=97, ssrc=7)
        return framed(packet, 2)

    def compare(self) -> None:
        sent = [decode_frame(frame).batches[0] for frame in self.short.sent]
        assert len(sent) == len(self.expected)
        for one, other in zip(sent, self.expected, strict=True):
            assert encode_batch(one) == encode_batch(other)
            assert encode_batch(one) in self.short.sent[sent.index(one)], "written as it reads"
        self.short.sent.clear()
        self.expected.clear()

    def settled(self) -> None:
        """As soon as somebody looks, nothing tells which way was taken."""
        self.short.express.end()
        assert state(self.short.stream) == state(self.plain.stream)
