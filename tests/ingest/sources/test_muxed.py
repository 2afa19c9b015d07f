"""A camera that sends picture and sound as one MPEG transport stream by RTSP plays as others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.cameras import CameraSpec, CameraState
from common.media import Kind
from ingest.probe import probe
from ingest.sources import demuxed
from rigs.camera import FakeCamera, FakeTrack, h264_track, opus_track
from rigs.video import Packet
from tests.fakes.demuxed import sees, until_gone, write_clip
from tests.fakes.viewer import Pulled

SECONDS = 8
PACKET = 7 * 188  # RFC 2250 2: whole packets of the stream, as many as fit


SECTIONS = {"ts": "m=video 0 RTP/AVP 33\n", "vob": "m=video 0 RTP/AVP 33\na=rtpmap:33 PS/90000\n"}


def transport_stream(directory: Path, container: str = "ts") -> FakeTrack:
    """Picture and sound of some seconds, sent in steps of 40 ms; announced as a tuner does, by number alone."""
    data = write_clip(directory / f"clip.{container}", frames=25 * SECONDS, sound=container == "ts").read_bytes()
    packets = [Packet(data[at : at + PACKET], 0, False) for at in range(0, len(data), PACKET)]
    each = len(packets) // (25 * SECONDS) + 1
    units = [packets[at : at + each] for at in range(0, len(packets), each)]
    return FakeTrack(SECTIONS[container], units, payload_type=33)


@pytest.mark.thorough
async def test_picture_and_sound_of_a_transport_stream_play(tmp_path: Path) -> None:
    async with FakeCamera([transport_stream(tmp_path)]) as fake:
        async with Pulled(fake.url) as pulled:
            await sees(pulled, 30)
            report, audio = pulled.camera.report, pulled.of("audio")
        assert (report.state, report.transport, report.reconnects) == (CameraState.PLAYING, "tcp", 0)
        assert [(track.kind, track.codec) for track in report.tracks] == [(Kind.VIDEO, "H264"), (Kind.AUDIO, "AAC")]
        assert audio
        await until_gone()
        seen = await probe(CameraSpec("door", fake.url), timeout=5.0)
        assert [probed.track.codec for probed in seen.tracks] == ["H264", "AAC"]
        assert seen.tracks[0].width == 160
    await until_gone()


async def test_a_program_stream_plays_too(tmp_path: Path) -> None:
    async with FakeCamera([transport_stream(tmp_path, "vob")]) as fake, Pulled(fake.url) as pulled:
        await sees(pulled, 10)
        assert [track.codec for track in pulled.camera.report.tracks] == ["H264"]


@pytest.mark.thorough
async def test_a_camera_that_sends_one_no_more_plays_again(tmp_path: Path) -> None:
    fake = FakeCamera([transport_stream(tmp_path)])
    async with fake, Pulled(fake.url) as pulled:
        await sees(pulled, 5)
        fake.tracks = [h264_track(), opus_track()]
        fake.drop()
        await pulled.until(lambda: bool(pulled.batches) and pulled.batches[-1].codec == "opus")
        assert [track.codec for track in pulled.camera.report.tracks] == ["H264", "opus"]


async def test_a_transport_stream_of_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demuxed, "START_TIMEOUT", 1.0)
    track = transport_stream(tmp_path)
    track.units = [[Packet(b"\x47\x1f\xff\x10" + bytes(184), 0, False)]] * 50
    async with FakeCamera([track]) as fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.SILENT)
    assert report.detail == "nothing could be read within 1 s"
