"""The way of a track's packets from the socket to batches: checked, put into order, stamped, unpacked; no I/O.

This is ingest's hot path: a camera at 2 Mb/s sends some 200 packets a second, and a process has a hundred cameras. What
is done for every packet is in ``TrackReceiver.receive`` and ``_deliver``, and for most packets of large pictures in
``_receive_fragments``; ``bench run ingest`` and ``bench run loads`` measure it.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from common.control import TrackStats
from common.media import Batch, Kind, Track
from common.payload.output import Output
from ingest import native
from ingest.payload.doubted import Doubted
from ingest.payload.frames import Frames
from ingest.payload.h264 import H264
from ingest.payload.h265 import H265
from ingest.payload.nal_format import NalPayloadFormat
from ingest.payload.registry import Choice, PayloadFormat, choice_by_codec, choice_by_type, make
from ingest.rtp.clock import CameraClock, TrackClock
from ingest.rtp.numbers import Numbers
from ingest.rtp.reorder import Reorder
from ingest.rtp.rtcp import Reception, SenderReport, parse

_HEADER = Struct("!BBHII")  # RFC 3550 5.1
_unpack = _HEADER.unpack_from

ADOPT_FIRST = 2  # packets in a row of a payload type that was not expected, before any of the expected one came …
ADOPT_LATER = 64  # … and after that: they may be a correction or an enhancement of the others

TAIL = 16  # bytes of a packet by which it is known again

GAPPY = 0.1  # share of packets that are missing, from which on that is why nothing was published for some seconds
TRIALS = 3  # reviews after a verdict about the codec at which it is doubted again: what misled it may be over by then

_Packet = tuple[bytes, int, int, int, int]  # with the first two bytes of its header, its timestamp, its arrival


class TrackReceiver:
    """One track of one session; ``stream`` has it and the others."""

    def __init__(
        self,
        choice: Choice,
        camera: CameraClock,
        *,
        udp: bool,
        epoch: int,
        stream: CameraStream,
    ) -> None:
        self.kind: Kind = choice.track.kind
        self.packets = 0
        self.bytes = 0
        self.ssrc: int | None = None
        self.unexpected_type: int | None = None  # payload type of packets that were not announced
        self._goodbye = -1  # packets that had come when the camera said that there will be no more
        self._dropped = 0
        self._announced_type = self._payload_type = choice.format.payload_type
        self._other: tuple[int, int, int, int] | None = None  # payload type, SSRC, sequence number due, packets before
        self._others: list[tuple[bytes, int]] = []  # such packets in a row, with their arrival; at most ADOPT_FIRST
        self._other_count = 0
        self._retired: int | None = None  # the SSRC before this one
        self._stranger: tuple[int, int, bytes, int] | None = None  # another one, after so many packets; packet, arrival
        self._raw = -1
        self._timestamp = 0
        self._reviewed = (-1, 0, 0)  # access units that had been published then, packets that had come and were lost
        self._missing = 0.0  # share of packets between the last reviews, if nothing was published
        self._punctual = True  # it is read as it comes
        self._numbers = None if udp else Numbers()
        self._last = b""  # bytes of the last packet that was handed on
        self._order: Reorder[_Packet] = Reorder(udp=udp)
        self._camera = camera
        self._stream = stream
        self._choose(choice, epoch)

    def _choose(self, choice: Choice, epoch: int) -> None:
        """Take what comes for ``choice``."""
        track = choice.track
        self._choice = choice
        self._overruled: Choice | None = None  # the one before what comes was found to be of another codec
        self._trials = 0  # reviews that doubt that
        self._payload_type = choice.format.payload_type
        self._clock_rate = choice.clock_rate
        self._clock = TrackClock(choice.clock_rate, self._camera, track.clock_rate)
        self._reception = Reception(choice.clock_rate, self._order.received, self._order.lost)
        self._output = Output(track.kind, track.codec, self._clock, epoch)
        self._take_up(make(choice, self._output))
        self._doubt()
        self._raw = -1

    def _take_up(self, form: PayloadFormat) -> None:
        """Have that format take what comes."""
        self._format = form
        self._nal_format = form if isinstance(form, NalPayloadFormat) else None
        self._pictured = form if isinstance(form, H264 | H265) else None
        self._pictures = native.Pictures(h265=isinstance(form, H265)) if native.BUILT else None

    def _doubt(self) -> None:
        """Look at the picture's packets, whether they are what was announced, until a keyframe shows it."""
        if self.kind is Kind.VIDEO and self._choice.track.playable and not isinstance(self._format, Doubted):
            form = self._format
            self._take_up(Doubted(form, lambda: self._take_up(form), self._recognised))

    def _recognised(self, codec: str) -> PayloadFormat | None:
        """The picture is of that codec: the format that takes it from now on, ``None`` if it cannot be played."""
        choice = choice_by_codec(self._choice, codec)
        if choice is None:
            return None
        self._overruled, self._trials = self._overruled or self._choice, TRIALS
        return self._go_over(choice)

    def _go_over(self, choice: Choice) -> PayloadFormat:
        """Take what comes of the same source for something else from now on."""
        self._choice = choice
        self._output = Output(choice.track.kind, choice.track.codec, self._clock, self._output.epoch)
        form = make(choice, self._output)
        self._take_up(form)
        self._stream.new_source(self, True)
        return form

    def review(self) -> None:
        """Look at what comes if nothing could be published since the last call: it may be another codec by now.

        So is a codec that was not announced, for some calls; if nothing is seen of it, what was announced counts again.
        To be called every few seconds.
        """
        (frames, packets, lost), now = self._reviewed, (self._format.frames, self.packets, self._order.lost)
        self._reviewed = now
        missing = now[2] - lost
        share = missing / max(missing + now[1] - packets, 1)
        self._missing = share if frames == now[0] and share >= GAPPY else 0.0
        if self._overruled is not None and self._format.unseen:
            announced, self._overruled, self._trials = self._overruled, None, 0
            self._go_over(announced)
            self._doubt()
        elif frames == now[0] or self._trials:
            self._trials = max(self._trials - 1, 0)
            self._doubt()

    @property
    def payload_type(self) -> int:
        """The payload type of its packets."""
        return self._payload_type

    @property
    def expected(self) -> int:
        """The sequence number of its next packet; -1 before the first."""
        return self._order.expected

    def announces(self, payload_type: int) -> bool:
        """Whether the camera has said that packets of this payload type are the track's."""
        return any(each.payload_type == payload_type for each in self._choice.section.formats)

    @property
    def track(self) -> Track:
        """The track as it is known now."""
        return self._format.track

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published, though it could be; empty while something is."""
        if self._missing:
            return (
                f"{self._missing:.0%} of its packets never come, so no picture is whole; "
                "look at the camera's network, or set a lower bitrate"
            )
        return self._format.hindrance

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes, which is a failure."""
        return self._format.unseen or bool(self._missing and not self._format.frames)

    @property
    def format(self) -> object:
        """The payload format, which knows more than ``track`` says."""
        return self._format.format if isinstance(self._format, Doubted) else self._format

    @property
    def stats(self) -> TrackStats:
        """Counters since the session began."""
        order, form = self._order, self._format
        return TrackStats(
            kind=self.kind,
            packets=self.packets,
            bytes=self.bytes,
            lost=order.lost,
            duplicates=order.duplicates,
            reordered=order.reordered,
            dropped=self._dropped + order.dropped + form.dropped,
            frames=form.frames,
            keyframes=form.keyframes,
            jitter=round(self._reception.jitter, 6),
        )

    @property
    def said_goodbye(self) -> bool:
        """Whether the camera said that this track ends, and kept to it so far."""
        return self._goodbye == self.packets

    @property
    def repaired(self) -> int:
        """Timestamps that were wrong."""
        return self._clock.repaired

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` and ``take`` have to be called, in Unix time."""
        order, output = self._order, self._output
        if not order.held and not output.payloads:  # as a rule, after every read
            return None
        return min(filter(None, (order.deadline_ns, output.deadline_ns)), default=None)

    @property
    def begun(self) -> bool:
        """Whether a part of something has come, of which the rest may come at any time."""
        form = self.format
        return self.deadline_ns is not None or (isinstance(form, Frames) and form.begun)

    def receive(self, packet: bytes, arrival_ns: int) -> None:
        """An RTP packet came."""
        if len(packet) < 12:
            self._dropped += 1
            return
        first, second, sequence, timestamp, ssrc = _unpack(packet)
        if second & 0x7F != self._payload_type or first < 0x80 or first > 0xBF:
            self._reject(packet, first, second, arrival_ns)
            return
        if ssrc != self.ssrc and not self._change_source(ssrc, packet, arrival_ns):
            return
        self.packets += 1
        self.bytes += len(packet)
        if self._order.in_order(sequence):
            self._last = packet[-TAIL:]
            self._deliver(packet, first, second, timestamp, arrival_ns)
        elif self._numbers is not None and self._is_next(sequence, packet):
            self._order.take_as_next(sequence)
            self._last = packet[-TAIL:]
            self._deliver(packet, first, second, timestamp, arrival_ns)
        else:
            held = (packet, first, second, timestamp, arrival_ns)
            self._deliver_all(self._order.push(sequence, held, arrival_ns))

    def _is_next(self, sequence: int, packet: bytes) -> bool:
        assert self._numbers is not None
        order, others = self._order, self._stream.expected(self)
        repeated = self._last.endswith(packet[-TAIL:])
        return self._numbers.is_next(sequence, order.expected, order.received, others, repeated=repeated)

    def receive_run(self, data: memoryview, bounds: Sequence[tuple[int, int]], arrival_ns: int) -> None:
        """RTP packets came together, each between two places of ``data``."""
        at, count = 0, len(bounds)
        while at < count:
            start, stop = bounds[at]
            self.receive(bytes(data[start:stop]), arrival_ns)
            at += 1
            form = self._nal_format  # a packet may have changed it
            if at < count and form is not None and form.fragment:
                at = self._receive_fragments(form, data, bounds, at, arrival_ns)

    def _receive_fragments(
        self, form: NalPayloadFormat, data: memoryview, bounds: Sequence[tuple[int, int]], at: int, arrival_ns: int
    ) -> int:
        """Take packets from ``at`` on that go on with the NAL unit which the last one was of. Returns which comes next.

        But for their sequence number they begin like each other. That is all that is looked at, and what they carry is
        handed on in one piece: 0.6 µs a packet in place of 5.
        """
        order = self._order
        if order.held:
            return at
        begins = (0x8000 | self._payload_type, self._raw, self.ssrc, form.fragment)
        unpack, size = form.unpack_fragment, form.fragment_at
        expected = order.expected
        pieces: list[memoryview] = []
        for start, stop in bounds[at:]:
            if stop - start <= size:
                break
            kind, sequence, timestamp, ssrc, fragment = unpack(data, start)
            if sequence != expected or (kind, timestamp, ssrc, fragment) != begins:
                break
            expected = expected + 1 & 0xFFFF
            pieces.append(data[start + size : stop])
        if pieces:
            order.came_in_order(len(pieces))
            self._last = bytes(pieces[-1][-TAIL:])
            self.packets += len(pieces)
            carried = b"".join(pieces)
            self.bytes += len(carried) + size * len(pieces)
            form.receive_fragments(carried, arrival_ns)
        return at + len(pieces)

    def take_picture(
        self, channel: int, received: bytearray, start: int, end: int, arrival_ns: int
    ) -> tuple[int, int] | None:
        """Take the ordinary picture between two places of ``received``, in frames of an interleaved channel.

        Returns its bytes there and its packets; ``None``, and nothing has happened, if it has to go through
        ``receive_run``. That would do the same, for three times the processor's time.
        """
        order, form, pictures = self._order, self._pictured, self._pictures
        if form is None or pictures is None or self._raw < 0 or order.held or not form.expects_picture(arrival_ns):
            return None
        assert self.ssrc is not None
        picture = pictures.take(received, start, end, channel, self._payload_type, order.expected, self.ssrc, self._raw)
        if picture is None:
            return None
        size, packets, octets, timestamp, first, payloads = picture
        order.came_in_order(packets)
        self._last = bytes(received[start + size - TAIL : start + size])
        self.packets += packets
        self.bytes += octets
        self._raw = timestamp
        self._timestamp = self._clock.stamp(timestamp, arrival_ns)
        if self._punctual:
            self._reception.arrived(timestamp, arrival_ns)
        form.receive_picture(payloads, first, self._timestamp, arrival_ns)
        return size, packets

    def expire(self, now_ns: int) -> None:
        """Wait no longer for packets that are overdue."""
        self._deliver_all(self._order.expire(now_ns))

    def receive_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """An RTCP packet came; or RTP, from a camera that has mixed its two channels up."""
        if len(packet) > 12 and packet[1] & 0x7F == self._payload_type and not 192 <= packet[1] <= 223:
            self.receive(packet, arrival_ns)
            return
        for item in parse(packet):
            if isinstance(item, SenderReport):
                self._clock.reported(item, arrival_ns)
                self._reception.reported(item, arrival_ns)
            elif self.ssrc in item.ssrcs:
                self._goodbye = self.packets

    def report_block(self, now_ns: int) -> bytes | None:
        """The block for a receiver report; ``None`` before the first packet."""
        if self.ssrc is None or self._order.expected < 0:
            return None
        order = self._order
        return self._reception.block(self.ssrc, order.highest, order.received, order.lost, now_ns)

    def take(self, now_ns: int) -> list[Batch]:
        """Batches of what came since the last call; a unit that is not complete waits a moment for the rest."""
        return self._output.take(now_ns)

    def read_as_it_comes(self, punctual: bool) -> None:
        """Whether packets are read as soon as they come; while they are not, nothing can be said of their jitter."""
        self._punctual = punctual
        self._reception.paused()

    def renew(self, epoch: int) -> None:
        """Start a new epoch."""
        self._output.renew(epoch)

    def _deliver_all(self, packets: Sequence[_Packet | None]) -> None:
        for packet in packets:
            if packet is None:
                self._format.lost()
            else:
                self._deliver(*packet)

    def _deliver(self, packet: bytes, first: int, second: int, timestamp: int, arrival_ns: int) -> None:
        start, end = (12, len(packet)) if not first & 0x3F else _bounds(packet, first)
        if start >= end:  # only padding, or nothing at all: some encoders keep the rate up with that
            self._dropped += start > end
            if start == end and second > 127 and timestamp == self._raw:
                self._format.mark()
            return
        if timestamp != self._raw:
            self._raw = timestamp
            self._timestamp = self._clock.stamp(timestamp, arrival_ns)
            if self._punctual:
                self._reception.arrived(timestamp, arrival_ns)
        self._format.receive(packet, start, end, self._timestamp, second > 127, arrival_ns)

    def _reject(self, packet: bytes, first: int, second: int, arrival_ns: int) -> None:
        if 0x80 <= first <= 0xBF:
            if 192 <= second <= 223:  # RFC 5761 4: RTCP; some cameras mix it in
                self.receive_rtcp(packet, arrival_ns)
                return
            if self._stream.hand_over(self, second & 0x7F, packet, arrival_ns):
                return
            self.unexpected_type = second & 0x7F
            if self._adopt(packet, second & 0x7F, arrival_ns):
                return
        self._dropped += 1

    def _adopt(self, packet: bytes, payload_type: int, arrival_ns: int) -> bool:
        """Whether a packet of another payload type is taken, as are those after it: it is what the camera sends."""
        _, _, sequence, _, ssrc = _unpack(packet)
        if self._other != (payload_type, ssrc, sequence, self.packets):
            self._others, self._other_count = [], 0
        self._other = payload_type, ssrc, sequence + 1 & 0xFFFF, self.packets
        self._others = [*self._others[1 - ADOPT_FIRST :], (packet, arrival_ns)]
        self._other_count += 1
        expected = not self.packets or payload_type == self._announced_type
        if self._other_count < (ADOPT_FIRST if expected else ADOPT_LATER):
            return False
        choice = choice_by_type(self._choice, payload_type)
        if choice is None:
            return False
        waiting, self._other, self._others = self._others, None, []
        self._dropped -= len(waiting) - 1  # the last one was not counted yet
        if choice.track == self._choice.track and choice.clock_rate == self._clock_rate:
            self._choice, self._payload_type = choice, payload_type
        else:
            self._choose(choice, self._output.epoch)
            if self.packets:
                self._stream.new_source(self, True)
        for each in waiting:
            self.receive(*each)
        return True

    def _change_source(self, ssrc: int, packet: bytes, arrival_ns: int) -> bool:
        """Another SSRC appears: a camera that began anew, a stray packet, or one of the old source that took its time.

        As in RFC 3550 A.1, two packets in a row have to agree; the first of them is held until then.
        """
        if self.ssrc is None:
            self.ssrc = ssrc
            return True
        before, self._stranger = self._stranger, (ssrc, self.packets, packet, arrival_ns)
        if ssrc == self._retired or before is None or before[:2] != (ssrc, self.packets):
            self._dropped += 1
            return False
        self._retired, self.ssrc, self._stranger = self.ssrc, ssrc, None
        self._raw = -1
        self._order.reset()
        self._clock.restart()
        self._reception = Reception(self._clock_rate, self._order.received, self._order.lost)
        self._format.restart()
        self._stream.new_source(self, False)
        self._dropped -= 1
        self.receive(*before[2:])
        return True


def _bounds(packet: bytes, first: int) -> tuple[int, int]:
    """Start and end of the payload in a packet with sources, an extension or padding (RFC 3550 5.1, 5.3.1)."""
    start, end = 12 + 4 * (first & 0x0F), len(packet)
    if first & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
    if first & 0x20:
        end -= packet[-1]
    return start, end


class CameraStream:
    """The tracks of one session of a camera, on one capture clock and in one epoch."""

    def __init__(self, choices: Sequence[Choice], *, udp: bool, epoch: int) -> None:
        self.epoch = epoch
        self.clock = CameraClock()
        self.receivers = [TrackReceiver(choice, self.clock, udp=udp, epoch=epoch, stream=self) for choice in choices]

    @property
    def flowing(self) -> bool:
        """Whether a packet of a track has come."""
        return any(receiver.packets for receiver in self.receivers)

    @property
    def repaired(self) -> int:
        """Timestamps that were wrong, and sender reports that were not believed."""
        return self.clock.distrusted + sum(receiver.repaired for receiver in self.receivers)

    @property
    def deadline_ns(self) -> int | None:
        """When ``expire`` and ``take`` have to be called, in Unix time."""
        first = None
        for receiver in self.receivers:
            deadline = receiver.deadline_ns
            if deadline is not None and (first is None or deadline < first):
                first = deadline
        return first

    @property
    def begun(self) -> bool:
        """Whether a part of something has come, of which the rest may come at any time."""
        return any(receiver.begun for receiver in self.receivers)

    def review(self) -> None:
        """See whether what comes is still what it was taken for; to be called every few seconds."""
        for receiver in self.receivers:
            receiver.review()

    def expire(self, now_ns: int) -> None:
        """Wait no longer for packets that are overdue."""
        for receiver in self.receivers:
            receiver.expire(now_ns)

    def take(self, now_ns: int) -> list[Batch]:
        """Batches of what came since the last call; a unit that is not complete waits a moment for the rest."""
        return [batch for receiver in self.receivers for batch in receiver.take(now_ns)]

    def read_as_it_comes(self, punctual: bool) -> None:
        """Whether packets are read as soon as they come."""
        for receiver in self.receivers:
            receiver.read_as_it_comes(punctual)

    def expected(self, receiver: TrackReceiver) -> set[int]:
        """The sequence numbers that the other tracks have next."""
        return {other.expected for other in self.receivers if other is not receiver}

    def hand_over(self, receiver: TrackReceiver, payload_type: int, packet: bytes, arrival_ns: int) -> bool:
        """Whether a packet that came to one track is another's, by its payload type: cameras mix their channels up."""
        if receiver.announces(payload_type):
            return False
        for other in self.receivers:
            if other is not receiver and other.payload_type == payload_type:
                other.receive(packet, arrival_ns)
                return True
        return False

    def new_source(self, receiver: TrackReceiver, new_format: bool) -> None:
        """The source of a track has changed, or what it sends. If it is the picture, the epoch of all tracks is a new
        one. New sound of the same format goes on in the old one: its timestamps are made to continue, and its decoder
        needs nothing from before."""
        if receiver.kind is Kind.VIDEO or new_format:
            self.epoch += 1
            for each in self.receivers:
                each.renew(self.epoch)
