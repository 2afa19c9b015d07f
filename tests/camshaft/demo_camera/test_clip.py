"""Encoding ahead of the clock, and the cache."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import pytest

from camshaft.demo_camera.clip import KEPT_CLIPS, Clip, encode_sound
from camshaft.demo_camera.picture import read_number
from camshaft.demo_camera.settings import Audio, Settings
from rigs.rtsp_client import Rtp, access_units

SMALL = Settings(width=320, height=180, fps=5, gop=2.0, bitrate=200_000, audio=Audio.PCMU)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def encoded(settings: Settings = SMALL, first: int = 0) -> Clip:
    clip = Clip.empty(settings)
    assert clip.encode(first, threading.Event(), lambda: None)
    return clip


def numbers_of(clip: Clip, wanted: range) -> list[int | None]:
    """Decode pictures and read their numbers."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.options = {"flags": "low_delay"}
    numbers: list[int | None] = []
    for number in wanted:
        payloads = clip.pictures[number % len(clip.pictures)]
        assert payloads is not None
        packets = [Rtp(payload is payloads[-1], 96, 0, number, 0, payload) for payload in payloads]
        ((_, unit),) = access_units(packets)
        numbers += [read(frame) for frame in decoder.decode(av.Packet(unit))]
    return numbers + [read(frame) for frame in decoder.decode(None)]


def read(frame: av.VideoFrame) -> int | None:
    plane = frame.planes[0]
    pixels = bytes(plane)
    return read_number(lambda x, y: pixels[int(y * frame.height) * plane.line_size + int(x * frame.width)])


@pytest.mark.parametrize("first", [0, 7, 299])
def test_every_picture_decodes_and_shows_its_number_wherever_encoding_began(first: int) -> None:
    clip = encoded(first=first)
    assert numbers_of(clip, range(300)) == list(range(300))


def test_any_keyframe_is_a_place_to_start_and_the_loop_has_no_seam() -> None:
    clip = encoded(first=123)
    assert numbers_of(clip, range(290, 320)) == [number % 300 for number in range(290, 320)]


def test_keyframes_come_as_often_as_asked_with_parameter_sets() -> None:
    clip = encoded()
    for number, payloads in enumerate(clip.pictures):
        assert payloads is not None
        kinds = {payload[0] & 0x1F if payload[0] & 0x1F != 28 else payload[1] & 0x1F for payload in payloads}
        assert kinds == ({7, 8, 5} if number % 10 == 0 else {1})
        assert clip.keyframes[number] == (number % 10 == 0)
    assert clip.sps[0] & 0x1F == 7
    assert clip.sps[1] == 0x42, "constrained baseline"
    assert clip.sps[2] & 0x40
    assert clip.pps[0] & 0x1F == 8


def test_group_on_air_is_encoded_first() -> None:
    clip = Clip.empty(SMALL)
    stop, count = threading.Event(), 0

    def on_picture() -> None:
        nonlocal count
        count += 1
        if count == 10:
            stop.set()

    assert not clip.encode(57, stop, on_picture)
    assert [number for number, payloads in enumerate(clip.pictures) if payloads] == list(range(50, 60))


def test_bitrate_is_kept() -> None:
    clip = encoded()
    size = sum(len(payload) for payloads in clip.pictures if payloads for payload in payloads)
    assert 0.7 < size * 8 / 60 / SMALL.bitrate < 1.3


def test_cache_gives_the_same_clip_and_only_for_the_same_settings() -> None:
    assert Clip.load(SMALL) is None
    clip = encoded()
    clip.save()
    assert Clip.load(SMALL) == clip
    assert Clip.load(Settings(width=320, height=180, fps=5, gop=1.0, bitrate=200_000, audio=Audio.PCMU)) is None


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x93\xa0\xa0\x90", b"\x00", b"\x93"])
def test_damaged_cache_is_encoded_anew(tmp_path: Path, damage: bytes) -> None:
    encoded().save()
    (file,) = (tmp_path / "camshaft").iterdir()
    file.write_bytes(damage)
    assert Clip.load(SMALL) is None


def test_cache_keeps_few_files(tmp_path: Path) -> None:
    directory = tmp_path / "camshaft"
    directory.mkdir()
    for age in range(KEPT_CLIPS + 3):
        (directory / f"demo-{age}.clip").touch()
        os.utime(directory / f"demo-{age}.clip", (1_000_000 - age, 1_000_000 - age))
    encoded().save()
    names = {file.name for file in directory.iterdir()}
    assert len(names) == KEPT_CLIPS
    assert "demo-0.clip" in names
    assert f"demo-{KEPT_CLIPS}.clip" not in names


@pytest.mark.parametrize(("audio", "size"), [(Audio.OPUS, None), (Audio.PCMU, 160)])
def test_sound_is_one_second_of_20_ms(audio: Audio, size: int | None) -> None:
    payloads = encode_sound(audio)
    assert len(payloads) == 50
    assert all(len(payload) == size if size else 3 < len(payload) < 200 for payload in payloads)


def test_opus_decodes_and_beeps_once_a_second() -> None:
    decoder = av.CodecContext.create("opus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout = 48_000, "stereo"
    peaks: list[float] = []
    for payload in encode_sound(Audio.OPUS) * 3:
        for frame in decoder.decode(av.Packet(payload)):
            values = memoryview(bytes(frame.planes[0])).cast("f")
            peaks.append(max(values))
    loud = [index for index, peak in enumerate(peaks) if peak > 0.2]
    assert {index // 50 for index in loud} == {0, 1, 2}
    assert all(index % 50 <= 6 for index in loud)


def test_no_sound() -> None:
    assert encode_sound(Audio.NONE) == []
