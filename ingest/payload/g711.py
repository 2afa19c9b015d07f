"""G.711 over RTP (RFC 3551 4.5.14): cut anew into packets of 20 ms, which every browser is tuned for; no I/O.

Cameras send chunks of any size, 40 ms or 1,024 bytes for instance, and some count their timestamps wrong. A byte is a
sample, so that our timestamps are counted; the camera's only say when the count has to jump over a gap. Wyze, Sonoff
and others send it at 16,000 Hz, which is brought to 8,000 first, whether it was announced or shows by how much comes.

Firmware whose sound is set to AAC may go on announcing G.711. Played, that is loud noise: it is dropped, and said.
"""

from __future__ import annotations

from dataclasses import replace

from common.media import Kind, Track
from common.payload.output import Output
from ingest.payload.aac import only_adts
from ingest.payload.resample import Resampler
from ingest.payload.standalone import Standalone

CLOCK_RATE = 8_000
CHUNK = 160  # samples in a packet: 20 ms
PROOFS = 3  # packets in a row whose size and time say that the samples are 8,000 a second after all
TOLERANCE = 0.05  # of such a rate
WIDE = 16_000  # samples a second, of firmware that announces 8,000 whatever its sound is set to
MEASURE_NS = 3_000_000_000  # over which it is measured how many come …
MEASURES = 2  # … this often in a row: what waited in the camera or on the way may come at any speed
FOREIGN = 3  # packets in a row that are whole frames of AAC, by which it is that: samples are so once in years
_AAC = "its sound is announced as G.711 but arrives as AAC; set the camera's sound to G.711, or to AAC again"

MAX_DEVIATION = 800  # samples a timestamp may be ahead of the count where no packet is missing: 100 ms; more is a gap


class G711(Standalone):
    """One camera's PCMU or PCMA track."""

    def __init__(self, codec: str, output: Output, *, rate: int = CLOCK_RATE, channels: int = 1) -> None:
        super().__init__(Track(Kind.AUDIO, codec, CLOCK_RATE))
        self._output = output
        self._rest = b""
        self._timestamp: int | None = None  # of the first byte of the rest
        self._gap = False  # packets are missing before the next one
        self._resampler = Resampler(codec, rate, channels) if (rate, channels) != (CLOCK_RATE, 1) else None
        self._last: tuple[int, int] | None = None  # timestamp and size of the last packet
        self._proofs = 0
        self._foreign = 0  # packets in a row
        self._codec = codec
        self._measured = False  # that there are more samples than was announced
        self._since_ns, self._came = 0, 0  # samples since then
        self._wide = 0  # measures in a row

    def lost(self) -> None:
        """Note that packets are missing: the next timestamp shows how many."""
        self._gap = True

    def restart(self) -> None:
        """Begin another stream."""
        self._rest, self._timestamp = b"", None
        self._last = None

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended."""
        if self._is_foreign(packet, start, end):
            self.dropped += 1
            return
        if self._resampler is None:
            self._measure(end - start, arrival_ns)
        most = 0 if self._gap else MAX_DEVIATION
        if self._gap:
            self._gap, self._last = False, None
        if self._timestamp is None or timestamp - self._timestamp - len(self._rest) > most:
            self._rest, self._timestamp = b"", timestamp
            if self._resampler:
                self._resampler.reset()
        data = packet[start:end]
        if self._resampler:
            if not self._measured and self._is_plain(timestamp, end - start):
                self._resampler, self._rest, self._timestamp = None, b"", timestamp
            else:
                data = self._resampler.convert(data)
        samples = self._rest + data
        whole = len(samples) - len(samples) % CHUNK
        for at in range(0, whole, CHUNK):
            self._output.send(samples[at : at + CHUNK], self._timestamp + at, arrival_ns)
        self.frames += whole // CHUNK
        self._rest = samples[whole:]
        self._timestamp += whole

    def _is_foreign(self, packet: bytes, start: int, end: int) -> bool:
        """Whether it is no G.711 at all."""
        if packet[start : start + 1] != b"\xff" or not only_adts(packet[start:end]):
            if self._foreign:
                self._foreign, self.track = 0, replace(self.track, warning="")
            return False
        self._foreign += 1
        if self._foreign == FOREIGN:
            self.track = replace(self.track, warning=_AAC)
            self.restart()
        return self._foreign >= FOREIGN

    def _measure(self, size: int, arrival_ns: int) -> None:
        """See by the time that passes whether there are twice as many samples as was announced."""
        if self._gap or arrival_ns - self._since_ns > 2 * MEASURE_NS:
            self._since_ns, self._came, self._wide = arrival_ns, 0, 0
        elif arrival_ns - self._since_ns >= MEASURE_NS:
            rate = self._came * 10**9 / (arrival_ns - self._since_ns)
            self._wide = self._wide + 1 if abs(rate / WIDE - 1) <= TOLERANCE else 0
            self._since_ns, self._came = arrival_ns, 0
            if self._wide == MEASURES:
                self._measured, self._resampler = True, Resampler(self._codec, WIDE, 1)
        self._came += size

    def _is_plain(self, timestamp: int, size: int) -> bool:
        """Whether the samples are 8,000 a second and of one channel, whatever was announced; seen by size and time."""
        last, self._last = self._last, (timestamp, size)
        if last is not None:
            ticks = timestamp - last[0]
            self._proofs = self._proofs + 1 if ticks > 0 and abs(last[1] / ticks - 1) <= TOLERANCE else 0
        return self._proofs >= PROOFS
