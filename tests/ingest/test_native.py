"""The compiled shortcut makes of a camera's bytes what the way without it makes of them."""

from __future__ import annotations

import random
import shutil
import subprocess
import sysconfig
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD, Batch
from ingest import native
from ingest.native import start_code_at
from ingest.rtp.receiver import TrackReceiver
from ingest.rtsp.parser import MAX_EVENTS, Parser, Read
from rigs.reading import H264, H265, Reading
from tests.fakes.pictures import SSRC, Camera, framed
from tests.fakes.ways import FRAME_NS, NOW, state

PAYLOAD_TYPE = 96

needs_native = pytest.mark.skipif(not native.BUILT, reason="ingest.native was not built here")


def test_it_was_built_where_it_can_be(tmp_path: Path) -> None:
    """Its failure would not be noticed otherwise: the installation goes on without it."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()
    source = tmp_path / "headers.c"
    source.write_text("#include <Python.h>\n")
    command = [*compiler, "-E", "-I", sysconfig.get_path("include"), str(source)]
    if shutil.which(compiler[0]) is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    assert native.BUILT


def test_without_it_start_codes_are_found_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "BUILT", False)
    assert start_code_at(bytes.fromhex("67 00 00 00 01 68"), 1, 6) == 2
    assert start_code_at(bytes.fromhex("67 00 00 00 01 68"), 3, 6) == -1


@needs_native
def test_where_nothing_is_there_is_no_start_code() -> None:
    assert start_code_at(bytes.fromhex("00 00 01"), 3, 2) == -1
    assert start_code_at(bytes.fromhex("00 00 01"), -1, 3) == -1


class Both:
    """One camera, read with the shortcut and without it."""

    def __init__(self, *, h265: bool = False) -> None:
        self.taken = 0  # pictures by the shortcut
        self.batches: list[Batch] = []
        self.now_ns = NOW
        description = H265 if h265 else H264
        self._compiled = Reading(description)
        with patch.object(native, "BUILT", False):
            self._plain = Reading(description)
        receiver = self.receiver
        take = native.Pictures.take

        def counted(pictures: native.Pictures, *arguments: object) -> native.Picture | None:
            picture = take(pictures, *arguments)  # type: ignore[arg-type]
            self.taken += picture is not None
            return picture

        self.counted = patch.object(native.Pictures, "take", counted)
        assert receiver.unpacking._pictures is not None

    @property
    def receiver(self) -> TrackReceiver:
        return self._compiled.stream.receivers[0]

    def read(self, data: bytes) -> list[Batch]:
        with self.counted:
            batches = self._compiled.read(data, self.now_ns)
        with patch.object(native, "BUILT", False):
            plain = self._plain.read(data, self.now_ns)
        assert batches == plain
        assert self._compiled.packets == self._plain.packets
        self.batches += batches
        self.now_ns += FRAME_NS
        return batches

    def compare(self) -> None:
        """Nothing else is remembered either."""
        assert state(self._compiled.stream) == state(self._plain.stream)


@pytest.mark.thorough
@needs_native
@pytest.mark.parametrize("h265", [False, True])
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_whatever_comes_becomes_the_same(h265: bool, seed: int) -> None:
    camera, chance, both = Camera(seed, h265=h265), random.Random(seed), Both(h265=h265)
    both.read(camera.keyframe())
    for _ in range(30):
        sound = chance.choice([b"", b"", framed(bytes(172), 2)])
        data = b"".join(sound + camera.any() for _ in range(chance.choice([1, 1, 1, 3])))
        data += chance.choice(
            [b""] * 6
            + [framed(b"sound", 2)] * 3
            + [camera.report(), b"RTSP/1.0 200 OK\r\n\r\n", b"junk", framed(b"?", 7)]
        )
        for part in cut(data, chance):
            both.read(part)
    both.compare()


def cut(data: bytes, chance: random.Random) -> list[bytes]:
    """As a rule whole, as what a camera writes at once comes at once."""
    if chance.random() < 0.8:
        return [data]
    at = chance.randrange(len(data) + 1)
    return [part for part in (data[:at], data[at:]) if part]


@needs_native
@pytest.mark.parametrize("h265", [False, True])
@pytest.mark.parametrize("sizes", [(4,), (40,), (3_000,), (900, 40, 3_000), (50_000,)])
def test_ordinary_pictures_take_the_shortcut(sizes: tuple[int, ...], h265: bool) -> None:
    camera, both = Camera(1, h265=h265, strange=False), Both(h265=h265)
    both.read(camera.keyframe())
    for _ in range(20):
        both.read(camera.ordinary(*sizes))
    both.read(b"".join(camera.ordinary(*sizes) for _ in range(3)))
    assert both.taken == 20 + (3 if sum(sizes) < 20_000 else 1)  # of more than a read takes the rest comes in pieces
    assert len(both.batches) >= 24


@needs_native
@pytest.mark.parametrize("h265", [False, True])
@pytest.mark.parametrize("size", range(MAX_PAYLOAD - 4, MAX_PAYLOAD + 5))
@pytest.mark.parametrize("fragments", [1, 2, 3])
def test_payloads_are_filled_to_the_last_byte(size: int, fragments: int, h265: bool) -> None:
    camera, both = Camera(2, h265=h265, strange=False), Both(h265=h265)
    both.read(camera.keyframe())
    (batch,) = both.read(camera.ordinary(size + (fragments - 1) * (MAX_PAYLOAD - 2 - h265)))
    assert both.taken == 1
    assert {len(payload) for payload in batch.payloads[:-1]} <= {MAX_PAYLOAD}


@needs_native
@pytest.mark.parametrize("sizes", [(40, 40), (3_000, 900), (40, 40, 3_000)])
def test_of_several_layers_the_first_goes_out_alone(sizes: tuple[int, ...]) -> None:
    camera, both = Camera(6, h265=True, strange=False), Both(h265=True)
    both.read(camera.keyframe())
    (batch,) = both.read(camera.layered(*sizes))
    assert both.taken == 0
    assert batch.size < sizes[0] + 20


@needs_native
@pytest.mark.parametrize("h265", [False, True])
def test_how_a_picture_is_turned_is_learned_either_way(h265: bool) -> None:
    camera, both = Camera(8, h265=h265, strange=False), Both(h265=h265)
    both.read(camera.keyframe())
    for quarters in (1, 0, 3):
        both.read(camera.turned(quarters))
        both.read(camera.ordinary(900))
        both.read(camera.keyframe())
        both.compare()
    assert both.taken == 3
    assert both.receiver.unpacking.track.convert


@needs_native
def test_many_small_pictures_at_once_are_taken_in_turns() -> None:
    camera, both = Camera(3, strange=False), Both()
    both.read(camera.keyframe())
    both.read(b"".join(camera.ordinary(4) for _ in range(1_000)))
    assert both.taken == 4 * 16  # and 256 packets the other way after each of them
    assert len(both.batches) == 1_001


@needs_native
def test_pictures_between_pieces_of_sound_take_the_shortcut() -> None:
    camera, both = Camera(5, strange=False), Both()
    both.read(camera.keyframe())
    both.read(b"".join(framed(bytes(172), 2) + camera.ordinary(900) for _ in range(5)))
    assert both.taken == 5
    both.read(b"".join(framed(bytes(12), 2) + camera.ordinary(4) for _ in range(500)))
    assert len(both.batches) == 506
    assert both.taken > 300


@needs_native
@pytest.mark.parametrize("between", [b"RTSP/1.0 200 OK\r\nA: b\r\n\r\n", b"junk", framed(bytes(12), 2)])
def test_one_read_takes_so_many_messages_whatever_lies_between_them(between: bytes) -> None:
    camera, reading = Camera(7, strange=False), Reading(H264)
    reading.read(camera.keyframe(), NOW)
    parser, interleaved, events = reading._parser, reading._interleaved, []
    advance = Parser.advance

    def counted(*arguments: int) -> list[Read]:
        out = advance(*arguments)  # type: ignore[arg-type]
        events.append(parser.events)
        return out

    data = b"".join(between + camera.ordinary(4) for _ in range(400))
    parser.buffer()[: len(data)] = data
    with patch.object(Parser, "advance", counted):
        count, reads = interleaved.read(len(data), NOW), 1
        while parser.more:
            assert sum(events) <= MAX_EVENTS
            events.clear()
            count += interleaved.read(0, NOW)
            reads += 1
    assert reads >= (400 // MAX_EVENTS if between[:1] != b"$" else 2)
    assert reading.stream.receivers[0].stats.frames == 401


@needs_native
def test_recovery_points_are_keyframes_either_way() -> None:
    """H.264 D.2.8: where no IDR picture comes for long, and where one came again after that."""
    camera, both = Camera(6, strange=False), Both()
    both.read(camera.keyframe())
    pictures = [at % 10 == 0 for at in range(1, 400)]  # 16 s, of which 10 without an IDR picture are long
    for point in pictures:
        both.read(camera.renewed(point=point))
    both.read(camera.keyframe())
    for point in pictures[:100]:
        both.read(camera.renewed(point=point))
    both.compare()
    assert sum(batch.keyframe for batch in both.batches) > 20
    assert both.taken > 200


@needs_native
def test_a_place_that_is_none_is_refused() -> None:
    pictures, received = native.Pictures(h265=False), bytearray(100)
    for start, end in ((-1, 50), (60, 50), (0, 101)):
        with pytest.raises(ValueError, match="nothing is at that place"):
            pictures.take(received, start, end, 0, PAYLOAD_TYPE, 1, SSRC, 0)
    assert pictures.take(received, 100, 100, 0, PAYLOAD_TYPE, 1, SSRC, 0) is None


@needs_native
def test_no_beginning_of_a_picture_is_one() -> None:
    camera, pictures = Camera(4, strange=False), native.Pictures(h265=False)
    picture = bytearray(camera.ordinary(900, 3_000))
    sequence = int.from_bytes(picture[6:8])
    for end in range(len(picture)):
        part = picture[:end]  # of that size, so that a sanitizer knows its end
        assert pictures.take(part, 0, end, 0, PAYLOAD_TYPE, sequence, SSRC, 0) is None
    taken = pictures.take(picture, 0, len(picture), 0, PAYLOAD_TYPE, sequence, SSRC, 0)
    assert taken is not None
    assert taken[:2] == (len(picture), 4)


@settings(max_examples=300)
@given(
    data=st.lists(st.sampled_from([b"\0", b"\1", b"\0\0", b"\0\0\1", b"\2" * 9])),
    places=st.tuples(*[st.integers(-2, 30)] * 2),
)
def test_start_codes_are_found_where_python_finds_them(data: list[bytes], places: tuple[int, int]) -> None:
    joined, (begin, end) = b"".join(data), places
    begin = max(begin, 0)
    assert start_code_at(joined, begin, end) == joined.find(b"\0\0\1", begin, max(end, 0))
