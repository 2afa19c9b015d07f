"""Packets among others, in another order, on another channel, or from another source."""

from __future__ import annotations

import re
from itertools import count

import pytest

from common.cameras import Transport
from ingest.rtsp import media
from ingest.rtsp.message import InterleavedFrame, Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from rigs.rtp import rtp
from rigs.video import Packet, encode, packetise, units_of
from tests.fakes.quirks import WANTED, changed, plays, with_header
from tests.fakes.viewer import Pulled


async def test_channels_under_plain_rtp_avp_are_followed() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        transport = response.headers.get("Transport")
        if not transport:
            return response
        return with_header(response, "Transport", re.sub(r"RTP/AVP/TCP", "RTP/AVP", transport))

    await plays(FakeCamera([h264_track(), pcmu_track()], rewrite=rewrite))


async def test_channels_of_the_camera_s_own_are_followed() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    own = {0: 10, 1: 11, 2: 20, 3: 21}

    def rewrite(request: Request, response: Response) -> Answer:
        transport = response.headers.get("Transport")
        if not transport:
            return response
        return with_header(
            response, "Transport", re.sub(r"=(\d)-(\d)", lambda m: f"={own[int(m[1])]}-{own[int(m[2])]}", transport)
        )

    fake.rewrite = rewrite
    fake.wrap = lambda frame: bytes((frame[0], own[frame[1]])) + frame[2:]
    pulled = await plays(fake)
    assert len(pulled.of("audio")) > 10


@pytest.mark.parametrize("mixed", [{0: 2, 2: 0}, {2: 0}, {0: 1}, {2: 3}], ids=str)
async def test_channels_that_are_mixed_up_are_told_apart(mixed: dict[int, int]) -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.wrap = lambda frame: bytes((frame[0], mixed.get(frame[1], frame[1]))) + frame[2:]
    pulled = await plays(fake)
    assert len(pulled.of("audio")) > 10


async def test_channels_that_nobody_spoke_of_are_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "STRAY_NS", 10_000_000)
    fake = FakeCamera()
    fake.wrap = lambda frame: bytes((frame[0], frame[1] + 8)) + frame[2:]
    async with fake, Pulled(fake.url) as pulled:
        await pulled.watch(20)


@pytest.mark.parametrize(
    ("numbers", "transport"),
    [(each, Transport.TCP) for each in ("one", "of pictures", "of a byte", "in steps", "of all tracks")]
    + [(each, Transport.UDP) for each in ("one", "of a byte", "in steps")],
)
async def test_numbers_that_do_not_count_packets_are_not_looked_at(numbers: str, transport: Transport) -> None:
    silence = pcmu_track()
    silence.units = [[Packet(b"\xff" * 320, 0, False)]]
    fake = FakeCamera([h264_track(size=200), silence])
    count, counts = 0, [0, 0]

    def mangle(packet: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        sound = packet[1] & 0x7F == 0
        counts[sound] += 1
        number = {
            "one": 7,
            "of pictures": int.from_bytes(packet[5:7]),
            "of a byte": counts[sound] & 0xFF,
            "in steps": counts[sound] << 8 & 0xFFFF,
            "of all tracks": count,
        }[numbers]
        return [packet[:2] + number.to_bytes(2) + packet[4:]]

    fake.mangle = mangle
    async with fake, Pulled(fake.url, transport=transport) as pulled:
        await pulled.until(lambda: sum(batch.unit_end for batch in pulled.of("video")) >= 90)
        video = pulled.of("video")
        ends = [at + 1 for at, batch in enumerate(video) if batch.unit_end]
        assert all(unit in WANTED for unit in units_of(video[ends[-21] : ends[-1]]))
        heard = len(pulled.of("audio"))
        await pulled.until(lambda: len(pulled.of("audio")) >= heard + 40)


async def test_junk_between_frames_is_skipped() -> None:
    fake = FakeCamera()
    count = 0

    def wrap(frame: bytes) -> bytes:
        nonlocal count
        count += 1
        return frame + bytes(range(count % 7 * 5)) if count > 3 else frame

    fake.wrap = wrap
    await plays(fake)


@pytest.mark.parametrize("off", [4, 12])
async def test_frames_that_are_always_shorter_than_they_say_are_named(
    off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.rtsp.media.REPORT_INTERVAL", 0.2)
    fake = FakeCamera()
    fake.wrap = lambda frame: frame[:2] + (len(frame) - 4 + off).to_bytes(2) + frame[4:]
    async with fake, Pulled(fake.url, transport=Transport.TCP) as pulled:
        await pulled.until(lambda: "neither packets nor RTSP" in pulled.camera.report.detail)
        assert "set transport to udp" in pulled.camera.report.detail
        fake.wrap = lambda frame: frame
        await pulled.until(lambda: pulled.camera.report.detail == "")


async def test_answers_between_frames_do_no_harm() -> None:
    fake = FakeCamera()
    fake.wrap = lambda frame: frame + b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n" + bytes(InterleavedFrame(99, b"whatever"))
    await plays(fake)


async def test_shuffled_packets_are_put_into_order() -> None:
    fake = FakeCamera()
    held: list[bytes] = []

    def mangle(packet: bytes) -> list[bytes]:
        if packet[3] % 5 == 0 and not held:
            held.append(packet)
            return []
        return [packet, packet, *[held.pop() for _ in held]]

    fake.mangle = mangle
    pulled = await plays(fake, transport=Transport.UDP)
    [stats] = pulled.camera.report.stats
    assert stats.lost == stats.dropped == 0
    assert stats.duplicates > 20
    assert stats.reordered > 5


async def test_numbers_that_start_again_are_followed() -> None:
    fake = FakeCamera()
    offset = 0

    def mangle(packet: bytes) -> list[bytes]:
        sequence = int.from_bytes(packet[2:4]) + offset
        return [packet[:2] + (sequence & 0xFFFF).to_bytes(2) + packet[4:]]

    fake.mangle = mangle
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        await pulled.watch(20)
        offset = -2_000
        before = len(pulled.units())
        await pulled.watch(before + 30)
        assert pulled.camera.report.reconnects == 0


@pytest.mark.parametrize("said", ["ssrc=00001234", "seq=16385"])
async def test_packets_of_an_earlier_session_are_told_apart(said: str) -> None:
    of_another = [packet for unit in encode(20, width=640, height=480) for packet in packetise([unit])]
    numbers = count(1_000)

    def mangle(packet: bytes) -> list[bytes]:
        number = next(numbers)
        other = of_another[number % len(of_another)]
        ghost = rtp(other.payload, number, number * 900, ssrc=99, marker=other.marker)
        return [ghost, packet[:2] + bytes((packet[2] ^ 0x40,)) + packet[3:]]

    named = changed("PLAY", lambda answer: with_header(answer, "RTP-Info", f"url=trackID=1;{said}"))
    await plays(FakeCamera(mangle=mangle, rewrite=named))


@pytest.mark.parametrize("of", ["packets", "pictures"])
async def test_a_source_whose_identifier_changes_all_the_time_plays_on(of: str) -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    fake.mangle = lambda packet: [packet[:8] + (packet[2:4] * 2 if of == "packets" else packet[4:8]) + packet[12:]]
    pulled = await plays(fake)
    assert len({batch.epoch for batch in pulled.batches}) == 1


async def test_another_source_in_mid_stream_begins_a_new_epoch() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    async with fake, Pulled(fake.url) as pulled:
        await pulled.watch(15)
        fake.tracks[0].ssrc = 77
        fake.mangle = lambda packet: [packet[:2] + bytes((packet[2] ^ 0x40,)) + packet[3:]]
        await pulled.until(lambda: len({batch.epoch for batch in pulled.of("video")}) == 2)
        await pulled.until(lambda: len({batch.epoch for batch in pulled.of("audio")}) == 2)
        first, second = sorted({batch.epoch for batch in pulled.batches})
        assert next(batch for batch in pulled.of("video") if batch.epoch == second).keyframe
        assert next(batch for batch in pulled.of("video") if batch.epoch == second).sequence == 0
        assert pulled.camera.report.reconnects == 0
        assert first < second


async def test_strange_rtcp_does_no_harm() -> None:
    fake = FakeCamera(reports=True)
    strange = [b"\x81\xca\x00\x03\0\0\0\x01\x01\x04name", b"\x80\xff\0\0", b"\x80", b"", b"\x80\xc8\0\x06"]
    fake.wrap = lambda frame: frame + b"".join(bytes(InterleavedFrame(1, packet)) for packet in strange)
    await plays(fake)
