"""AAC over RTP, as MPEG4-GENERIC (RFC 3640) and MP4A-LATM (RFC 6416), made frames that say what they are; no I/O.

No browser takes AAC by WebRTC, so it travels to a converter, each frame with an ADTS header (ISO/IEC 14496-3 1.A.2): a
decoder needs nothing else, and can begin with any frame. The spectral band replication of HE-AAC is in the frames.

* RFC 3640 3.2: several frames in a packet, each with its size in the AU headers, or one frame in several packets, each
  of which says the whole frame's size. Frames that are interleaved do not occur with cameras, and are dropped.
* RFC 6416 6: an AudioMuxElement, its configuration in the session description or in the stream itself.
* Cameras put frames into packets that have an ADTS header already, and announce no configuration with it.
* Where no configuration can be read, it is AAC-LC of the rate and the channels that the description says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from common.media import Kind, Track
from common.payload.bits import Bits
from common.payload.output import Output, pieces

MAX_FRAME = 8_191 - 7  # bytes: the size field of ADTS has 13 bits
MAX_FRAMES = 64  # in a packet: 64 kB hold more only of silence
SAMPLES = 1_024  # of a frame, at the core's rate

_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
_MAIN, _LC, _SSR, _LTP, _SBR, _PS = 1, 2, 3, 4, 5, 29  # audio object types, ISO/IEC 14496-3 1.5.1
_SYNC_EXTENSION = 0x2B7
_ADTS_HEADER = 7
_REFUSED = 16  # packets in a row from the first on that nothing could be made of, until that is said
_OTHER_KIND = "it is a kind of AAC that no converter can read ({what}); set the camera's sound to AAC-LC or G.711"


class OtherKindError(ValueError):
    """A configuration of AAC that ADTS cannot say."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1), as far as ADTS can say it. Raises ``ValueError`` in ``parse``."""

    object_type: int
    rate: int  # Hz, of the core
    channels: int  # channel_configuration: 7 means eight

    @classmethod
    def parse(cls, data: bytes) -> Configuration:
        """Read it from its bytes."""
        return cls.read(Bits(data))

    @classmethod
    def read(cls, bits: Bits) -> Configuration:
        """Read it from where it begins. Raises ``ValueError``."""
        kind, rate, channels = _object_type(bits), _rate(bits), bits.u(4)
        if kind in (_SBR, _PS):
            _rate(bits)  # of what comes out, with the band that is replicated
            kind = _object_type(bits)
        if not kind:
            raise ValueError("no audio object type")
        if kind not in (_MAIN, _LC, _SSR, _LTP):
            raise OtherKindError(f"audio object type {kind}")
        if bits.u(1):  # frameLengthFlag
            raise OtherKindError("960 samples a frame")
        if bits.u(1):  # dependsOnCoreCoder
            bits.u(14)
        bits.u(1)  # extensionFlag
        if bits.peek(11) == _SYNC_EXTENSION:  # SBR, said behind what older decoders read
            bits.u(11)
            if _object_type(bits) == _SBR and bits.u(1):
                _rate(bits)
        if not 1 <= channels <= 7:
            raise OtherKindError(f"channel configuration {channels}")
        return cls(kind, rate, channels)

    def adts(self, size: int) -> bytes:
        """The header of a frame of ``size`` bytes."""
        whole, index = size + _ADTS_HEADER, _RATES.index(self.rate)
        return bytes(
            (
                0xFF,
                0xF1,  # MPEG-4, no CRC
                self.object_type - 1 << 6 | index << 2 | self.channels >> 2,
                (self.channels & 3) << 6 | whole >> 11,
                whole >> 3 & 0xFF,
                (whole & 7) << 5 | 0x1F,  # the buffer's fullness is not said
                0xFC,
            )
        )


def announced_track(codec: str, clock_rate: int, channels: int, parameters: Mapping[str, str]) -> Track:
    """The track as a session description has it. One without a configuration may still have it in the stream."""
    track = Track(Kind.AUDIO, "AAC", clock_rate, channels)
    try:
        configuration, _ = _announced(codec, parameters)
    except OtherKindError as exc:
        return replace(track, problem=_OTHER_KIND.format(what=exc))
    return replace(track, channels=configuration.channels) if configuration else track


class Aac:
    """One camera's AAC track, in either payload format."""

    def __init__(
        self, codec: str, track: Track, clock_rate: int, parameters: Mapping[str, str], output: Output
    ) -> None:
        self.frames = 0
        self.keyframes = 0
        self.dropped = 0  # packets
        self._refused = ""  # what was wrong with the last of them
        self.track = track
        self._output = output
        self._clock_rate = clock_rate
        self._latm = codec == "MP4A-LATM"
        self._configuration, self._subframes = _announced(codec, parameters)
        self._in_band = self._latm and parameters.get("cpresent", "1") != "0"
        if self._configuration is None and not self._in_band:
            rate = min(_RATES, key=lambda each: abs(each - clock_rate))
            self._configuration = Configuration(_LC, rate, min(max(track.channels, 1), 2))
        size, index, delta = (_number(parameters, name) for name in ("sizelength", "indexlength", "indexdeltalength"))
        self._header_bits = (size or 13, 3 if index is None else index, 3 if delta is None else delta)  # AAC-hbr
        self._plain = size is None and not self._latm and parameters.get("mode", "").lower() != "aac-hbr"
        self._part = b""  # of a frame, or of an AudioMuxElement, that has not come whole
        self._missing = 0  # bytes of it
        self.unseen = False

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published; empty while something is."""
        if self.frames:
            return ""
        if self._refused and self.dropped >= _REFUSED:
            return f"its AAC cannot be read: {self._refused}; set the camera's sound to AAC-LC or G.711"
        return "waiting for the configuration of its AAC" if self._latm else "waiting for its AAC"

    def mark(self) -> None:
        """Do nothing: a marker without a payload ends nothing."""

    def lost(self) -> None:
        """Drop what was begun: packets are missing, so it has no end."""
        self._part, self._missing = b"", 0

    def restart(self) -> None:
        """Begin another stream: drop the unit that is not whole."""
        self.lost()

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended, that of the first frame."""
        payload = packet[start:end]
        try:
            frames = self._latm_frames(payload, marker) if self._latm else self._generic_frames(payload)
            for number, frame in enumerate(frames):
                self._send(frame, timestamp, number, arrival_ns)
        except ValueError as exc:
            self.dropped += 1
            self._refused = str(exc)
            self.lost()

    def _send(self, frame: bytes, timestamp: int, number: int, arrival_ns: int) -> None:
        if frame[:1] == b"\xff" and len(frame) > _ADTS_HEADER and frame[1] & 0xF6 == 0xF0:  # it has its own header
            said = _rate_of_adts(frame)
        elif self._configuration is not None and 0 < len(frame) <= MAX_FRAME:
            frame, said = self._configuration.adts(len(frame)) + frame, self._configuration.rate
        else:
            raise ValueError("a frame of an unknown configuration")
        self._output.send_unit(pieces(frame), timestamp + number * SAMPLES * self._clock_rate // said, arrival_ns)
        self.frames += 1

    # RFC 3640.

    def _generic_frames(self, payload: bytes) -> Iterator[bytes]:
        if self._plain and payload[:1] == b"\xff" and len(payload) > 1 and payload[1] & 0xF6 == 0xF0:
            yield from _adts_frames(payload)
            return
        size_length, index_length, delta_length = self._header_bits
        header_bits = int.from_bytes(payload[:2], "big")
        if 0 < header_bits < size_length:  # it is said in bytes
            header_bits *= 8
        at = 2 + (header_bits + 7) // 8
        if len(payload) < at and _is_adts(payload):
            yield from _adts_frames(payload)
            return
        if len(payload) < at or not header_bits:
            raise ValueError("the AU headers are longer than the packet")
        bits = Bits(payload[2:at])
        sizes: list[int] = []
        if header_bits == size_length:  # RFC 3640 4.1: there is no index where its length is not said
            index_length = 0
        while header_bits >= size_length + index_length and len(sizes) < MAX_FRAMES:
            sizes.append(bits.u(size_length))
            if bits.u(index_length) and sizes[1:]:
                raise ValueError("frames are interleaved")
            header_bits -= size_length + index_length
            index_length = delta_length
        if len(sizes) == 1 and (self._part or sizes[0] > len(payload) - at):
            yield from self._fragment(payload[at:], sizes[0])
            return
        self.lost()
        for size in sizes:
            if not size or at + size > len(payload):
                raise ValueError("a frame is longer than its packet")
            yield payload[at : at + size]
            at += size

    def _fragment(self, data: bytes, size: int) -> Iterator[bytes]:
        """RFC 3640 3.2.3: each fragment's AU header says the size of the whole frame."""
        if not self._part:
            self._missing = size
        self._part += data
        self._missing -= len(data)
        if self._missing < 0 or size > MAX_FRAME:
            raise ValueError("a frame is longer than it says")
        if not self._missing:
            frame, self._part = self._part, b""
            yield frame

    # RFC 6416.

    def _latm_frames(self, payload: bytes, marker: bool) -> Iterator[bytes]:
        self._part += payload
        if len(self._part) > MAX_FRAME * 4:
            raise ValueError("an element without end")
        if not marker:
            return
        element, self._part = self._part, b""
        if _is_adts(element):
            yield from _adts_frames(element)
            return
        bits = Bits(element)
        if self._in_band and not bits.u(1):  # useSameStreamMux
            self._configuration, self._subframes = _stream_mux_config(bits)
            _skip_rest_of_config(bits)
        elif self._configuration is None:
            raise ValueError("an element before its configuration")
        for _ in range(self._subframes):
            size = 0
            while (more := bits.u(8)) == 255:
                size += more
            yield bits.octets(size + more)


def _announced(codec: str, parameters: Mapping[str, str]) -> tuple[Configuration | None, int]:
    """The configuration, if one is there that can be read, and how many frames an element of LATM has.

    Raises ``OtherKindError``.
    """
    try:
        bits = Bits(bytes.fromhex(parameters.get("config", "")))
        return _stream_mux_config(bits) if codec == "MP4A-LATM" else (Configuration.read(bits), 1)
    except OtherKindError:
        raise
    except ValueError:
        return None, 1


def _stream_mux_config(bits: Bits) -> tuple[Configuration, int]:
    """ISO/IEC 14496-3 1.7.3: the configuration, and the frames of an element. One program, one layer."""
    if bits.u(1):  # audioMuxVersion
        raise OtherKindError("LATM of another version")
    same_time, subframes, programs, layers = bits.u(1), bits.u(6) + 1, bits.u(4), bits.u(3)
    if not same_time or programs or layers:
        raise OtherKindError("LATM with several programs")
    configuration = Configuration.read(bits)
    if bits.peek(3):  # frameLengthType
        raise OtherKindError("LATM with frames of a fixed length")
    return configuration, subframes


def _skip_rest_of_config(bits: Bits) -> None:
    """Skip the fields behind a configuration in the stream; in session descriptions GStreamer leaves them out."""
    bits.u(3 + 8)  # frameLengthType, latmBufferFullness
    if bits.u(1):  # otherDataPresent
        while bits.u(1):
            bits.u(8)
        bits.u(8)
    if bits.u(1):  # crcCheckPresent
        bits.u(8)


def _adts_frames(payload: bytes) -> Iterator[bytes]:
    at = 0
    while len(payload) - at > _ADTS_HEADER:
        size = (payload[at + 3] & 3) << 11 | payload[at + 4] << 3 | payload[at + 5] >> 5
        if size <= _ADTS_HEADER or at + size > len(payload):
            raise ValueError("an ADTS frame is longer than its packet")
        yield payload[at : at + size]
        at += size


def only_adts(payload: bytes) -> bool:
    """Whether that is nothing but whole ADTS frames."""
    try:
        frames = list(_adts_frames(payload))
    except ValueError:
        return False
    return sum(map(len, frames)) == len(payload) > 0 and all(
        frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0 for frame in frames
    )


def _is_adts(payload: bytes) -> bool:
    """Whether that begins with an ADTS header that leaves nothing over or has another one behind its frame."""
    if len(payload) <= _ADTS_HEADER or payload[0] != 0xFF or payload[1] & 0xF6 != 0xF0:
        return False
    size = (payload[3] & 3) << 11 | payload[4] << 3 | payload[5] >> 5
    return size == len(payload) or (size > _ADTS_HEADER and payload[size : size + 1] == b"\xff")


def _rate_of_adts(frame: bytes) -> int:
    index = frame[2] >> 2 & 15
    if index >= len(_RATES):
        raise ValueError("an ADTS header without a rate")
    return _RATES[index]


def _object_type(bits: Bits) -> int:
    kind = bits.u(5)
    return 32 + bits.u(6) if kind == 31 else kind


def _rate(bits: Bits) -> int:
    index = bits.u(4)
    rate = bits.u(24) if index == 15 else _RATES[index] if index < len(_RATES) else 0
    return min(_RATES, key=lambda known: abs(known - rate))


def _number(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 3 else None
