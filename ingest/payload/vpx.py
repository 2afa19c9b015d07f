"""VP8 (RFC 7741), VP9 (RFC 9628) and AV1 over RTP from cameras, made fit for WebRTC; no I/O.

Each frame is taken out of the camera's packets and put into new ones of ``MAX_PAYLOAD`` bytes, with the least of a
descriptor that receivers need. What cameras say of layers is left out: of VP9 all layers go out as one superframe, of
which a decoder shows the last.
"""

from __future__ import annotations

from dataclasses import replace

from common.errors import ProtocolError
from common.media import MAX_PAYLOAD, Track
from common.payload.access_unit import access_unit, obus
from common.payload.output import Output, pieces
from ingest.payload.frames import Frames, Unit

_SEQUENCE_HEADER = 1  # obu_type, AV1 6.2.2
_MOST_INDEXED = 8  # frames, VP9 annex B
_LEAST = 8  # bytes of room in which an OBU is begun
_VP8_START = b"\x9d\x01\x2a"  # RFC 6386 9.1
_VP9_SYNC = 0x498342  # VP9 6.2.1: frame_sync_code
_NOT_SENT = {2, 8, 15}  # temporal delimiters, tile lists and padding: RTP Payload Format For AV1, 5


def repack_vp8(payloads: list[bytes]) -> list[Unit]:
    """RFC 7741 4.2. Each packet has the one byte of descriptor that has to be: S in the first, partition 0 in all.

    Raises ``ProtocolError``.
    """
    if payloads[0][0] & 0x17 != 0x10:  # S, and PID 0
        raise ProtocolError("the beginning of a frame is missing")
    frame = access_unit("VP8", payloads)
    if len(frame) < 3:
        raise ProtocolError("a frame of VP8 has no header")
    keyframe = not frame[0] & 1  # RFC 6386 9.1
    if keyframe and frame[3:6] != _VP8_START:
        raise ProtocolError("a keyframe of VP8 has no start code")
    first, *rest = pieces(frame, MAX_PAYLOAD - 1)
    return [Unit([b"\x10" + first, *(b"\0" + piece for piece in rest)], keyframe)]


def repack_vp9(payloads: list[bytes]) -> list[Unit]:
    """RFC 9628 4.2: B in the first packet, E in the last, P where the picture needs another one.

    Raises ``ProtocolError``.
    """
    if not payloads[0][0] & 0x08:
        raise ProtocolError("the beginning of a frame is missing")
    frame = superframe([access_unit("VP9", layer) for layer in _layers(payloads)])
    keyframe = _is_vp9_keyframe(frame)
    cut = pieces(frame, MAX_PAYLOAD - 1)
    bits = bytearray([0 if keyframe else 0x40] * len(cut))
    bits[0] |= 0x08
    bits[-1] |= 0x04
    return [Unit([bytes((bit,)) + piece for bit, piece in zip(bits, cut, strict=True)], keyframe)]


def _layers(payloads: list[bytes]) -> list[list[bytes]]:
    """The packets of each frame: there are several of one timestamp where a picture has layers (RFC 9628 3)."""
    layers: list[list[bytes]] = []
    for payload in payloads:
        if payload[0] & 0x08 or not layers:  # B
            layers.append([])
        layers[-1].append(payload)
    return layers


def superframe(frames: list[bytes]) -> bytes:
    """VP9 annex B: the frames with an index behind them, without which a decoder may know of the first alone.

    One frame stays as it is. So do more than an index can have, and those of which one has an index of its own.
    """
    frames = [frame for frame in frames if frame]
    joined = b"".join(frames)
    if not 1 < len(frames) <= _MOST_INDEXED or any(map(_is_superframe, frames)):
        return joined
    width = (max(map(len, frames)).bit_length() + 7) // 8
    mark = bytes((0xC0 | width - 1 << 3 | len(frames) - 1,))
    return joined + mark + b"".join(len(frame).to_bytes(width, "little") for frame in frames) + mark


def _is_superframe(frame: bytes) -> bool:
    mark = frame[-1]
    size = 2 + ((mark >> 3 & 3) + 1) * ((mark & 7) + 1)
    return mark >> 5 == 6 and frame[-size : 1 - size] == frame[-1:]


class Vp9(Frames):
    """One camera's VP9 track, whose profile is known from the first keyframe on."""

    def __init__(self, track: Track, output: Output) -> None:
        super().__init__(track, self._repack_vp9, output)

    def _repack_vp9(self, payloads: list[bytes]) -> list[Unit]:
        units = repack_vp9(payloads)
        if units[0].keyframe and (profile := str(_vp9_profile(units[0].payloads[0][1]))) != self.track.profile:
            self.track = replace(self.track, profile=profile)
        return units


def _vp9_profile(byte: int) -> int:
    """VP9 6.2: profile_low_bit, profile_high_bit."""
    return byte >> 5 & 1 | byte >> 3 & 2


def _is_vp9_keyframe(frame: bytes) -> bool:
    """VP9 6.2: frame_marker, profile, show_existing_frame, frame_type."""
    if not frame or frame[0] >> 6 != 2:
        raise ProtocolError("a frame of VP9 has no header")
    later = _vp9_profile(frame[0]) == 3  # by the one bit more that the header of this profile has
    at = 2 if later else 3  # the bit, counted from the lowest, at which show_existing_frame stands
    keyframe = not frame[0] >> at & 1 and not frame[0] >> at - 1 & 1
    begin = int.from_bytes(frame[1:5].ljust(4, b"\0"))
    if keyframe and (begin >> (7 if later else 8)) & 0xFFFFFF != _VP9_SYNC:
        raise ProtocolError("a keyframe of VP9 has no sync code")
    return keyframe


def repack_av1(payloads: list[bytes]) -> list[Unit]:
    """RTP Payload Format For AV1, 4.4: each OBU element with its size, in as few packets as they fit in.

    Raises ``ProtocolError``.
    """
    elements = []
    for obu in obus(payloads):
        if not obu or obu[0] & 0x80:
            raise ProtocolError("an OBU has no header")
        if obu[0] >> 3 & 15 not in _NOT_SENT:
            elements.append(_without_size(obu))
    keyframe = any(obu[0] >> 3 & 15 == _SEQUENCE_HEADER for obu in elements)
    if not elements:
        raise ProtocolError("a temporal unit is empty")
    out = [bytearray(1)]
    for obu in elements:
        if MAX_PAYLOAD - len(out[-1]) < _LEAST:
            out.append(bytearray(1))
        while obu:
            room = MAX_PAYLOAD - len(out[-1]) - 2
            out[-1] += _leb128(len(obu[:room])) + obu[:room]
            obu = obu[room:]
            if obu:
                out[-1][0] |= 0x40  # Y: it goes on …
                out.append(bytearray((0x80,)))  # … Z: here
    if keyframe:
        out[0][0] |= 0x08  # N
    return [Unit([bytes(packet) for packet in out], keyframe)]


def _without_size(obu: bytes) -> bytes:
    """RTP Payload Format For AV1, 5: OBUs should be sent without their own size fields."""
    if not obu[0] & 0x02:
        return obu
    at = header = 2 if obu[0] & 0x04 else 1
    while at < len(obu) and obu[at] & 0x80:
        at += 1
    return bytes((obu[0] & ~0x02,)) + obu[1:header] + obu[at + 1 :]


def _leb128(value: int) -> bytes:
    return bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80, value >> 7))
