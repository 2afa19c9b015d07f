"""Sound of any codec that FFmpeg decodes becomes Opus, 48 kHz in stereo, in packets of ``PACKET_MS``.

Lip sync comes from capture times: each packet's is that of its first sample. Samples are counted from an access unit's
capture time on, and counted anew where the two have come apart by more than ``MAX_DRIFT_NS``: sound was lost, or the
camera's clock for sound runs at another speed than it says.
"""

from __future__ import annotations

from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext

from common.media import Track
from common.payload.assembler import AccessUnit
from transcode.conversion import Made
from transcode.padded import packet, padded

DECODERS = {
    "AAC": "aac",
    "L8": "pcm_u8",
    "L16": "pcm_s16be",
    "L24": "pcm_s24be",
    "MPA": "mp3float",
    "G722": "g722",
    "PCMU": "pcm_mulaw",
} | {
    "PCMA": "pcm_alaw",
    "opus": "libopus",
}
"""FFmpeg's decoder of each codec on the bus; G.726 has one for each order of bits."""

CLOCK_RATE = 48_000  # Hz
PACKET_MS = 20
BIT_RATE = 64_000  # bit/s: speech and a street need no more
MAX_DRIFT_NS = 60_000_000
MAX_PACKET_NS = 600_000_000  # of sound in one packet, where the first frame that is decoded may be of the one before
_SAMPLES = CLOCK_RATE * PACKET_MS // 1000
_LEAST_APART_NS = (
    PACKET_MS * 1_000_000 // 2
)  # of two packets: receivers take the second of two at one time for the same
_SECONDS_PER_SAMPLE = Fraction(1, CLOCK_RATE)


class SoundConverter:
    """One camera's sound. Not for two threads at once."""

    def __init__(self, track: Track) -> None:
        self.undecodable = 0  # access units of which no sound came
        self._track = track
        self._parses = track.codec == "MPA"  # whose packets hold several frames, or a part of one
        self._tolerance_ns = MAX_PACKET_NS if self._parses else MAX_DRIFT_NS
        self._encoder = AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate = CLOCK_RATE
        self._encoder.layout = "stereo"
        self._encoder.format = "s16"
        self._encoder.bit_rate = BIT_RATE
        self._encoder.options = {"application": "lowdelay", "frame_duration": str(PACKET_MS), "compression_level": "5"}
        self._zero_ns = 0  # capture time of sample 0, while samples are counted
        self._arrival_ns = 0
        self._last_ns = -_LEAST_APART_NS  # capture time of the last packet
        self._begin()

    def _begin(self) -> None:
        """Decode as if nothing had come before."""
        self._decoder = _decoder(self._track)
        self._resampler = AudioResampler("s16", "stereo", CLOCK_RATE, _SAMPLES)
        self._seconds_in = Fraction(0)  # of sound since sample 0, as the decoder counts it …
        self._samples_out = 0  # … and as we do

    def convert(self, unit: AccessUnit, *, show: bool = True) -> list[Made]:
        """The packets that come out when ``unit`` goes in, whether it is shown or not: sound has no keyframes."""
        self._arrival_ns = unit.arrival_ns
        if not unit.data:  # which a decoder takes for the end
            return []
        try:
            packets = self._decoder.parse(padded(unit.data)) if self._parses else [packet(unit.data)]
            frames = [frame for each in packets for frame in self._decoder.decode(each)]
            return [made for frame in frames for made in self._encode(frame, unit.capture_ns)]
        except (av.FFmpegError, ValueError):
            self.undecodable += 1
            self._begin()
            return []

    def _encode(self, frame: AudioFrame, capture_ns: int) -> list[Made]:
        expected = self._zero_ns + int(self._seconds_in * 10**9)
        if not self._seconds_in or abs(capture_ns - expected) > self._tolerance_ns:
            waiting = max(self._seconds_in - self._samples_out * _SECONDS_PER_SAMPLE, Fraction(0))
            self._zero_ns = capture_ns - int(waiting * 10**9)
            self._seconds_in, self._samples_out = waiting, 0
        frame.pts = None
        self._seconds_in += Fraction(frame.samples, frame.sample_rate)
        packets = []
        for resampled in self._resampler.resample(frame):
            resampled.pts = None
            for encoded in self._encoder.encode(resampled):
                at = self._zero_ns + int(self._samples_out * _SECONDS_PER_SAMPLE * 10**9)
                self._samples_out += _SAMPLES
                if at - self._last_ns < _LEAST_APART_NS:  # counted anew: there was more sound than time
                    continue
                self._last_ns = at
                packets.append(Made([bytes(encoded)], False, at, self._arrival_ns))
        return packets


def _decoder(track: Track) -> AudioCodecContext:
    g726 = "G726" in track.codec
    # RFC 3551 4.5.4 packs the first sample into the lowest bits, AAL2 (ITU-T I.366.2) into the highest.
    name = ("g726" if track.codec.startswith("AAL2") else "g726le") if g726 else DECODERS[track.codec]
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, AudioCodecContext)
    if g726:
        decoder.options = {"bits_per_coded_sample": str(int(track.codec.rpartition("-")[2]) // 8)}
    if track.codec not in _SELF_DESCRIBING:
        decoder.sample_rate = 16_000 if track.codec == "G722" else track.clock_rate  # RFC 3551 4.5.2
        decoder.layout = "mono" if track.channels == 1 else "stereo"
    return decoder


_SELF_DESCRIBING = {"AAC", "MPA"}  # by ADTS, and by the header of each frame
