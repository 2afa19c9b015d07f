"""VP8, VP9 and AV1 in packets of any size become packets of ours, which hold the same frames."""

from __future__ import annotations

import socket
from fractions import Fraction

import av
import pytest

from common.errors import ProtocolError
from common.media import MAX_PAYLOAD, Kind, Track
from common.payload.access_unit import access_unit
from common.payload.output import Output
from ingest.payload.frames import Unit
from ingest.payload.vpx import Vp9, repack_av1, repack_vp8, repack_vp9, superframe
from rigs.codecs import Coded, layered_vp9, pictures
from tests.fakes.clocks import ArrivalClock

REALTIME = "deadline=realtime cpu-used=8 b=4M"


def cut(frame: bytes, first: bytes, later: bytes, size: int) -> list[bytes]:
    parts = [frame[at : at + size] for at in range(0, len(frame), size)]
    return [(later if number else first) + part for number, part in enumerate(parts)]


def payloads_of(units: list[Unit]) -> list[bytes]:
    assert all(len(payload) <= MAX_PAYLOAD for unit in units for payload in unit.payloads)
    return [payload for unit in units for payload in unit.payloads]


@pytest.mark.parametrize("size", [100, 1_400, 60_000])
def test_vp8_frames_stay_what_they_are(size: int) -> None:
    for picture in pictures("libvpx", options=REALTIME):
        units = repack_vp8(cut(picture.data, b"\x90\x80\x85\x05", b"\x80\x80\x85\x05", size))
        assert [unit.keyframe for unit in units] == [picture.keyframe]
        payloads = payloads_of(units)
        assert access_unit("VP8", payloads) == picture.data
        assert [payload[0] for payload in payloads] == [0x10] + [0] * (len(payloads) - 1)


@pytest.mark.parametrize("size", [100, 1_400, 60_000])
def test_vp9_frames_stay_what_they_are(size: int) -> None:
    for picture in pictures("libvpx-vp9", options=REALTIME):
        units = repack_vp9(cut(picture.data, b"\xa8\x05\x20\x07", b"\xa0\x05\x20\x07", size))
        assert [unit.keyframe for unit in units] == [picture.keyframe]
        payloads = payloads_of(units)
        assert access_unit("VP9", payloads) == picture.data
        predicted = 0 if picture.keyframe else 0x40
        assert payloads[0][0] & 0xF8 == predicted | 0x08
        assert payloads[-1][0] & 0x04
        assert all(payload[0] & 0x4B == predicted for payload in payloads[1:])


@pytest.mark.parametrize("size", [100, 1_400, 60_000])
def test_layers_of_vp9_become_one_superframe(size: int) -> None:
    """VP9 annex B, which is how decoders take several frames at once; each layer has its own first and last packet."""
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    for frames in layered_vp9():
        payloads = []
        for layer, frame in enumerate(frames):
            parts = cut(frame, bytes((0xA8, 5, layer << 1, 7)), bytes((0xA0, 5, layer << 1, 7)), size)
            payloads += [*parts[:-1], bytes((parts[-1][0] | 4,)) + parts[-1][1:]]
        [unit] = repack_vp9(payloads)
        assert unit.keyframe
        whole = access_unit("VP9", payloads_of([unit]))
        assert whole.startswith(b"".join(frames))
        index = whole[sum(map(len, frames)) :]
        width = (index[0] >> 3 & 3) + 1
        assert index[0] == index[-1] == 0xC2 | width - 1 << 3
        sizes = [int.from_bytes(index[at : at + width], "little") for at in range(1, len(index) - 1, width)]
        assert sizes == [*map(len, frames)]
        assert [unit.payloads[0][0] & 8, *(payload[0] & 8 for payload in unit.payloads[1:])] == [8] + [0] * (
            len(unit.payloads) - 1
        )
        assert [frame.width for frame in decoder.decode(av.Packet(whole))] == [640]


@pytest.mark.parametrize(
    ("frames", "whole"),
    [
        (["aa", "bbbb"], "aabbbbc10102c1"),
        (["aa", "", "bb"], "aabbc10101c1"),
        (["aa"], "aa"),
        (["aa", "bbccc1"], "aabbccc1c10103c1"),  # a last byte that is no index's
        (["aabbc10101c1", "dd"], "aabbc10101c1dd"),
        (["aa"] * 9, "aa" * 9),
    ],
)
def test_superframes_byte_by_byte(frames: list[str], whole: str) -> None:
    assert superframe([bytes.fromhex(frame) for frame in frames]).hex() == whole


# VP9 6.2: frame_marker 2, profile (and one bit more in 3), a keyframe that is shown, and the sync code where it stands.
VP9_KEYFRAMES = {profile: bytes((first,)) + bytes.fromhex("498342") for profile, first in enumerate((0x82, 0xA2, 0x92))}
VP9_KEYFRAMES[3] = bytes.fromhex("b124c1a1")


@pytest.mark.parametrize("profile", VP9_KEYFRAMES)
def test_a_keyframe_of_vp9_is_known_in_every_profile(profile: int) -> None:
    output = Output(Kind.VIDEO, "VP9", ArrivalClock(), 1)
    camera = Vp9(Track(Kind.VIDEO, "VP9", 90_000), output)
    for number, frame in enumerate(
        (VP9_KEYFRAMES[profile] + b"\0picture", bytes((VP9_KEYFRAMES[profile][0] | 6,)) * 9)
    ):
        camera.receive(b"\x0c" + frame, 0, 1 + len(frame), number, True, 1)
    assert [batch.keyframe for batch in output.take(0)] == [True, False]
    assert camera.track.profile == str(profile)


@pytest.mark.parametrize("profile", VP9_KEYFRAMES)
def test_a_keyframe_of_vp9_without_its_sync_code_is_refused(profile: int) -> None:
    with pytest.raises(ProtocolError):
        repack_vp9([b"\x0c" + VP9_KEYFRAMES[profile][:3] + b"\0\0\0"])


def obus_of(unit: bytes) -> list[bytes]:
    """The OBUs of the low-overhead format (AV1 5.2), as they stand there."""
    found, at = [], 0
    while at < len(unit):
        begin, size, shift = at, 0, 0
        at += 2 if unit[at] & 4 else 1
        while True:
            byte = unit[at]
            size |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                break
        at += size
        found.append(unit[begin:at])
    return found


def test_av1_temporal_units_stay_what_they_are() -> None:
    for picture in pictures("libsvtav1", options="preset=12 crf=20 svtav1-params=pred-struct=1"):
        obus = [obu for obu in obus_of(picture.data) if obu[0] >> 3 & 15 != 2]
        # One packet for each OBU, the last one in two: W=1, and Y and Z where it is cut.
        *whole, last = obus
        half = len(last) // 2
        packets = [b"\x10" + obu for obu in whole] + [b"\x50" + last[:half], b"\x90" + last[half:]]
        units = repack_av1(packets)
        assert [unit.keyframe for unit in units] == [picture.keyframe]
        payloads = payloads_of(units)
        assert obus_of(access_unit("AV1", payloads))[1:] == obus
        assert bool(payloads[0][0] & 0x08) is picture.keyframe, "N"


def packed_by_ffmpeg(coded: tuple[Coded, ...]) -> list[list[bytes]]:
    """The payloads of each temporal unit, as FFmpeg's RTP muxer cuts it."""
    units = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.settimeout(10)
        url, lax = f"rtp://127.0.0.1:{port.getsockname()[1]}?pkt_size=400", {"strict": "experimental"}
        with av.open(url, "w", format="rtp", container_options=lax) as muxer:
            stream = muxer.add_stream("libsvtav1", rate=30)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for picture in coded:
                packet = av.Packet(picture.data)
                packet.pts = packet.dts = picture.number
                packet.stream, packet.time_base = stream, Fraction(1, 30)
                muxer.mux(packet)
                units.append([port.recv(65_536)])
                while not units[-1][-1][1] & 0x80:  # the marker
                    units[-1].append(port.recv(65_536))
    return [[packet[12:] for packet in unit] for unit in units]


def test_av1_that_ffmpeg_packs_is_decoded_whole() -> None:
    coded = pictures("libsvtav1", options="preset=12 crf=20 svtav1-params=pred-struct=1")
    decoder = av.CodecContext.create("libdav1d", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    packed = packed_by_ffmpeg(coded)
    assert max(map(len, packed)) > 3, "some are cut"
    units = [unit for payloads in packed for unit in repack_av1(payloads)]
    assert [unit.keyframe for unit in units] == [picture.keyframe for picture in coded]
    shown = [frame for unit in units for frame in decoder.decode(av.Packet(access_unit("AV1", unit.payloads)))]
    assert len([*shown, *decoder.decode(None)]) == len(coded)


@pytest.mark.parametrize(
    ("repack", "payloads"),
    [
        (repack_vp8, [b"\0frame"]),
        (repack_vp8, [b"\x10f"]),
        (repack_vp9, [b"\0frame"]),
        (repack_vp9, [b"\x08\0"]),
        (repack_vp9, [b"\x08"]),
        (repack_av1, [b"\x90half"]),
        (repack_av1, [b"\x50half"]),
        (repack_av1, [b"\x10\xff"]),
        (repack_av1, [b"\x10\x12\0"]),
    ],
)
def test_what_is_no_frame_is_refused(repack: object, payloads: list[bytes]) -> None:
    assert callable(repack)
    with pytest.raises(ProtocolError):
        repack(payloads)
