"""Trains of RTP packets: what came of one viewer's stream in one read, counted by its first and its last header.

Most that comes is a frame that simply continues its stream. Such a train costs the same however many packets it has;
whatever is otherwise is left to be looked at packet by packet (``Viewer.datagram``), which counts the same.
"""

from __future__ import annotations

from rigs.load.delays import Delays
from rigs.load.receive import Receiver
from rigs.load.rtp import HEADER as RTP_HEADER
from rigs.load.rtp import Stream
from rigs.load.viewer import Viewer

RECOGNITION = 5.0  # seconds in which a frame is recognised, or the viewer's camera is not the one that is tapped

HEADER = RTP_HEADER.unpack_from


class Trains:
    """Counts what lies in the buffers of ``receiver``, and marks the ends of frames for ``delays``."""

    def __init__(self, receiver: Receiver, delays: Delays) -> None:
        self._receiver = receiver
        self._delays = delays

    def count(
        self, viewer: Viewer, start: int, step: int, count: int, size: int, first_ns: int, last_ns: int, now: float
    ) -> bool:
        """Count RTP packets that lie ``step`` bytes apart; ``False`` if they do not simply continue their stream."""
        data = self._receiver.data
        if not 127 < data[start] < 192:
            return False
        _bits, second, sequence, timestamp, ssrc = HEADER(data, start)
        stream = viewer.streams.get(ssrc)
        if stream is None or sequence != stream.next or stream.special:
            return False
        if count > 1:
            began = timestamp
            _bits, second, last, timestamp, other = HEADER(data, start + (count - 1) * step)
            if (last - sequence) & 0xFFFF != count - 1 or other != ssrc or timestamp != began:
                return False
            stream.next = (last + 1) & 0xFFFF
        else:
            stream.next = (sequence + 1) & 0xFFFF
        stream.packets += count
        stream.bytes += size
        gap = first_ns - stream.last_ns
        if gap > stream.gap_ns:
            stream.gap_ns = gap
        if timestamp != stream.last_timestamp:
            transit = gap * stream.clock_rate // 1_000_000_000 - (timestamp - stream.last_timestamp)
            stream.jitter += (abs(transit) - stream.jitter) / 16
            stream.last_timestamp = timestamp
        stream.last_ns = last_ns
        stream.arrivals.append(last_ns)
        if second & 0x80:
            stream.frames += 1
            if stream.kind == "video" and self._delays.timeline is not None:
                self._delays.marks.append((viewer, timestamp, last_ns))
        stream.sample_in -= count
        if stream.sample_in < 0:
            self._inspect(viewer, stream, start, step, count, size, now)
        return True

    def _inspect(
        self, viewer: Viewer, stream: Stream, start: int, step: int, count: int, size: int, now: float
    ) -> None:
        """Decrypt all of a train while the first keyframe is awaited, else its last packet."""
        for index in range(0 if not viewer.first_keyframe_at else count - 1, count):
            viewer.inspect(stream, self.packet(start, step, index, size), now)
        if viewer.shift is None and self._delays.timeline is not None and now - viewer.first_keyframe_at < RECOGNITION:
            stream.sample_in = 0  # until one of its frames is recognised

    def packet(self, start: int, step: int, number: int, size: int) -> bytes:
        """Packet ``number`` of those that begin at ``start``: of a train, or of messages read together."""
        receiver, at = self._receiver, start + number * step
        if step == receiver.stride and not receiver.trains:
            return bytes(receiver.data[at : at + receiver.length(number)])
        return bytes(receiver.data[at : min(at + step, start + size)])
