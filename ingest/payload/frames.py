"""Video whose packets are put together to whole frames before anything is published: all but H.264; no I/O.

A frame ends with the marker, or where the timestamp changes; with that alone where markers are found to come too early.
Waiting for its end costs as long as the camera takes to send it, a few milliseconds; what is gained is that each codec
is one function: from the payloads of a frame to those that go out. After a loss nothing is published until the next
keyframe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from common.errors import ProtocolError
from common.media import Flags, Track
from common.payload.output import Output
from ingest.payload.keyframes import AWAITED, NEVER_NS, NO_KEYFRAME_NS, TOO_LARGE

MAX_FRAME_BYTES = 4 << 20  # a lossless 4K picture is smaller
MAX_FRAME_PACKETS = 4_096  # as many as a batch may have
EARLY = 2  # frames in a row of which a marker left a rest that is none, after which no marker is believed

_FOREVER_NS = 1 << 62
_KEYFRAME = int(Flags.KEYFRAME)


class Unit(NamedTuple):
    """The payloads that go out for one frame."""

    payloads: list[bytes]
    keyframe: bool


Repack = Callable[[list[bytes]], list[Unit]]
"""From the payloads of one timestamp to the frames that go out: one, as a rule. Raises ``ProtocolError``."""


class Frames:
    """One camera's video track in a codec that ``repack`` understands."""

    def __init__(self, track: Track, repack: Repack, output: Output) -> None:
        self.frames = 0
        self.keyframes = 0
        self.dropped = 0  # packets
        self.track = track
        self._repack = repack
        self._output = output
        self._payloads: list[bytes] = []
        self._size = 0
        self._timestamp = -1
        self._begun_ns = 0  # arrival of the frame's first packet
        self._damaged = False  # something of the frame is missing
        self._ended = False  # a frame of this timestamp has come to its end
        self._trust_markers = True
        self._early = 0  # rests of frames in a row
        self._open = False  # a keyframe has come, and nothing was lost since
        self._arrival_ns = 0
        self._waiting_ns = 0  # arrival of the first packet since nothing is published; 0 while something is
        self._oversized = 0  # frames in a row, but for those that needed them
        self._refused = ""  # what was wrong with the last frame that came, if something was

    @property
    def begun(self) -> bool:
        """Whether a part of a frame has come."""
        return bool(self._payloads)

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        if self._oversized > 1:
            return TOO_LARGE
        waited_ns = self._arrival_ns - self._waiting_ns if self._waiting_ns else 0
        if self._open or not waited_ns:
            return "" if self._open or self.keyframes else AWAITED
        if waited_ns < NO_KEYFRAME_NS:
            return "" if self.keyframes else AWAITED
        if self._refused:
            return (
                f"no picture can be read from what comes as {self.track.name}: {self._refused}; "
                "restart the camera, or set this stream to H.264"
            )
        return (
            f"no keyframe has come for {waited_ns // 10**9} s, and players need one to start; "
            "set a keyframe interval (GOP, I-frame interval) of 1 to 4 s in the camera"
        )

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes: it cannot be read, or no keyframe is to be expected any more.

        As long as pictures can be read, a keyframe that takes long is no failure.
        """
        waited_ns = self._arrival_ns - self._waiting_ns if self._waiting_ns and not self._open else 0
        return self._oversized > 1 or waited_ns >= (NO_KEYFRAME_NS if self._refused else NEVER_NS)

    def mark(self) -> None:
        """End the frame: a packet of the last timestamp without a payload carries the marker."""
        self._finish()

    def lost(self) -> None:
        """Note that packets are missing between the last one and the next: of this frame, of the next, or of both.

        If it is the next one's beginning, ``repack`` sees that.
        """
        self.dropped += len(self._payloads)
        self._begin(self._timestamp)
        self._damaged, self._open = True, False

    def restart(self) -> None:
        """Begin another stream: nothing of the old one is continued."""
        self._begin(-1)
        self._open = False

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, not empty, in order; ``timestamp`` is extended."""
        if timestamp != self._timestamp and not (self._payloads and self._continues(packet, start, end)):
            self._finish()
            self._begin(timestamp)
        if not self._payloads:
            self._begun_ns = arrival_ns
            if self._ended and self._is_rest(packet, start, end):
                self.dropped += 1
                return
        self._arrival_ns = arrival_ns
        if not self._open and not self._waiting_ns:
            self._waiting_ns = arrival_ns
        if self._damaged:
            self.dropped += 1
            return
        self._payloads.append(packet[start:end])
        self._size += end - start
        if self._size > MAX_FRAME_BYTES or len(self._payloads) > MAX_FRAME_PACKETS:
            self._oversized += 1
            self.lost()
        elif marker and self._ends(packet, start, end):
            self._finish()

    def _ends(self, _packet: bytes, _start: int, _end: int) -> bool:
        """Whether the frame ends with a packet that has the marker."""
        return self._trust_markers

    def _is_rest(self, _packet: bytes, _start: int, _end: int) -> bool:
        """Whether a packet is of no use that comes behind the frame of its timestamp: its marker was too early."""
        return False

    def _continues(self, packet: bytes, start: int, end: int) -> bool:
        """Whether a packet with another timestamp goes on with the frame that is arriving: some cameras stamp each
        packet when they send it."""
        return False

    def expects_picture(self, _arrival_ns: int) -> bool:
        """Whether ``receive_picture`` may be called: nothing of the next picture has come, and no keyframe is due."""
        return self._open and not self._payloads

    def expects_pictures_until(self, arrival_ns: int) -> int:
        """The time for which ``expects_picture`` holds if nothing else comes; 0 if it does not hold now."""
        return _FOREVER_NS if self.expects_picture(arrival_ns) else 0

    def receive_picture(self, payloads: list[bytes], _first: int, timestamp: int, arrival_ns: int) -> None:
        """Take a whole picture that is no keyframe, as it goes out: ``receive`` would have made the same of it."""
        if timestamp != self._timestamp:
            self._begin(timestamp)
        self._begun_ns = self._arrival_ns = arrival_ns
        self._ended = True
        self.frames += 1
        self._output.send_unit(payloads, timestamp, arrival_ns)

    def _begin(self, timestamp: int) -> None:
        self._timestamp, self._payloads, self._size, self._damaged = timestamp, [], 0, False
        self._ended = False

    def _finish(self) -> None:
        """The frame that is arriving has come to its end, if one is."""
        payloads, self._payloads, self._size = self._payloads, [], 0
        if not payloads:
            return
        rest, self._ended = self._ended, True
        try:
            units = self._repack(payloads)
        except ProtocolError as exc:
            self._early += rest
            self._trust_markers &= self._early < EARLY
            self.dropped += len(payloads)
            self._open, self._refused = False, str(exc)
            return
        self._refused = ""
        self._early = 0 if rest else self._early
        for unit in units:
            if unit.keyframe:
                self._open, self._waiting_ns, self._oversized = True, 0, 0
                self.keyframes += 1
            if self._open:
                self.frames += 1
                flags = _KEYFRAME if unit.keyframe else 0
                self._output.send_unit(unit.payloads, self._timestamp, self._begun_ns, flags)
