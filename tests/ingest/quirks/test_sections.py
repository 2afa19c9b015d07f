"""Session descriptions that follow no standard, sections that are not to be played, parameter sets that are none."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from rigs.camera import FakeCamera, FakeTrack, h264_track, pcmu_track
from rigs.video import encode
from tests.fakes.quirks import SETS, SLICES, SPROP, UNITS, WANTED, changed, plays
from tests.fakes.viewer import Pulled


async def test_back_channels_and_unknown_media_are_not_set_up() -> None:
    back = FakeTrack("m=audio 0 RTP/AVP 0\n", [], control="back", extra=["a=sendonly"])
    metadata = FakeTrack(
        "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\n", [], control="meta", extra=["a=recvonly"]
    )
    fake = FakeCamera([metadata, back, h264_track()])
    await plays(fake)
    assert [r.url[-5:] for r in fake.requests if r.method == "SETUP"] == ["kID=1"]


async def test_where_all_are_back_channels_none_is() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    for track in fake.tracks:
        track.extra = ["a=sendonly"]
    await plays(fake)
    assert fake.methods.count("SETUP") == 2


@pytest.mark.parametrize(
    "head",
    [
        "",
        "s=one\ns=two\n",
        "v=0\no=- 0xDEADBEEF 1 IN IPV4 10.0.0.1\ns=\nt=now-\n",
        "v=0\n\n\n\no=-\ns=Cam\xe9ra\nx=unknown\na=x-what\n",
    ],
)
async def test_descriptions_without_the_lines_they_need_are_read(head: str) -> None:
    await plays(FakeCamera(sdp_head=head))


async def test_descriptions_with_bare_line_feeds_are_read() -> None:
    await plays(FakeCamera(rewrite=changed("DESCRIBE", lambda r: replace(r, body=r.body.replace(b"\r\n", b"\n")))))


async def test_parameters_in_another_section_count() -> None:
    video = h264_track(SLICES)
    video.sdp = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    sound = pcmu_track()
    sound.sdp += f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={SPROP}\n"
    await plays(FakeCamera([video, sound]))


async def test_h264_with_a_static_payload_type_plays() -> None:
    video = h264_track()
    video.sdp, video.payload_type = "m=video 0 RTP/AVP 35\na=rtpmap:35 H264/90000\n", 35
    await plays(FakeCamera([video]))


async def test_a_description_that_lists_no_payload_type_plays() -> None:
    video = h264_track()
    video.sdp = "m=video 0 RTP/AVP smart/1/90000\na=rtpmap:96 H264/90000\n"
    await plays(FakeCamera([video]))


@pytest.mark.parametrize(
    "sprop", [SPROP.split(",")[0], "AAAA", "!", "", base64.b64encode(b"\0\0\0\1" + SETS[0]).decode()]
)
async def test_parameter_sets_that_are_none_are_ignored(sprop: str) -> None:
    await plays(FakeCamera([h264_track(fmtp=f";sprop-parameter-sets={sprop}")]))


async def test_parameter_sets_only_in_the_description_stand_before_keyframes() -> None:
    await plays(FakeCamera([h264_track(SLICES, fmtp=f";sprop-parameter-sets={SPROP}")]))


async def test_another_resolution_needs_no_new_session() -> None:
    larger = encode(20, width=640, height=480)
    async with FakeCamera([h264_track([*UNITS, *larger])]) as fake, Pulled(fake.url) as pulled:
        got = await pulled.watch(60)
        assert got == [*WANTED, *map(list, larger), *WANTED[:10]]
        assert pulled.camera.report.reconnects == 0
