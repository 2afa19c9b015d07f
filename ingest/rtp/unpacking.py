"""Turns a track's ordered packets into batches: stamped, and unpacked by a payload format; no I/O.

The payload format is the one that the camera announced, until the packets prove to be something else; then another one
takes over. ``Unpacking.deliver`` does what is done for every packet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.media import Batch, Kind, Track
from common.payload.output import Output
from ingest import native
from ingest.payload.doubted import Doubted
from ingest.payload.frames import Frames
from ingest.payload.h264 import H264
from ingest.payload.h265 import H265
from ingest.payload.nal_format import NalPayloadFormat
from ingest.payload.names import MUXED
from ingest.payload.registry import Choice, PayloadFormat, choice_by_codec, make
from ingest.rtp.clock import CameraClock, TrackClock
from ingest.rtp.rtcp import Reception, SenderReport

GAPPY = 0.1  # share of packets that are missing, from which on that is why nothing was published for some seconds
TRIALS = 3  # reviews after a verdict about the codec at which it is doubted again: what misled it may be over by then

Packet = tuple[bytes, int, int, int, int]
"""An RTP packet with the first two bytes of its header, its timestamp, and its arrival."""


class Unpacking:
    """Unpacks one track. ``changed`` is called when its packets turn out to be of another codec."""

    def __init__(self, choice: Choice, camera: CameraClock, *, epoch: int, changed: Callable[[], None]) -> None:
        self.dropped = 0  # packets that say of themselves what cannot be
        self._camera = camera
        self._changed = changed
        self._reviewed = (-1, 0, 0)  # access units that had been published then, packets that had come and were lost
        self._missing = 0.0  # share of packets between the last reviews, if nothing was published
        self.punctual = True  # packets are read as they come
        self.timestamp = 0
        self._padded = True  # packets that say so end in padding
        self._choose(choice, epoch)
        self.reception = Reception(choice.clock_rate)

    def _choose(self, choice: Choice, epoch: int) -> None:
        track = choice.track
        self.choice = choice
        self._overruled: Choice | None = None  # the one before what comes was found to be of another codec
        self._trials = 0  # reviews that doubt that
        self.clock = TrackClock(choice.clock_rate, self._camera, track.clock_rate)
        self.output = Output(track.kind, track.carried, self.clock, epoch, track.clock_rate)
        self._take_up(make(choice, self.output))
        self._doubt()
        self.raw = -1  # timestamp of the last packet as it came

    def adopt(self, choice: Choice, received: int, lost: int) -> bool:
        """Take what comes for ``choice`` from now on; ``received`` and ``lost`` is what came before.

        Returns whether that is different from before; if not, everything continues as it was.
        """
        before = self.choice
        if choice.track == before.track and choice.clock_rate == before.clock_rate:
            self.choice = choice
            return False
        self._choose(choice, self.output.epoch)
        self.reception = Reception(choice.clock_rate, received, lost)
        return True

    def _take_up(self, form: PayloadFormat) -> None:
        """Have that format take what comes."""
        self._format = form
        self.nal_format = form if isinstance(form, NalPayloadFormat) else None
        self.pictured = form if isinstance(form, H264 | H265) else None
        self._pictures = native.Pictures(h265=isinstance(form, H265)) if native.BUILT else None

    def _doubt(self) -> None:
        """Check whether the picture's packets are what was announced, until a keyframe proves it."""
        track = self.choice.track
        doubted = isinstance(self._format, Doubted) or track.codec in MUXED  # what is in that is seen elsewhere
        if track.kind is Kind.VIDEO and track.playable and not doubted:
            form = self._format
            self._take_up(Doubted(form, lambda: self._take_up(form), self._recognised))

    def _recognised(self, codec: str) -> PayloadFormat | None:
        """The picture is of that codec: the format that takes it from now on, ``None`` if it cannot be played."""
        choice = choice_by_codec(self.choice, codec)
        if choice is None:
            return None
        self._overruled, self._trials = self._overruled or self.choice, TRIALS
        return self._go_over(choice)

    def _go_over(self, choice: Choice) -> PayloadFormat:
        """Take what comes of the same source for something else from now on."""
        self.choice = choice
        track, epoch = choice.track, self.output.epoch
        self.output = Output(track.kind, track.carried, self.clock, epoch, track.clock_rate)
        form = make(choice, self.output)
        self._take_up(form)
        self._changed()
        return form

    def review(self, packets: int, lost: int) -> None:
        """Look at what comes if nothing could be published since the last call: it may be another codec by now.

        A codec that was not announced is looked at for some calls, too; if it shows nothing, the announced one counts
        again. Call it every few seconds, with how many ``packets`` have come and how many are ``lost``.
        """
        before, self._reviewed = self._reviewed, (self._format.frames, packets, lost)
        published, missing = self._format.frames != before[0], lost - before[2]
        share = missing / max(missing + packets - before[1], 1)
        self._missing = share if not published and share >= GAPPY else 0.0
        if self._overruled is not None and self._format.unseen:
            announced, self._overruled, self._trials = self._overruled, None, 0
            self._go_over(announced)
            self._doubt()
        elif not published or self._trials:
            self._trials = max(self._trials - 1, 0)
            self._doubt()

    @property
    def track(self) -> Track:
        """The track as it is known now."""
        return self._format.track

    def announces(self, payload_type: int) -> bool:
        """Whether the camera has said that packets of this payload type are the track's."""
        return any(each.payload_type == payload_type for each in self.choice.section.formats)

    @property
    def hindrance(self) -> str:
        """Why nothing is being published although it could be; empty while something is."""
        if self._missing:
            return (
                f"{self._missing:.0%} of its packets never arrive, so no picture is complete; "
                "look at the camera's network, or set a lower bitrate"
            )
        return self._format.hindrance

    @property
    def unseen(self) -> bool:
        """Whether none of it will ever be seen as it comes, which is a failure."""
        return self._format.unseen or bool(self._missing and not self._format.frames)

    @property
    def format(self) -> PayloadFormat:
        """The payload format, which knows more than ``track`` says."""
        return self._format.format if isinstance(self._format, Doubted) else self._format

    @property
    def repaired(self) -> int:
        """Timestamps that were wrong."""
        return self.clock.repaired

    @property
    def deadline_ns(self) -> int | None:
        """When ``take`` has to be called, in Unix time; ``None`` as a rule, after every read."""
        return self.output.deadline_ns if self.output.payloads else None

    @property
    def begun(self) -> bool:
        """Whether a part of a frame has come that is put together to a whole one."""
        form = self.format
        return isinstance(form, Frames) and form.begun

    def deliver(self, packet: bytes, first: int, second: int, timestamp: int, arrival_ns: int) -> None:
        """Take the next packet, with the first two bytes of its header and its timestamp."""
        start, end = (12, len(packet)) if not first & 0x3F else self._bounds(packet, first)
        if start >= end:  # only padding, or nothing at all: some encoders keep the rate up with that
            self.dropped += start > end
            if start == end and second > 127 and timestamp == self.raw:
                self._format.mark()
            return
        if timestamp != self.raw:
            self.turn_to(timestamp, arrival_ns)
        self._format.receive(packet, start, end, self.timestamp, second > 127, arrival_ns)

    def take_picture(
        self, received: bytearray, start: int, end: int, channel: int, sequence: int, ssrc: int, arrival_ns: int
    ) -> native.Picture | None:
        """Take the ordinary picture between two places of ``received`` that begins with that packet.

        ``None``, and nothing has happened, if it is not there or not ordinary. See ``TrackReceiver.due``.
        """
        form, pictures = self.pictured, self._pictures
        if form is None or pictures is None or self.raw < 0 or not form.expects_picture(arrival_ns):
            return None
        payload_type = self.choice.format.payload_type
        picture = pictures.take(received, start, end, channel, payload_type, sequence, ssrc, self.raw)
        if picture is not None:
            _, _, _, timestamp, first, payloads = picture
            self.turn_to(timestamp, arrival_ns)
            form.receive_picture(payloads, first, self.timestamp, arrival_ns)
        return picture

    def deliver_all(self, packets: Sequence[Packet | None]) -> None:
        """Take the next packets; ``None`` stands where some are missing."""
        for packet in packets:
            if packet is None:
                self._format.lost()
            else:
                self.deliver(*packet)

    def reported(self, report: SenderReport, arrival_ns: int) -> None:
        """Take a sender report."""
        self.clock.reported(report, arrival_ns)
        self.reception.reported(report, arrival_ns)

    def restart(self, received: int, lost: int) -> None:
        """Begin another source with the next packet; ``received`` came of those before, and ``lost`` did not."""
        self.raw = -1
        self._padded = True
        self.clock.restart()
        self.reception = Reception(self.choice.clock_rate, received, lost)
        self._format.restart()

    def renew(self, epoch: int) -> None:
        """Start a new epoch."""
        self.output.renew(epoch)

    def take(self, now_ns: int) -> list[Batch]:
        """Return the batches since the last call; an incomplete unit waits a moment for its rest."""
        return self.output.take(now_ns)

    def read_as_it_comes(self, punctual: bool) -> None:
        """Note whether packets are read as soon as they come: while they are not, their jitter cannot be told."""
        self.punctual = punctual
        self.reception.paused()

    def _bounds(self, packet: bytes, first: int) -> tuple[int, int]:
        """Start and end of the payload in a packet with sources, an extension or padding (RFC 3550 5.1, 5.3.1).

        Some senders set the bit of padding and send none: a number of bytes that cannot be shows it, for all that come.
        """
        start, end = 12 + 4 * (first & 0x0F), len(packet)
        if first & 0x10:
            start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
        if first & 0x20 and self._padded:
            self._padded = 0 < packet[-1] <= end - start
            end -= packet[-1] * self._padded
        return start, end

    def turn_to(self, timestamp: int, arrival_ns: int) -> None:
        """Go on to another timestamp, whose first packet came."""
        self.raw = timestamp
        self.timestamp = self.clock.stamp(timestamp, arrival_ns)
        if self.punctual:
            self.reception.arrived(timestamp, arrival_ns)
