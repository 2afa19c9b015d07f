"""Sound of any codec that FFmpeg decodes becomes Opus of 48 kHz in packets of ``PACKET_MS``, or G.711 of one channel.

What has one channel stays so, which is half of the work: each packet says how many it has (RFC 6716 3.1), whatever the
session description does (RFC 7587 7). More than two become two.

Lip sync comes from capture times: each packet's is that of its first sample. Samples are counted from an access unit's
capture time on, and counted anew where the two have come apart by more than ``MAX_DRIFT_NS``: sound was lost, or the
camera's clock for sound runs at another speed than it says.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext

from common.media import Track
from common.payload.assembler import AccessUnit
from transcode.bit_order import BitOrder
from transcode.conversion import Made
from transcode.padded import packet, padded

DECODERS = {
    "AAC": "aac",
    "L8": "pcm_u8",
    "L16": "pcm_s16be",
    "L24": "pcm_s24be",
    "MPA": "mp3float",
    "AC3": "ac3",
    "EAC3": "eac3",
    "SPEEX": "speex",
    "GSM": "gsm",
    "DVI4": "adpcm_ima_smjpeg",  # the same bytes: RFC 3551 4.5.1
    "G723": "g723_1",
    "G729": "g729",
    "AMR": "amrnb",
    "AMR-WB": "amrwb",
    "G722": "g722",
    "PCMU": "pcm_mulaw",
} | {
    "PCMA": "pcm_alaw",
    "opus": "libopus",
    "MULTIOPUS": "libopus",
}
"""FFmpeg's decoder of each codec on the bus; G.726 has one for each order of bits."""

CLOCK_RATE = 48_000  # Hz
PACKET_MS = 20
BIT_RATES = {"mono": 48_000, "stereo": 64_000}  # bit/s: speech and a street need no more
MAX_DRIFT_NS = 60_000_000
MAX_PACKET_NS = 600_000_000  # of sound in one packet, where the first frame that is decoded may be of the one before
_AAL2 = "AAL2-"  # before the name of G.726: see ``transcode.bit_order``
_G711 = {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}  # FFmpeg's encoders
_G711_RATE = 8_000  # Hz
_LEAST_APART_NS = (
    PACKET_MS * 1_000_000 // 2
)  # of two packets: receivers take the second of two at one time for the same


class SoundConverter:
    """One camera's sound. Not for two threads at once."""

    def __init__(self, track: Track, made: str = "opus") -> None:
        self._made, self._clock = made, CLOCK_RATE if made == "opus" else _G711_RATE
        self.undecodable = 0  # access units of which no sound came
        self._track = track
        self._parses = track.codec in _PARSED  # whose packets hold several frames, or a part of one
        self._tolerance_ns = MAX_PACKET_NS if self._parses else MAX_DRIFT_NS
        self._layout = self._layout_of(track.channels)  # as far as is known before the first frame
        self._encoder = _encoder(made, self._layout)
        self._order = BitOrder() if "G726" in track.codec else None
        self._zero_ns = 0  # capture time of sample 0, while samples are counted
        self._arrival_ns = 0
        self._last_ns = -_LEAST_APART_NS  # capture time of the last packet
        self._begin()

    def _begin(self) -> None:
        """Decode as if nothing had come before."""
        self._decoder = _decoder(self._track)
        self._other = _decoder(_other_order(self._track)) if self._order and not self._order.known else None
        self._resample()

    def _resample(self) -> None:
        """Go on without what waits for a packet to become full."""
        self._resampler = AudioResampler("s16", self._layout, self._clock, self._samples)
        self._carried_ns = 0  # of sound that waited for a packet at sample 0 …
        self._samples_in, self._rate = 0, self._clock  # … and what the decoder gave since, of so many a second …
        self._samples_out = 0  # … and what has left, of ``self._clock``

    def convert(self, unit: AccessUnit, *, show: bool = True) -> list[Made]:
        """The packets that come out when ``unit`` goes in, whether it is shown or not: sound has no keyframes."""
        self._arrival_ns = unit.arrival_ns
        if not unit.data:  # which a decoder takes for the end
            return []
        try:
            packets = self._decoder.parse(padded(unit.data)) if self._parses else [packet(unit.data)]
            frames = [frame for each in packets for frame in self._decoder.decode(each)]
            if self._order and self._other:
                self._hear_other(self._order, packets, frames)
            return [made for frame in frames for made in self._encode(frame, unit.capture_ns)]
        except (av.FFmpegError, ValueError):
            self.undecodable += 1
            self._begin()
            return []

    def _hear_other(self, order: BitOrder, packets: list[av.Packet[Any]], frames: list[AudioFrame]) -> None:
        """Read the same in the other order of bits, until it is known which is right; that one counts from then on."""
        assert self._other is not None
        others = [frame for each in packets for frame in self._other.decode(each)]
        if order.hear(_samples(frames), _samples(others)):
            self._track, self._decoder = _other_order(self._track), self._other
        if order.known:
            self._other = None

    def _encode(self, frame: AudioFrame, capture_ns: int) -> list[Made]:
        layout = self._layout_of(frame.layout.nb_channels)
        if layout != self._layout:
            self._layout, self._encoder = layout, _encoder(self._made, layout)
            self._resample()
        in_ns = self._carried_ns + self._samples_in * 10**9 // self._rate
        apart = abs(capture_ns - self._zero_ns - in_ns)
        if not in_ns or apart > self._tolerance_ns or frame.sample_rate != self._rate:
            self._carried_ns = max(in_ns - self._nanoseconds(self._samples_out), 0)
            self._zero_ns = capture_ns - self._carried_ns
            self._samples_in, self._samples_out, self._rate = 0, 0, frame.sample_rate
        frame.pts = None
        self._samples_in += frame.samples
        packets = []
        for resampled in self._resampler.resample(frame):
            resampled.pts = None
            for encoded in self._encoder.encode(resampled):
                at = self._zero_ns + self._nanoseconds(self._samples_out)
                self._samples_out += self._samples
                if at - self._last_ns < _LEAST_APART_NS:  # counted anew: there was more sound than time
                    continue
                self._last_ns = at
                packets.append(Made([bytes(encoded)], False, at, self._arrival_ns))
        return packets

    @property
    def _samples(self) -> int:
        """Samples of one packet."""
        return self._clock * PACKET_MS // 1000

    def _nanoseconds(self, samples: int) -> int:
        return samples * 10**9 // self._clock

    def _layout_of(self, channels: int) -> str:
        return "stereo" if channels > 1 and self._made == "opus" else "mono"


def _other_order(track: Track) -> Track:
    other = track.codec.removeprefix(_AAL2)
    return replace(track, codec=other if other != track.codec else _AAL2 + other)


def _samples(frames: list[AudioFrame]) -> list[int]:
    """The samples of frames that have 16 bits and one channel."""
    return [sample for frame in frames for sample in memoryview(frame.planes[0])[: 2 * frame.samples].cast("h")]


def _encoder(made: str, layout: str) -> AudioCodecContext:
    encoder = AudioCodecContext.create(_G711.get(made, "libopus"), "w")
    assert isinstance(encoder, AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = CLOCK_RATE, layout, "s16"
    if made in _G711:
        encoder.sample_rate = _G711_RATE
        return encoder
    encoder.bit_rate = BIT_RATES[layout]
    encoder.options = {"application": "lowdelay", "frame_duration": str(PACKET_MS), "compression_level": "5"}
    return encoder


def _decoder(track: Track) -> AudioCodecContext:
    g726 = "G726" in track.codec
    name = ("g726" if track.codec.startswith(_AAL2) else "g726le") if g726 else DECODERS[track.codec]
    decoder = CodecContext.create(name, "r")
    assert isinstance(decoder, AudioCodecContext)
    if g726:
        decoder.options = {"bits_per_coded_sample": str(int(track.codec.rpartition("-")[2]) // 8)}
    if track.codec not in _SELF_DESCRIBING:
        decoder.sample_rate = 16_000 if track.codec == "G722" else track.clock_rate  # RFC 3551 4.5.2
        decoder.layout = _LAYOUTS[track.channels]
    if track.codec == "MULTIOPUS":
        decoder.extradata = _opus_head(track)
    decoder.open()  # before a parser says that it is another layer of MPEG audio, which it decodes all the same
    return decoder


def _opus_head(track: Track) -> bytes:
    """RFC 7845 5.1: the header of a file, for the mapping of channels that ``Track.profile`` has."""
    streams, coupled, *channels = map(int, track.profile.split(","))
    return struct.pack("<8sBBHIhBBB", b"OpusHead", 1, len(channels), 0, CLOCK_RATE, 0, 1, streams, coupled) + bytes(
        channels
    )


_PARSED = {"MPA", "AC3", "EAC3"}
_SELF_DESCRIBING = {"AAC", *_PARSED}  # by ADTS, and by the header of each frame
_LAYOUTS = ("mono", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")  # by the number of channels
