"""A track's packets from the socket to their order: checked, counted, and handed to what unpacks them; no I/O.

There is one way in for RTP, ``TrackReceiver.receive``, and one for RTCP, ``receive_rtcp``, whatever brought the packet.
Over TCP many come at once, and ``ingest.rtp.shortcut`` stands before ``receive``: packets that begin with the one that
is ``due`` it may hand on together, and says so by ``passed``. Everything else it gives to ``receive``, one by one.

This is ingest's hot path: a camera at 2 Mb/s sends some 200 packets a second, and a process has a hundred cameras.
``bench run ingest`` and ``bench run loads`` measure it.
"""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from common.control import TrackStats
from common.media import Kind, Track
from ingest.payload.registry import Choice, choice_by_type
from ingest.rtp.clock import CameraClock
from ingest.rtp.numbers import Numbers
from ingest.rtp.reorder import Reorder
from ingest.rtp.rtcp import SenderReport, parse
from ingest.rtp.strays import KnownSource, OtherType
from ingest.rtp.unpacking import Packet, Unpacking

_HEADER = Struct("!BBHII")  # RFC 3550 5.1
_unpack = _HEADER.unpack_from

TAIL = 12  # bytes of a packet by which it is known again: no packet is shorter


class Tracks(Protocol):
    """All tracks of a session, as one of them, ``receiver``, asks for them."""

    def expected(self, receiver: TrackReceiver) -> set[int]:
        """The sequence numbers that the other tracks have next."""

    def hand_over(self, receiver: TrackReceiver, payload_type: int, packet: bytes, arrival_ns: int) -> bool:
        """Whether a packet that came to one track is another's, or wraps media, and has been taken as that."""

    def gap(self, packet: bytes) -> None:
        """Note that a packet of any track is not the next one."""

    def new_source(self, receiver: TrackReceiver, new_format: bool) -> None:
        """Note that the source of the track has changed, or, with ``new_format``, what it sends."""


class TrackReceiver:
    """One track of one session; ``tracks`` has it and the others."""

    def __init__(self, choice: Choice, camera: CameraClock, *, udp: bool, epoch: int, tracks: Tracks) -> None:
        self.kind: Kind = choice.track.kind
        self.payload_type = choice.format.payload_type  # of its packets
        self.packets = 0
        self.bytes = 0
        self.unexpected_type: int | None = None  # payload type of packets that were not announced
        self._goodbye = -1  # packets that had come when the camera said that there will be no more
        self._dropped = 0
        self._numbers = Numbers(udp=udp)
        self.last = -1, b""  # timestamp of the last packet that came, and the end of it
        self.source = KnownSource()
        self._other_type = OtherType(self.payload_type, pictures=self.kind is Kind.VIDEO)
        self.order: Reorder[Packet] = Reorder(udp=udp)
        self._tracks = tracks
        self.unpacking = Unpacking(choice, camera, epoch=epoch, changed=lambda: tracks.new_source(self, True))

    @property
    def expected(self) -> int:
        """The sequence number of its next packet; -1 before the first."""
        return self.order.expected

    def review(self) -> None:
        """See ``Unpacking.review``; to be called every few seconds."""
        self.unpacking.review(self.packets, self.order.lost)

    @property
    def track(self) -> Track:
        """The track as it is known now."""
        return self.unpacking.track

    @property
    def stats(self) -> TrackStats:
        """Counters since the session began."""
        order, unpacking, form = self.order, self.unpacking, self.unpacking.format
        return TrackStats(
            kind=self.kind,
            packets=self.packets,
            bytes=self.bytes,
            lost=order.lost,
            duplicates=order.duplicates,
            reordered=order.reordered,
            dropped=self._dropped + order.dropped + unpacking.dropped + form.dropped,
            frames=form.frames,
            keyframes=form.keyframes,
            jitter=round(unpacking.reception.jitter, 6),
        )

    @property
    def said_goodbye(self) -> bool:
        """Whether the camera said that this track ends, and kept to it so far."""
        return self._goodbye == self.packets

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` and ``take`` have to be called, in Unix time."""
        return earlier(self.order.deadline_ns, self.unpacking.deadline_ns)

    @property
    def begun(self) -> bool:
        """Whether a part of something has come, of which the rest may come at any time."""
        return self.deadline_ns is not None or self.unpacking.begun

    def receive(self, packet: bytes, arrival_ns: int) -> None:
        """Take an RTP packet as it came, whole, at that Unix time; what cannot be taken is counted as dropped."""
        if len(packet) < 12:
            self._dropped += 1
            return
        first, second, sequence, timestamp, ssrc = _unpack(packet)
        if second & 0x7F != self.payload_type or first < 0x80 or first > 0xBF:
            self._reject(packet, first, second, arrival_ns)
            return
        if ssrc != self.source.ssrc and not self._change_source(ssrc, packet, arrival_ns):
            return
        before, self.last = self.last, (timestamp, packet[-TAIL:])
        self.packets += 1  # as ``passed`` does, whose call would be 0.06 of 4 µs
        self.bytes += len(packet)
        if self.order.in_order(sequence):
            self.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        elif self._is_next(sequence, repeated=before == self.last):
            self.order.take_as_next(sequence)
            self.unpacking.deliver(packet, first, second, timestamp, arrival_ns)
        else:
            self._tracks.gap(packet)
            held = (packet, first, second, timestamp, arrival_ns)
            self.unpacking.deliver_all(self.order.push(sequence, held, arrival_ns))

    @property
    def due(self) -> tuple[int, int] | None:
        """Sequence number and SSRC of the packet that is just the next one; ``None`` while others are waited for."""
        order, ssrc = self.order, self.source.ssrc
        return None if ssrc is None or order.held else (order.expected, ssrc)

    def passed(self, packets: int, octets: int, timestamp: int, end: bytes) -> None:
        """Note that so many packets, of which the first was ``due`` and each followed the last, went past ``receive``.

        They have that many ``octets``, headers included; the last has that timestamp and ends in the ``TAIL`` bytes of
        ``end``. Whoever calls this has handed on, or now hands on, what they carry.
        """
        self.order.came_in_order(packets)
        self.packets += packets
        self.bytes += octets
        self.last = timestamp, end

    def _is_next(self, sequence: int, *, repeated: bool) -> bool:
        order, others = self.order, self._tracks.expected(self)
        return self._numbers.is_next(sequence, order.expected, order.received, others, repeated=repeated)

    def expire(self, now_ns: int) -> None:
        """Wait no longer for packets that are overdue."""
        self.unpacking.deliver_all(self.order.expire(now_ns))

    def receive_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """Take an RTCP packet; or RTP, from a camera that has mixed its two channels up."""
        if len(packet) > 12 and packet[1] & 0x7F == self.payload_type and not 192 <= packet[1] <= 223:
            self.receive(packet, arrival_ns)
            return
        for item in parse(packet):
            if isinstance(item, SenderReport):
                self.unpacking.reported(item, arrival_ns)
            elif self.source.ssrc in item.ssrcs:
                self._goodbye = self.packets

    def report_block(self, now_ns: int) -> bytes | None:
        """The block for a receiver report; ``None`` before the first packet."""
        order, ssrc = self.order, self.source.ssrc
        if ssrc is None or order.expected < 0:
            return None
        return self.unpacking.reception.block(ssrc, order.highest, order.received, order.lost, now_ns)

    def _reject(self, packet: bytes, first: int, second: int, arrival_ns: int) -> None:
        if 0x80 <= first <= 0xBF:
            if 192 <= second <= 223:  # RFC 5761 4: RTCP; some cameras mix it in
                self.receive_rtcp(packet, arrival_ns)
                return
            if self._tracks.hand_over(self, second & 0x7F, packet, arrival_ns):
                return
            self.unexpected_type = second & 0x7F
            if self._adopt(packet, second & 0x7F, arrival_ns):
                return
        self._dropped += 1

    def _adopt(self, packet: bytes, payload_type: int, arrival_ns: int) -> bool:
        """Whether a packet of another payload type is taken, as are those after it: it is what the camera sends."""
        _, _, sequence, _, ssrc = _unpack(packet)
        waiting = packet, arrival_ns
        if not self._other_type.push(payload_type, ssrc, sequence, self.packets, waiting):
            return False
        choice = choice_by_type(self.unpacking.choice, payload_type)
        if choice is None:
            return False
        taken = self._other_type.take()
        self._dropped -= len(taken) - 1  # the last one was not counted yet
        self.payload_type = payload_type
        if self.unpacking.adopt(choice, self.order.received, self.order.lost) and self.packets:
            self._tracks.new_source(self, True)
        for each in taken:
            self.receive(*each)
        return True

    def _change_source(self, ssrc: int, packet: bytes, arrival_ns: int) -> bool:
        """Judge another SSRC: of a camera that began anew, a stray packet, or one of the old source that took its time.

        The first packet of one that began anew is held until the second shows it. One that goes on with the numbers of
        this source is of it: some cameras give each packet, or each picture, an SSRC of its own.
        """
        if self.source.begins(ssrc, int.from_bytes(packet[2:4]), self.order.expected):
            return True
        waited = self.source.take_over(ssrc, self.packets, (packet, arrival_ns))
        if waited is None:
            self._dropped += 1
            return False
        self.order.reset()
        self.unpacking.restart(self.order.received, self.order.lost)
        self._tracks.new_source(self, False)
        for each in waited:
            self._dropped -= 1
            self.receive(*each)
        return True


def earlier(one_ns: int | None, other_ns: int | None) -> int | None:
    """The earlier of two times, either of which may be that there is nothing to wait for."""
    if one_ns is None or other_ns is None:
        return other_ns if one_ns is None else one_ns
    return min(one_ns, other_ns)
