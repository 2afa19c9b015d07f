"""Hands on together what came together on one interleaved channel, past ``TrackReceiver.receive``; no I/O.

Nearly all packets go by one of these ways, for a third of the processor's time. Each does for its packets what
``receive`` would do for them one by one, or nothing at all:

================  ==================================================  ==================================
way               takes                                               from
================  ==================================================  ==================================
``take_picture``  a whole ordinary picture, by one compiled call      what was read, before it is parsed
``take_packet``   one packet of sound                                 what was read, before it is parsed
``course``        either, for who sends it first and ``enter``s it     what was read, before it is parsed
                  a moment later (``ingest.rtsp.express``)
``receive_run``   fragments of one NAL unit that differ only in       the parser
                  their number; all else it gives to ``receive``
================  ==================================================  ==================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct

from common.media import Batch, Kind
from ingest import native
from ingest.payload.nal_format import NalPayloadFormat
from ingest.rtp.foretold import enter_picture, foretold
from ingest.rtp.receiver import TAIL, TrackReceiver

_FRAMED = Struct("!BBHBBHII")  # an interleaved frame (RFC 2326 10.12) and the header of its packet (RFC 3550 5.1)
_unpack = _FRAMED.unpack_from
_FRAMING, _HEADER = 4, 12  # bytes of the two
_DOLLAR, _PLAIN = 0x24, 0x80  # first bytes of the two: of version 2, and with nothing beside the payload


class Shortcut:
    """The way from one interleaved ``channel`` to its track."""

    __slots__ = ("_channel", "_receiver", "_sound")

    def __init__(self, receiver: TrackReceiver, channel: int) -> None:
        self._receiver, self._channel = receiver, channel
        self._sound = receiver.kind is Kind.AUDIO

    @property
    def take(self) -> Callable[[bytearray, int, int, int], tuple[int, int] | None] | None:
        """The one of ``take_picture`` and ``take_packet`` that serves the track, if one does."""
        if self._sound:
            return self.take_packet
        return self.take_picture if native.BUILT else None

    def course(self, topic: bytes, arrival_ns: int) -> native.Course | None:
        """The next that may go out at once under ``topic``, and be entered a moment later; ``None`` if nothing may."""
        receiver, due = self._receiver, self._receiver.due
        if not native.BUILT or due is None or due[0] < 0:
            return None
        sequence, ssrc = due
        course = foretold(receiver.unpacking, self._channel, sequence, ssrc, arrival_ns)
        return None if course is None else native.Course(course, topic)

    def enter(self, said: native.Said, end: bytes, arrival_ns: int) -> Batch:
        """Remember what went out, whose last bytes are ``end``: all of a packet of sound.

        Returns its batch, of which the payloads do not count.
        """
        receiver, unpacking = self._receiver, self._receiver.unpacking
        receiver.passed(said.packets, said.octets, said.raw, end[-TAIL:])
        if self._sound:
            unpacking.deliver(end, end[0], end[1], said.raw, arrival_ns)
        else:
            enter_picture(unpacking, said.raw, said.first, said.payloads, arrival_ns)
        (batch,) = unpacking.take(arrival_ns)
        return batch

    def end(self, received: bytearray, size: int) -> bytes:
        """The last bytes of so many that were received, as ``enter`` needs them."""
        return bytes(received[_FRAMING if self._sound else size - TAIL : size])

    def take_picture(self, received: bytearray, start: int, end: int, arrival_ns: int) -> tuple[int, int] | None:
        """Take the ordinary picture between two places of ``received``.

        Returns its bytes there and its packets; ``None``, and nothing has happened, if it has to go the usual way.
        """
        receiver = self._receiver
        due = receiver.due
        if due is None:
            return None
        sequence, ssrc = due
        picture = receiver.unpacking.take_picture(received, start, end, self._channel, sequence, ssrc, arrival_ns)
        if picture is None:
            return None
        size, packets, octets, timestamp, _first, _payloads = picture
        receiver.passed(packets, octets, timestamp, bytes(received[start + size - TAIL : start + size]))
        return size, packets

    def take_packet(self, received: bytearray, start: int, end: int, arrival_ns: int) -> tuple[int, int] | None:
        """Take the one packet that stands first between two places of ``received``, if it is the next one and nothing
        is in it beside its payload. Returns its bytes there and 1, or ``None`` as ``take_picture`` does."""
        receiver = self._receiver
        if end - start <= _FRAMING + _HEADER:
            return None
        dollar, channel, size, first, second, sequence, timestamp, ssrc = _unpack(received, start)
        stop = start + _FRAMING + size
        if (dollar, channel, first) != (_DOLLAR, self._channel, _PLAIN) or (sequence, ssrc) != receiver.due:
            return None
        if second & 0x7F != receiver.payload_type or size <= _HEADER or stop > end:
            return None
        packet = bytes(received[start + _FRAMING : stop])
        receiver.passed(1, size, timestamp, packet[-TAIL:])
        receiver.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        return _FRAMING + size, 1

    def receive_run(self, data: memoryview, bounds: Sequence[tuple[int, int]], arrival_ns: int) -> None:
        """Take RTP packets that came together, each between two places of ``data``."""
        receiver = self._receiver
        at, count = 0, len(bounds)
        while at < count:
            start, stop = bounds[at]
            receiver.receive(bytes(data[start:stop]), arrival_ns)
            at += 1
            form = receiver.unpacking.nal_format  # a packet may have changed it
            if at < count and form is not None and form.fragment:
                at = self._receive_fragments(form, data, bounds, at, arrival_ns)

    def _receive_fragments(
        self, form: NalPayloadFormat, data: memoryview, bounds: Sequence[tuple[int, int]], at: int, arrival_ns: int
    ) -> int:
        """Take packets from ``at`` on that go on with the NAL unit which the last one was of. Returns which comes next.

        What they carry is handed on in one piece: 0.6 µs a packet in place of 5.
        """
        receiver = self._receiver
        due = receiver.due
        if due is None:
            return at
        sequence, ssrc = due
        timestamp = receiver.unpacking.raw
        pieces = form.fragments(data, bounds, at, 0x8000 | receiver.payload_type, sequence, timestamp, ssrc)
        if pieces:
            carried = b"".join(pieces)
            octets = len(carried) + form.fragment_at * len(pieces)
            receiver.passed(len(pieces), octets, timestamp, bytes(pieces[-1][-TAIL:]))
            form.receive_fragments(carried, arrival_ns)
        return at + len(pieces)
