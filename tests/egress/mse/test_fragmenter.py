"""Fragments are read by FFmpeg, which decodes every picture and every sound that went in."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import Batch, Flags, Kind
from egress.mse.clock import TOLERANCE, MediaClock
from egress.mse.fragmenter import Fragment, fragmenter_of
from ingest.payload.aac import Configuration
from rigs.codecs import Coded, pictures, tone

START_NS = 1_700_000_000_000_000_000
ORIGIN_NS = START_NS - 100_000_000_000
X265 = "preset=ultrafast x265-params=bframes=0:log-level=none"
X264 = "preset=ultrafast tune=zerolatency"


def units(codec: str, coded: Iterable[Coded], *, first: int = 0, epoch: int = 1) -> list[Batch]:
    """Each picture as a batch, a NAL unit in each payload, 30 a second."""
    found = []
    for number, each in enumerate(coded, first):
        data = each.data.replace(b"\0\0\0\1", b"\0\0\1")
        nals = [nal for nal in data.split(b"\0\0\1") if nal]
        flags = Flags.UNIT_END | (Flags.KEYFRAME if each.keyframe else Flags(0))
        at = START_NS + number * 1_000_000_000 // 30
        found.append(Batch("video", codec, epoch, 0, 7_000 + number * 3_000, at, at, int(flags), nals))
    return found


def sound(codec: str, payloads: Iterable[bytes], seconds: float, rate: int) -> list[Batch]:
    found = []
    for number, payload in enumerate(payloads):
        at = START_NS + int(number * seconds * 1e9)
        timestamp = 5 + int(number * seconds * rate)
        found.append(Batch("audio", codec, 1, 0, timestamp, at, at, int(Flags.UNIT_END), [payload]))
    return found


def cut(kind: Kind, batches: Iterable[Batch]) -> list[Fragment]:
    batches = list(batches)
    fragmenter = fragmenter_of(kind, batches[0].codec, ORIGIN_NS)
    assert fragmenter is not None
    return [made for batch in batches if (made := fragmenter.push(batch, batch.timestamp)) is not None]


def file_of(fragments: list[Fragment]) -> bytes:
    """As a Media Source is given it."""
    data, before = b"", None
    for each in fragments:
        if each.initialization is not before:
            before = each.initialization
            data += before.segment
        data += each.segment
    return data


@pytest.mark.parametrize(
    ("codec", "encoder", "options", "prefix"),
    [
        ("H264", "libx264", f"profile=baseline {X264}", "avc1.42c0"),
        ("H264", "libx264", "profile=high preset=veryfast tune=zerolatency", "avc1.64"),
        ("H265", "libx265", X265, "hvc1.1.6.L"),
    ],
)
def test_every_picture_is_decoded_at_its_time(codec: str, encoder: str, options: str, prefix: str) -> None:
    coded = pictures(encoder, 20, width=322, height=182, options=options)
    fragments = cut(Kind.VIDEO, units(codec, coded))
    assert [each.keyframe for each in fragments] == [each.keyframe for each in coded]
    assert fragments[0].initialization.codec.startswith(prefix)
    with av.open(io.BytesIO(file_of(fragments))) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 20
    assert (frames[0].width, frames[0].height) == (322, 182)
    times = [frame.time for frame in frames if frame.time is not None]
    assert times[0] == pytest.approx(100)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([1 / 30] * 19, abs=1e-4)
    assert [each.seconds for each in fragments] == pytest.approx(times)


def test_pictures_in_several_batches_are_whole_and_wait_for_a_keyframe() -> None:
    batches = units("H264", pictures("libx264", 20, options=X264))
    parts = []
    for batch in batches[5:]:  # the next keyframe is the eleventh picture
        first, last = batch.payloads[:1], batch.payloads[1:]
        if last:
            parts.append(batch._replace(payloads=first, flags=batch.flags & ~Flags.UNIT_END))
            parts.append(batch._replace(payloads=last, flags=int(Flags.UNIT_END)))
        else:
            parts.append(batch)
    fragments = cut(Kind.VIDEO, parts)
    assert len(fragments) == 10
    assert fragments[0].keyframe


def test_other_parameter_sets_begin_anew_and_the_same_do_not() -> None:
    small = units("H264", pictures("libx264", 20, options=X264))
    large = units("H264", pictures("libx264", 10, width=640, height=360, options=X264), first=20)
    fragments = cut(Kind.VIDEO, small + large)
    begun = {id(each.initialization): each.initialization for each in fragments}
    assert len(begun) == 2
    assert fragments[19].initialization is fragments[0].initialization
    with av.open(io.BytesIO(file_of(fragments[20:]))) as container:
        assert {(frame.width, frame.height) for frame in container.decode(video=0)} == {(640, 360)}


def test_aac_and_opus_are_decoded_whole() -> None:
    aac = tone("aac", 1.0, rate=44_100, channels=2)
    configuration = Configuration(2, 44_100, 2)
    frames = [configuration.adts(len(frame)) + frame for frame in aac.payloads]
    opus = tone("libopus", 1.0, rate=48_000, channels=2)
    for batches, codec, rate in (
        (sound("AAC", frames, aac.seconds, 44_100), "mp4a.40.2", 44_100),
        (sound("opus", opus.payloads, opus.seconds, 48_000), "opus", 48_000),
    ):
        fragments = cut(Kind.AUDIO, batches)
        assert len(fragments) == len(batches)
        assert fragments[0].initialization.codec == codec
        with av.open(io.BytesIO(file_of(fragments))) as container:
            stream = container.streams.audio[0]
            assert (stream.rate, stream.channels) == (rate, 2)
            samples = sum(frame.samples for frame in container.decode(stream))
        assert samples == pytest.approx(rate, rel=0.05)


def test_time_of_sound_goes_on_at_another_sample_rate() -> None:
    batches = []
    for number, rate in enumerate([48_000, 48_000, 8_000, 96_000, 48_000]):
        frame = Configuration(2, rate, 1).adts(2) + b"\0\0"
        at = START_NS + number * 1_000_000  # captures that say what cannot be: each frame is 11 to 128 ms long
        batches.append(Batch("audio", "AAC", 1, number, 0, at, at, int(Flags.KEYFRAME | Flags.UNIT_END), [frame]))
    seconds = [each.seconds for each in cut(Kind.AUDIO, batches)]
    assert len(seconds) == 5
    assert all(a < b for a, b in itertools.pairwise(seconds))


def test_sound_that_no_media_source_takes_has_no_fragments() -> None:
    assert fragmenter_of(Kind.AUDIO, "PCMU", 0) is None
    assert fragmenter_of(Kind.VIDEO, "VP8", 0) is None


def test_time_goes_on_when_a_camera_begins_anew_and_keeps_to_its_captures() -> None:
    coded = pictures("libx264", 10, options=X264)
    before = units("H264", coded)
    later = [batch._replace(epoch=2, timestamp=batch.timestamp - 6_000) for batch in units("H264", coded, first=300)]
    back = [batch._replace(epoch=3, timestamp=99) for batch in units("H264", coded, first=305)]  # captures repeat
    fragments = cut(Kind.VIDEO, before + later + back)
    seconds = [each.seconds for each in fragments]
    assert all(a < b for a, b in itertools.pairwise(seconds))
    assert seconds[10] == pytest.approx(100 + 10, abs=TOLERANCE + 0.01)
    with av.open(io.BytesIO(file_of(fragments))) as container:
        assert len(list(container.decode(video=0))) == 30


@given(st.lists(st.tuples(st.integers(-(1 << 40), 1 << 40), st.integers(0, 1 << 62)), max_size=50))
def test_time_only_grows_whatever_a_camera_says(units: list[tuple[int, int]]) -> None:
    clock = MediaClock(90_000, ORIGIN_NS)
    times = [clock.place(*unit) for unit in units]
    assert all(a < b for a, b in zip([-1, *times], times, strict=False))


@given(st.sampled_from(["H264", "H265", "AAC", "opus"]), st.lists(st.binary(min_size=1, max_size=60), max_size=8))
def test_what_is_none_of_its_codec_makes_no_fragment_and_no_error(codec: str, payloads: list[bytes]) -> None:
    kind = Kind.VIDEO if codec.startswith("H26") else Kind.AUDIO
    flags = int(Flags.KEYFRAME | Flags.UNIT_END)
    cut(kind, [Batch(kind.value, codec, 1, 0, 0, START_NS, START_NS, flags, payloads or [b"x"])])


def test_parameter_sets_of_megabytes_are_not_kept() -> None:
    coded = units("H265", pictures("libx265", 2, options=X265))
    huge = [bytes((kind << 1, 1)) + bytes((number + 1,)) * 10_000 for kind in (32, 33, 34) for number in range(3)]
    first = coded[0]._replace(payloads=[*coded[0].payloads[:-1], *huge, coded[0].payloads[-1]])
    fragments = cut(Kind.VIDEO, [first, *coded[1:]])
    assert len(fragments) == 2
    assert len(fragments[0].initialization.segment) < 10_000


@pytest.mark.parametrize("cut_at", [3, 5])
def test_parameter_sets_that_are_cut_off_are_not_begun_with(cut_at: int) -> None:
    batches = units("H264", pictures("libx264", 20, options=X264))
    broken = [b[:cut_at] if b[:1] and b[0] & 0x1F == 7 else b for b in batches[0].payloads]
    fragments = cut(Kind.VIDEO, [batches[0]._replace(payloads=broken), *batches[1:]])
    assert len(fragments) == 10, "those from the next keyframe on"
