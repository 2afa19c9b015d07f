"""One clock and one set of packets for every viewer of the simulated camera.

All sessions get the same packets: same SSRC, sequence numbers and timestamps, as from a multicast. A packet is built
once however many sessions there are. Picture *n* is due *n / fps* seconds after the Unix epoch, so that the loop's
clock is the real one, timestamps run on over its end, and a sender report tells the exact time of each picture.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.packets import rtp_packet, sender_report
from camshaft.demo_camera.settings import AUDIO_FRAMES_PER_SECOND, Audio
from common.media import Kind

VIDEO_CLOCK = 90_000  # Hz
REPORT_INTERVAL = 5.0  # seconds: RFC 3550 6.2
BURST = 16  # packets at once: more of them are spread over the picture's time, as a camera's encoder delivers them
SPREAD = 0.5  # share of the picture's time that a large picture takes
MAX_LATENESS = 0.5  # seconds after which pictures are left out rather than sent late: the process was stopped

CNAME = "camshaft"


@dataclass(slots=True)
class Part:
    """Packets that leave together. ``fresh``: a receiver that missed what came before can go on from here."""

    packets: list[bytes]
    fresh: bool
    _interleaved: dict[int, bytes] = field(default_factory=dict)

    def interleaved(self, channel: int) -> bytes:
        """All of them framed for one channel (RFC 2326 10.12); made once for all sessions that use it."""
        data = self._interleaved.get(channel)
        if data is None:
            head = b"$%c" % channel
            data = b"".join(head + struct.pack("!H", len(packet)) + packet for packet in self.packets)
            self._interleaved[channel] = data
        return data


class Receiver(Protocol):
    """A session as the broadcast sees it. Neither method may block or raise."""

    def media(self, kind: Kind, part: Part) -> None:
        """Take packets of one track."""

    def report(self, kind: Kind, packet: bytes) -> None:
        """Take a sender report of one track."""


@dataclass(slots=True)
class Source:
    """One track's counters and identity (RFC 3550)."""

    payload_type: int
    clock_rate: int  # Hz
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    offset: int = field(default_factory=lambda: secrets.randbits(32))  # of timestamps
    sequence: int = field(default_factory=lambda: secrets.randbits(16))
    packets: int = 0
    octets: int = 0

    def timestamp(self, unix_time: float) -> int:
        """The RTP timestamp of a moment."""
        return int(unix_time * self.clock_rate) + self.offset & 0xFFFFFFFF

    def packetise(self, payloads: list[bytes], ticks: int, *, marker_last: bool) -> list[bytes]:
        """One packet for each payload. ``ticks`` of the clock since the Unix epoch."""
        last = len(payloads) - 1
        packets = [
            rtp_packet(
                self.payload_type,
                marker_last and index == last,
                self.sequence + index,
                ticks + self.offset,
                self.ssrc,
                payload,
            )
            for index, payload in enumerate(payloads)
        ]
        self.sequence = self.sequence + len(payloads) & 0xFFFF
        self.packets += len(payloads)
        self.octets += sum(map(len, payloads))
        return packets


class Broadcast:
    """Plays a clip to all ``receivers``."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.sources = {Kind.VIDEO: Source(96, VIDEO_CLOCK)}
        audio = clip.settings.audio
        if audio is not Audio.NONE:
            self.sources[Kind.AUDIO] = Source(97 if audio is Audio.OPUS else 0, audio.clock_rate)
        self.receivers: set[Receiver] = set()
        # The clock of a loop may not be set, the system's may: ours goes on evenly from the moment we start.
        self._started = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix time, in seconds, that never jumps."""
        return self._started + time.monotonic()

    def add(self, receiver: Receiver) -> None:
        """Play to one more. It gets a report at once, so that it can tell the time of the first picture."""
        self.receivers.add(receiver)
        for kind in self.sources:
            receiver.report(kind, self._report(kind))

    def remove(self, receiver: Receiver) -> None:
        """Play to it no more; twice is fine."""
        self.receivers.discard(receiver)

    async def run(self) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._play_video())
            if Kind.AUDIO in self.sources:
                group.create_task(self._play_audio())
            group.create_task(self._send_reports())

    async def _play_video(self) -> None:
        clip, fps = self.clip, self.clip.settings.fps
        source = self.sources[Kind.VIDEO]
        number = int(self.now() * fps)
        while True:
            number = await self._next(number, fps)
            index = number % len(clip.pictures)
            payloads = clip.pictures[index]
            if not payloads or not self.receivers:  # not encoded yet, or for nobody
                continue
            packets = source.packetise(payloads, number * VIDEO_CLOCK // fps, marker_last=True)
            receivers = tuple(self.receivers)  # who comes while a large picture is being sent waits for the next
            pause = SPREAD / fps / max(1, (len(packets) - 1) // BURST)
            for part in _parts(packets, fresh=clip.keyframes[index]):
                if part.packets is not packets and not part.fresh:
                    await asyncio.sleep(pause)
                self._deliver(Kind.VIDEO, part, receivers)

    async def _play_audio(self) -> None:
        sound, source = self.clip.sound, self.sources[Kind.AUDIO]
        size = source.clock_rate // AUDIO_FRAMES_PER_SECOND
        number = int(self.now() * AUDIO_FRAMES_PER_SECOND)
        while True:
            number = await self._next(number, AUDIO_FRAMES_PER_SECOND)
            if self.receivers:
                packets = source.packetise([sound[number % len(sound)]], number * size, marker_last=False)
                self._deliver(Kind.AUDIO, Part(packets, fresh=True), tuple(self.receivers))

    async def _next(self, number: int, rate: int) -> int:
        """Wait until the picture (or frame of sound) after ``number`` is due; which one that is."""
        late = self.now() - (number + 1) / rate
        number += 1 + (int(late * rate) if late > MAX_LATENESS else 0)
        await asyncio.sleep(number / rate - self.now())
        return number

    def _deliver(self, kind: Kind, part: Part, receivers: tuple[Receiver, ...]) -> None:
        for receiver in receivers:
            if receiver in self.receivers:
                receiver.media(kind, part)

    async def _send_reports(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            for kind in self.sources:
                report = self._report(kind)
                for receiver in tuple(self.receivers):
                    receiver.report(kind, report)

    def _report(self, kind: Kind) -> bytes:
        source, now = self.sources[kind], self.now()
        return sender_report(source.ssrc, now, source.timestamp(now), source.packets, source.octets, CNAME)


def _parts(packets: list[bytes], *, fresh: bool) -> Iterator[Part]:
    for start in range(0, len(packets), BURST):
        yield Part(packets[start : start + BURST], fresh and start == 0)
