"""An encoder is believed by what it makes here, and one that does not serve says why."""

from __future__ import annotations

from dataclasses import replace

import av
import pytest

from common.payload.access_unit import access_unit
from common.payload.assembler import AccessUnit
from rigs.codecs import pictures
from transcode.encoders import HARDWARE, SOFTWARE
from transcode.picture import PictureConverter
from transcode.trial import KEYFRAME_AT, choose, in_process, tried

NVENC = HARDWARE[0]
needs_nvenc = pytest.mark.skipif(NVENC.name not in av.codecs_available, reason="this FFmpeg has no NVENC")


@pytest.mark.thorough
async def test_software_serves_in_a_process_of_its_own() -> None:
    trial = await in_process(SOFTWARE)
    assert (trial.problem, trial.held) == ("", 0)
    assert trial.cost > 0


async def test_a_trial_that_ends_badly_is_no_reason_to_end_badly() -> None:
    trial = await in_process(replace(SOFTWARE, name="h264_of_nobody"))
    assert trial.problem.startswith("its trial ended with")


@needs_nvenc
def test_hardware_that_is_not_there_says_so() -> None:
    assert tried(NVENC).problem.startswith("it cannot be used")


def test_an_encoder_that_makes_no_keyframes_where_they_are_asked_for_is_found_out() -> None:
    careless = replace(SOFTWARE, settings=(*SOFTWARE.settings, ("x264-params", f"keyint={KEYFRAME_AT // 2}")))
    assert tried(careless).problem == "it makes no keyframe when asked for one"


def test_an_encoder_that_holds_pictures_back_is_found_out() -> None:
    slow = replace(SOFTWARE, settings=(("preset", "ultrafast"), ("forced-idr", "1"), ("x264-params", "rc-lookahead=9")))
    assert tried(slow).held >= 2


async def test_where_hardware_is_not_wanted_it_is_software_and_the_log_says_why() -> None:
    encoder, others = await choose("software")
    assert encoder == SOFTWARE
    assert "NVENC (NVIDIA): transcode.encoder says software" in others


@needs_nvenc
def test_hardware_that_fails_in_mid_stream_is_replaced_by_software() -> None:
    converter = PictureConverter("JPEG", encoder=NVENC)  # whose driver is not there
    coded = pictures("mjpeg", 5, pixels="yuvj420p")
    made = [p for n, c in enumerate(coded) for p in converter.convert(AccessUnit(c.data, n * 40_000_000, 5, True))]
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    assert sum(len(decoder.decode(av.Packet(access_unit("H264", each.payloads)))) for each in made) == 5
    assert converter.undecodable == 0
