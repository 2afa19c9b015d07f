"""Pictures and sound that are cut, marked and packed in other ways than the standard has it."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise
from math import sin

import pytest

from common.cameras import CameraState, Transport
from ingest.payload import keyframes
from ingest.payload.aac import Configuration
from rigs.camera import FakeCamera, FakeTrack, h264_track, pcmu_track
from rigs.video import Packet, encode, kind
from tests.fakes.quirks import UNITS, media, plays
from tests.fakes.viewer import Pulled


async def test_pictures_without_markers_end_by_their_timestamp() -> None:
    fake = FakeCamera()
    for unit in media(fake):
        unit[:] = [replace(packet, marker=False) for packet in unit]
    await plays(fake)


async def test_markers_on_parameter_sets_end_no_picture() -> None:
    fake = FakeCamera()
    for unit in media(fake):
        unit[:] = [replace(packet, marker=packet.marker or kind(packet.payload) in (7, 8)) for packet in unit]
    await plays(fake)


async def test_packets_of_one_picture_may_each_have_a_timestamp() -> None:
    fake = FakeCamera([h264_track(size=200)])
    count = 0

    def mangle(packet: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return [packet[:4] + (90 * count).to_bytes(4, "big") + packet[8:]]

    fake.mangle = mangle
    await plays(fake)


async def test_keyframes_without_their_parameter_sets_are_said_to_be_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyframes, "NO_KEYFRAME_NS", 10_000_000)
    fake = FakeCamera([h264_track([[nal for nal in unit if kind(nal) != 8] for unit in UNITS])])
    async with fake, Pulled(fake.url) as pulled:
        await pulled.until_report(lambda report: report.state is CameraState.NO_PICTURE)
        assert "its PPS never arrives" in pulled.camera.report.detail


@pytest.mark.parametrize("code", [b"\0\0\1", b"\0\0\0\1"])
async def test_start_codes_inside_of_packets_are_taken_out(code: bytes) -> None:
    await plays(FakeCamera([h264_track([[code.join(unit)] for unit in UNITS])]))
    await plays(FakeCamera([h264_track([[code + nal for nal in unit] for unit in UNITS], size=20_000)]))


async def test_a_fragment_may_be_start_and_end() -> None:
    fake = FakeCamera()
    for number, unit in enumerate(UNITS):
        payloads = [bytes((nal[0] & 0xE0 | 28, 0xC0 | nal[0] & 0x1F)) + nal[1:] for nal in unit]
        media(fake)[number][:] = [Packet(payload, 0, payload is payloads[-1]) for payload in payloads]
    await plays(fake)


async def test_zero_padding_is_taken_out() -> None:
    fake = FakeCamera()
    for number, unit in enumerate(UNITS):
        sizes = b"".join(len(nal).to_bytes(2) + nal for nal in unit)
        media(fake)[number][:] = [Packet(b"\x78" + sizes + bytes(number % 4), 0, True)]
    await plays(fake)


@pytest.mark.parametrize(("transport", "size"), [(Transport.UDP, 10_000), (Transport.TCP, 64_000)])
async def test_large_packets_are_cut(transport: Transport, size: int) -> None:
    units = encode(10, width=1280, height=720)
    assert max(len(nal) for unit in units for nal in unit) > 64_000
    fake = FakeCamera([h264_track(units, size=size)], interval=0.02)
    await plays(fake, transport=transport, frames=12, wanted=[list(unit) for unit in units])


@pytest.mark.parametrize("chunk", [100, 240, 320, 1_024])
async def test_chunks_of_g711_are_cut_anew(chunk: int) -> None:
    async with FakeCamera([h264_track(), pcmu_track(chunk)]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: len(pulled.of("audio")) > 30)
        audio = pulled.of("audio")
        assert {len(payload) for batch in audio for payload in batch.payloads} == {160}
        assert [batch.timestamp - audio[0].timestamp for batch in audio] == [160 * n for n in range(len(audio))]


async def test_aac_that_is_announced_as_g711_is_said() -> None:
    sound = pcmu_track()
    frame = Configuration.parse(bytes.fromhex("1188")).adts(300) + bytes(300)
    sound.units[:] = [[replace(packet, payload=frame) for packet in unit] for unit in sound.units]
    async with FakeCamera([h264_track(), sound]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: any("arrives as AAC" in track.warning for track in pulled.camera.report.tracks))
        await pulled.until(lambda: len(pulled.of("video")) > 10)


@pytest.mark.parametrize("name", ["PCM", "L16"])
async def test_samples_with_their_bytes_the_other_way_round_are_turned(name: str) -> None:
    tone = [int(9_000 * sin(n / 9)) for n in range(16_000)]
    units = [[Packet(struct.pack("<640h", *tone[at : at + 640]), 0, False)] for at in range(0, 16_000, 640)]
    sdp = f"m=audio 0 RTP/AVP 97\na=rtpmap:97 {name}/16000\n"
    sound = FakeTrack(sdp, units, payload_type=97, ssrc=0x5678, ticks=640, control="trackID=2")
    async with FakeCamera([h264_track(), sound]) as fake, Pulled(fake.url) as pulled:
        await pulled.until(lambda: len(pulled.of("audio")) > 40)
        heard = b"".join(batch.payloads[0] for batch in pulled.of("audio")[10:30])
    steps = [abs(one - next) for one, next in pairwise(struct.unpack(f">{len(heard) // 2}h", heard))]
    assert sum(steps) / len(steps) < 1_000


async def test_b_frames_are_named() -> None:
    units = encode(20, options="bframes=2:b-adapt=0", profile="main")
    pulled = await plays(FakeCamera([h264_track(units)]), wanted=[list(unit) for unit in units])
    [track] = pulled.camera.report.tracks
    assert "B-frames" in track.convert
    assert track.playable
