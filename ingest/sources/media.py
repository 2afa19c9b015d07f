"""A demuxer's findings, said as a camera would: by a session description, and by RTP of any size; no I/O.

Each codec travels in its own payload format, but for one thing: nothing is cut, since a pipe has no MTU. Ingest cuts it
as it cuts cameras' packets. What has no payload format goes by its name, and ingest says why it is not played. Motion
JPEG comes as whole images: RFC 2435 cannot say what many of them are like (``WHOLE``).
"""

from __future__ import annotations

import array
import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.errors import ProtocolError
from common.media import Kind
from ingest.payload.jpeg import WHOLE
from ingest.sources.records import Record, avc_record, hevc_record

FIRST_TYPE = 96  # payload types count from the first dynamic one (RFC 3551 section 6)
SINGLE_H264 = range(1, 24)  # NAL unit types that are packets by themselves (RFC 6184 5.4)
SINGLE_H265 = 48  # the same of H.265: all below (RFC 7798 4.4)
VIDEO_CLOCK = 90_000  # Hz

_RTP = struct.Struct("!BBHII")  # RFC 3550 5.1
_REPORT = struct.Struct("!BBHIIIIII")  # RFC 3550 6.4.1
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970

Payloads = Callable[[bytes], list[bytes]]


@dataclass(frozen=True, slots=True)
class Found:
    """One stream of a source, in FFmpeg's words."""

    kind: Kind
    codec: str  # of FFmpeg's names
    extradata: bytes = b""
    rate: int = 0  # Hz, of sound
    channels: int = 1


@dataclass(frozen=True, slots=True)
class _Form:
    """A codec in a session description, and its access units as payloads."""

    encoding: str  # as in an rtpmap, without the clock's rate
    clock_rate: int  # Hz
    payloads: Payloads
    parameters: str = ""  # of fmtp
    channels: int = 0  # in the rtpmap; 0: not said


class Medium:
    """One media section, and the packets of it."""

    def __init__(self, found: Found, number: int) -> None:
        self._kind, self._form = found.kind, _form(found)
        self._type = FIRST_TYPE + number
        self._ssrc = number + 1
        self._sequence = 0

    @property
    def lines(self) -> list[str]:
        """The track's part of the session description."""
        form, number = self._form, self._type
        rtpmap = f"a=rtpmap:{number} {form.encoding}/{form.clock_rate}"
        lines = [
            f"m={self._kind} 0 RTP/AVP {number}",
            f"{rtpmap}/{form.channels}" if form.channels else rtpmap,
        ]
        return [*lines, f"a=fmtp:{number} {form.parameters}"] if form.parameters else lines

    def packets(self, data: bytes, at_ns: int) -> list[bytes]:
        """The RTP packets of an access unit of that time. Raises ``ProtocolError``."""
        payloads = [payload for payload in self._form.payloads(data) if payload]
        timestamp, packets = self._timestamp(at_ns), []
        for left, payload in zip(range(len(payloads) - 1, -1, -1), payloads, strict=True):
            second = self._type if left else self._type | 0x80
            packets.append(_RTP.pack(0x80, second, self._sequence, timestamp, self._ssrc) + payload)
            self._sequence = self._sequence + 1 & 0xFFFF
        return packets

    def report(self, at_ns: int, unix_ns: int) -> bytes:
        """A sender report: what is at ``at_ns`` of the source's time was captured at that time of ours."""
        seconds, rest = divmod(unix_ns, 10**9)
        ntp = seconds + _NTP_EPOCH & 0xFFFFFFFF, (rest << 32) // 10**9
        return _REPORT.pack(0x80, 200, 6, self._ssrc, *ntp, self._timestamp(at_ns), 0, 0)

    def _timestamp(self, at_ns: int) -> int:
        rate = self._form.clock_rate
        return (at_ns * rate + 500_000_000) // 10**9 & 0xFFFFFFFF


def describe(media: Sequence[Medium]) -> bytes:
    """The session description."""
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "t=0 0", *(line for medium in media for line in medium.lines)]
    return "\r\n".join([*lines, ""]).encode()


def codec_of(decoder: str) -> str:
    """FFmpeg's name of the codec of one of its decoders."""
    return _DECODERS.get(decoder, decoder)


def _form(found: Found) -> _Form:
    make = _FORMS.get(found.codec)
    if make is not None:
        return make(found)
    rate = VIDEO_CLOCK if found.kind is Kind.VIDEO else found.rate or 8_000
    return _Form(_NAMES.get(found.codec, found.codec.upper()), rate, _nothing)


def _nothing(_data: bytes) -> list[bytes]:
    return []


def _whole(data: bytes) -> list[bytes]:
    return [data]


def _h264(found: Found) -> _Form:
    record = _record(avc_record, found.extradata)
    sets = ",".join(_base64(unit) for unit in record.sets if unit[0] & 0x1F in (7, 8))

    def payloads(data: bytes) -> list[bytes]:
        return [unit for unit in record.units(data) if unit[0] & 0x1F in SINGLE_H264]

    mode = "packetization-mode=1"
    return _Form("H264", VIDEO_CLOCK, payloads, f"{mode};sprop-parameter-sets={sets}" if sets else mode)


def _h265(found: Found) -> _Form:
    record = _record(hevc_record, found.extradata)
    names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}  # RFC 7798 7.1, by type
    sets = {
        name: [_base64(unit) for unit in record.sets if unit[0] >> 1 & 0x3F == kind] for kind, name in names.items()
    }

    def payloads(data: bytes) -> list[bytes]:
        return [unit for unit in record.units(data) if unit[0] >> 1 & 0x3F < SINGLE_H265]

    said = ";".join(f"{name}={','.join(units)}" for name, units in sets.items() if units)
    return _Form("H265", VIDEO_CLOCK, payloads, said)


def _record(read: Callable[[bytes], Record], data: bytes) -> Record:
    try:
        return read(data)
    except ProtocolError:  # the stream may have them all the same
        return Record()


def _av1(data: bytes) -> list[bytes]:
    """RTP Payload Format For AV1, 4.3: OBUs, each with its size before it, without the temporal delimiter."""
    payload, at = bytearray(1), 0
    while at < len(data):
        header = data[at]
        head = 2 if header & 4 else 1
        if header & 2:
            size, begin = _leb128(data, at + head)
        else:
            size, begin = len(data) - at - head, at + head
        if begin + size > len(data):
            raise ProtocolError("an OBU is longer than its temporal unit")
        if header >> 3 & 15 != 2:
            obu = bytes((header & ~2,)) + data[at + 1 : at + head] + data[begin : begin + size]
            payload += _to_leb128(len(obu)) + obu
        at = begin + size
    return [bytes(payload)] if len(payload) > 1 else []


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise ProtocolError("a size has no end")


def _to_leb128(value: int) -> bytes:
    field = bytearray()
    while value > 0x7F:
        field.append(value & 0x7F | 0x80)
        value >>= 7
    field.append(value)
    return bytes(field)


def _aac(found: Found) -> _Form:
    def payloads(data: bytes) -> list[bytes]:
        if data[:1] == b"\xff" and data[1:2] and data[1] & 0xF6 == 0xF0:  # ADTS, as MPEG-TS has it
            return [data]
        if len(data) >= 1 << 13:
            raise ProtocolError("a frame of AAC is too long")
        return [b"\0\x10" + (len(data) << 3).to_bytes(2, "big") + data]  # RFC 3640 3.3.6

    said = "streamtype=5;profile-level-id=1"
    if found.extradata:
        said += f";config={found.extradata.hex()}"
    return _Form("MPEG4-GENERIC", found.rate or 48_000, payloads, said, found.channels)


def _latm(found: Found) -> _Form:
    """LOAS (ISO/IEC 14496-3 1.7.2), whose three bytes of header RTP has no use for."""

    def payloads(data: bytes) -> list[bytes]:
        return [data[3:]] if data[:1] == b"\x56" else [data]

    return _Form("MP4A-LATM", found.rate or 48_000, payloads, "cpresent=1", found.channels)


def _amr(encoding: str) -> Callable[[Found], _Form]:
    """RFC 4867 4.4: octet-aligned, a frame in each packet; a file has it with its entry of the table of contents."""
    return lambda found: _Form(encoding, found.rate or 8_000, lambda data: [b"\xf0" + data], "octet-align=1")


def _swapped(data: bytes) -> list[bytes]:
    samples = array.array("H", data[: len(data) & ~1])
    samples.byteswap()
    return [samples.tobytes()]


def _mpeg4(found: Found) -> _Form:
    config = found.extradata.hex()
    return _Form("MP4V-ES", VIDEO_CLOCK, _whole, f"config={config}" if config else "")


def _video(encoding: str, payloads: Payloads, parameters: str = "") -> Callable[[Found], _Form]:
    return lambda _found: _Form(encoding, VIDEO_CLOCK, payloads, parameters)


def _sound(encoding: str, payloads: Payloads = _whole, *, clock_rate: int = 0) -> Callable[[Found], _Form]:
    """Sound whose clock counts samples, unless ``clock_rate`` says otherwise."""
    return lambda found: _Form(encoding, clock_rate or found.rate or 8_000, payloads, channels=found.channels)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


_FORMS: dict[str, Callable[[Found], _Form]] = {
    "h264": _h264,
    "hevc": _h265,
    "vp8": _video("VP8", lambda data: [b"\x10" + data]),  # RFC 7741 4.2: S
    "vp9": _video("VP9", lambda data: [b"\x0c" + data]),  # RFC 9628 4.2: B and E
    "av1": _video("AV1", _av1),
    "mjpeg": _video("JPEG", _whole, f"{WHOLE}=1"),
    "mpeg4": _mpeg4,
    "mpeg2video": _video("MPV", lambda data: [bytes(4) + data]),  # RFC 2250 3.4
    "mpeg1video": _video("MPV", lambda data: [bytes(4) + data]),
    "h263": _video("H263-1998", lambda data: [b"\4\0" + data[2:]]),  # RFC 4629 5.1: P, for the zeros that are left out
    "aac": _aac,
    "aac_latm": _latm,
    "opus": lambda _found: _Form("opus", 48_000, _whole, channels=2),  # RFC 7587 7
    "mp2": _sound("MPA", lambda data: [bytes(4) + data], clock_rate=90_000),  # RFC 2250 3.5
    "mp3": _sound("MPA", lambda data: [bytes(4) + data], clock_rate=90_000),
    "ac3": _sound("AC3", lambda data: [b"\0\1" + data]),  # RFC 4184 4.1.1: one whole frame
    "eac3": _sound("EAC3", lambda data: [b"\0\1" + data]),
    "amr_nb": _amr("AMR"),
    "amr_wb": _amr("AMR-WB"),
    "speex": _sound("SPEEX"),
    "gsm": _sound("GSM"),
    "g723_1": _sound("G723"),
    "g729": _sound("G729"),
    "pcm_mulaw": _sound("PCMU"),
    "pcm_alaw": _sound("PCMA"),
    "adpcm_g722": _sound("G722", clock_rate=8_000),  # RFC 3551 4.5.2
    "pcm_s16be": _sound("L16"),
    "pcm_s16le": _sound("L16", _swapped),
}

# FFmpeg's decoders that are called otherwise than what they decode, and that it takes by itself in some build.
_DECODERS = {
    "libdav1d": "av1",
    "libaom-av1": "av1",
    "libvpx": "vp8",
    "libvpx-vp9": "vp9",
    "mpegvideo": "mpeg2video",
    "libopus": "opus",
    "aac_fixed": "aac",
    "mp2float": "mp2",
    "mp3float": "mp3",
    "g722": "adpcm_g722",
    "ac3_fixed": "ac3",
    "amrnb": "amr_nb",
    "amrwb": "amr_wb",
    "libopencore_amrnb": "amr_nb",
    "libopencore_amrwb": "amr_wb",
}

# Codecs that ingest knows by name alone.
_NAMES = {"vvc": "H266", "h261": "H261"}
