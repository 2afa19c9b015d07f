"""Cameras whose pictures or sound are wrong in themselves: headers lie, sizes and times change, sets are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from rigs.camera import FakeTrack, h264_track
from rigs.codecs import Coded, pictures, tone
from rigs.tracks import PPS, SPS, TICKS, VPS, X265, Image, aac_track, h265_track, jpeg_track, vpx_track
from rigs.video import Packet, encode, kind, nal_units

FPS = 25


@dataclass(frozen=True, slots=True)
class Bad:
    """A camera, and the outcome: where nothing is ``said``, a converter makes pictures and sound of it."""

    tracks: Callable[[], list[FakeTrack]]
    said: str = ""  # a part of the sentence
    mangle: Callable[[bytes], list[bytes]] = lambda packet: [packet]


def _h265(count: int = 20, *, width: int = 320, height: int = 240) -> tuple[Coded, ...]:
    return pictures("libx265", count, width=width, height=height, options=X265)


def _h265_of_another_size() -> FakeTrack:
    """H.265 with the parameter sets of a stream that is four times as large."""
    sets = VPS, SPS, PPS
    said = [nal for nal in nal_units(_h265(1, width=640, height=480)[0].data) if nal[0] >> 1 & 0x3F in sets]
    track = []
    for picture in _h265():
        nals = [*said, *(nal for nal in nal_units(picture.data) if nal[0] >> 1 & 0x3F not in sets)]
        track.append(Coded(b"".join(b"\0\0\0\1" + nal for nal in nals), picture.number, picture.keyframe))
    return h265_track(track)


def _h264_of_another_size(width: int = 640, height: int = 480) -> FakeTrack:
    said = [nal for nal in encode(1, gop=1, width=width, height=height)[0] if kind(nal) in (7, 8)]
    return h264_track([[*said, *(nal for nal in unit if kind(nal) not in (7, 8))] for unit in encode(50, gop=25)])


def _images_of_another_size() -> FakeTrack:
    track, lie = jpeg_track([Image.encode().whole]), bytes((640 // 8, 480 // 8))
    for unit in track.units:
        unit[:] = [replace(packet, payload=packet.payload[:6] + lie + packet.payload[8:]) for packet in unit]
    return track


def _images_that_change() -> FakeTrack:
    images = [Image.encode(width=width, height=width * 3 // 4).whole for width in (320, 640, 160)]
    return jpeg_track([image for image in images for _ in range(FPS)])


def _sound(chunk: int) -> FakeTrack:
    """Uncompressed sound of 8 kHz, so many samples for each picture: 320 where its clock is right."""
    samples = b"".join(bytes((n * 37 & 0x3F, n & 0xFF)) for n in range(chunk))
    sdp = "m=audio 0 RTP/AVP 97\na=rtpmap:97 L16/8000\n"
    return FakeTrack(sdp, [[Packet(samples, 0, True)]], 97, 0x9876, chunk, control="a")


def _aac_of_another_kind() -> FakeTrack:
    """AAC of 48 kHz in stereo that says it was 16 kHz in mono."""
    return aac_track(tone("aac", 1.0, rate=48_000, channels=2), rate=16_000, config="1408", ticks=640)


def _h265_of_any_depth() -> FakeTrack:
    """H.265 of eight bits, of ten, in full range, and of 4:2:2, a second each."""
    shapes = ("yuv420p", "yuv420p10le", "yuvj420p", "yuv422p")
    return h265_track([each for pixels in shapes for each in pictures("libx265", FPS, pixels=pixels, options=X265)])


def _back(packet: bytes) -> list[bytes]:
    """The packet, of each seventh picture with a time that was before."""
    at = int.from_bytes(packet[4:8])
    at = at - (9_000 if at // TICKS % 7 == 3 else 0) & 0xFFFFFFFF
    return [packet[:4] + at.to_bytes(4) + packet[8:]]


BAD: Mapping[str, Bad] = MappingProxyType(
    {
        "H.265 whose header lies": Bad(lambda: [_h265_of_another_size()]),
        "H.264 whose header lies": Bad(lambda: [_h264_of_another_size()], "its picture cannot be decoded as H.264"),
        "JPEG whose header lies": Bad(lambda: [_images_of_another_size()]),
        "another size each second": Bad(lambda: [h265_track([*_h265(30), *_h265(30, width=640, height=480)])]),
        "another size of JPEG each second": Bad(lambda: [_images_that_change()]),
        "another depth, range and chroma each second": Bad(lambda: [_h265_of_any_depth()]),
        "no keyframe ever": Bad(
            lambda: [h265_track(each for each in _h265() if not each.keyframe)], "no keyframe has come for"
        ),
        "sound a per cent too fast": Bad(lambda: [h265_track(_h265()), _sound(323)]),
        "sound a per cent too slow": Bad(lambda: [h265_track(_h265()), _sound(317)]),
        "16 pixels of JPEG": Bad(lambda: [jpeg_track([Image.encode(width=16, height=16).whole])]),
        "16 pixels of H.265": Bad(lambda: [h265_track(_h265(width=16, height=16))]),
        "more than 8K": Bad(lambda: [_h264_of_another_size(8_192, 4_608)], "larger than Camshaft converts"),
        "256 times as wide as high": Bad(lambda: [h265_track(_h265(3, width=8_192, height=32))]),
        "times that go back": Bad(lambda: [h265_track(_h265())], mangle=_back),
        "AAC of another kind than it says": Bad(
            lambda: [h265_track(_h265()), _aac_of_another_kind()], "its sound cannot be decoded as AAC"
        ),
        "JPEG without its tables": Bad(
            lambda: [jpeg_track([Image.encode().whole], tables=False)], "no quantization tables"
        ),
        "H.265 without a video parameter set": Bad(lambda: [h265_track(_h265(), without=[VPS])]),
        "VP9 of 4:4:4": Bad(
            lambda: [vpx_track("VP9", pictures("libvpx-vp9", pixels="yuv444p", options="deadline=realtime cpu-used=8"))]
        ),
    }
)
