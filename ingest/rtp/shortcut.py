"""Takes nearly all pictures and packets of sound past ``TrackReceiver.receive_run``; no I/O.

That would do the same with them, for several times the processor's time.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from common.media import Kind
from ingest import native
from ingest.rtp.receiver import TAIL, TrackReceiver

_FRAMED = Struct("!BBHBBHII")  # an interleaved frame (RFC 2326 10.12) and the header of its packet (RFC 3550 5.1)
_unpack = _FRAMED.unpack_from
_FRAMING, _HEADER = 4, 12  # bytes of the two
_DOLLAR, _PLAIN = 0x24, 0x80  # first bytes of the two: of version 2, and with nothing beside the payload


def shortcut(
    receiver: TrackReceiver, channel: int
) -> Callable[[bytearray, int, int, int], tuple[int, int] | None] | None:
    """The ``take_packet`` or ``take_picture`` of an interleaved ``channel``'s track, where there is one."""
    short = Shortcut(receiver, channel)
    if receiver.kind is Kind.AUDIO:
        return short.take_packet
    return short.take_picture if native.BUILT else None


class Shortcut:
    """The way from one interleaved ``channel`` to its track."""

    __slots__ = ("_channel", "_order", "_receiver")

    def __init__(self, receiver: TrackReceiver, channel: int) -> None:
        self._receiver, self._channel, self._order = receiver, channel, receiver.order

    def take_picture(self, received: bytearray, start: int, end: int, arrival_ns: int) -> tuple[int, int] | None:
        """Take the ordinary picture between two places of ``received``.

        Returns its bytes there and its packets; ``None``, and nothing has happened, if it has to go the usual way.
        """
        receiver, order = self._receiver, self._order
        ssrc = receiver.source.ssrc
        if ssrc is None or order.held:
            return None
        expected = order.expected
        picture = receiver.unpacking.take_picture(received, start, end, self._channel, expected, ssrc, arrival_ns)
        if picture is None:
            return None
        size, packets, octets, timestamp, _first, _payloads = picture
        order.came_in_order(packets)
        receiver.count(packets, octets, timestamp, bytes(received[start + size - TAIL : start + size]))
        return size, packets

    def take_packet(self, received: bytearray, start: int, end: int, arrival_ns: int) -> tuple[int, int] | None:
        """Take the one packet that stands first between two places of ``received``, if it is the next one and nothing
        is in it beside its payload. Returns its bytes there and 1, or ``None`` as ``take_picture`` does."""
        receiver = self._receiver
        if end - start <= _FRAMING + _HEADER:
            return None
        dollar, channel, size, first, second, sequence, timestamp, ssrc = _unpack(received, start)
        stop = start + _FRAMING + size
        if (dollar, channel, first, ssrc) != (_DOLLAR, self._channel, _PLAIN, receiver.source.ssrc):
            return None
        if second & 0x7F != receiver.payload_type or size <= _HEADER or stop > end:
            return None
        if not self._order.in_order(sequence):
            return None
        packet = bytes(received[start + _FRAMING : stop])
        receiver.count(1, size, timestamp, packet[-TAIL:])
        receiver.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        return _FRAMING + size, 1
