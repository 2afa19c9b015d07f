"""By the express way the same leaves as by the usual one, and the same is remembered of it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.media import decode_frame
from ingest import native
from ingest.rtp.clock import MAX_AGE_NS, MEASURE_NS, CameraClock, TrackClock
from ingest.rtp.rtcp import SenderReport
from ingest.rtsp.express import MOST
from tests.fakes.pictures import Camera
from tests.fakes.ways import AAC, FRAME_NS, NOW, TOPIC, Both
from tests.ingest.test_native import needs_native

pytestmark = needs_native

NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


@pytest.mark.parametrize("h265", [False, True])
def test_all_but_the_first_and_what_is_not_ordinary_go_by_it(h265: bool) -> None:
    camera, both = Camera(1, h265=h265, strange=False), Both(h265=h265)
    both.read(camera.keyframe())
    for sizes in ((900,), (900,), (5_000,), (15_000,), (40,), (1_160,), (700, 800)):
        both.read(camera.ordinary(*sizes))
    assert both.short.express_ones == 6
    both.settled()
    both.read(camera.ordinary(900))
    both.read(camera.ordinary(900))
    assert both.short.express_ones == 7, "who looked has ended it; the next one goes on with it"
    both.read(camera.keyframe())
    both.read(camera.ordinary(900) + camera.ordinary(900))
    assert both.short.express_ones == 7
    both.settled()


def test_sound_goes_by_it_and_what_waits_is_bounded() -> None:
    both, camera = Both(), Camera(1, strange=False)
    both.read(camera.keyframe())
    both.read(camera.ordinary(900))
    both.read(both.sound(), FRAME_NS)
    for _ in range(2 * MOST):
        both.read(both.sound(), FRAME_NS // 2)
        both.read(camera.ordinary(900), FRAME_NS // 2)
    assert both.short.express_ones > 3 * MOST
    assert len(both.short.express._passed) < MOST
    both.settled()
    kept = [decode_frame(TOPIC + each).batches[0] for each in both.short.groups.of("door").batches]  # type: ignore[arg-type]
    assert [batch.kind for batch in kept] == ["video"] * (2 + 2 * MOST), "who joins gets the whole group"
    assert [batch.sequence for batch in kept[1:]] == [kept[1].sequence + at for at in range(1 + 2 * MOST)]
    assert both.short.spent[2] == both.short.express_ones, "and the budget is told of all"


def test_sound_of_another_kind_passes_by_and_what_comes_behind_it_is_looked_at() -> None:
    both, camera = Both(sound=AAC), Camera(1, strange=False)
    both.read(camera.keyframe())
    both.read(camera.ordinary(900))
    both.read(both.sound())
    both.read(camera.ordinary(900))
    picture = camera.ordinary(900)
    both.read(picture)
    both.read(both.sound())
    assert both.short.express_ones == 1
    assert both.short.express.begun, "it has a track of its own"
    both.read(both.sound() + picture)  # which the camera repeats: that was taken before
    both.read(camera.ordinary(900))
    both.settled()


def test_a_delay_that_grows_is_followed_as_without_it() -> None:
    both, camera = Both(), Camera(1, strange=False)
    for number in range(15 * 25):  # it counts a tenth too little
        both.read(camera.ordinary(40) if number % 50 else camera.keyframe(), FRAME_NS * 10 // 9)
        if number % 6 == 5:
            both.settled()
    assert both.short.express_ones > 100


def test_what_comes_so_late_that_its_report_is_doubted_is_not_foretold() -> None:
    clock, old_ns = TrackClock(48_000, CameraClock()), 900_000_000
    clock.stamp(0, NOW)
    seconds, rest_ns = divmod(NOW - old_ns, 10**9)
    clock.reported(SenderReport(7, seconds + NTP_EPOCH << 32 | (rest_ns << 32) // 10**9, 0), NOW)
    captured_ns = clock.capture_ns(0, NOW)
    due = clock.due(0)
    assert due is not None
    assert due[-1] == captured_ns + MAX_AGE_NS < NOW + MEASURE_NS


@pytest.mark.parametrize("h265", [False, True])
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_whatever_comes_it_is_as_without_it(h265: bool, seed: int) -> None:
    camera, chance, both = Camera(seed, h265=h265), random.Random(seed), Both(h265=h265)
    both.read(camera.keyframe())
    for _ in range(40):
        what = chance.random()
        if what < 0.3:
            both.read(both.sound(chance.choice([1, 160, 255, 256, 1_161])), chance.randrange(FRAME_NS))
        elif what < 0.85:
            both.read(camera.ordinary(chance.choice([40, 900, 20_000])), chance.randrange(2 * FRAME_NS))
        else:
            odd = [camera.any(), camera.report(), camera.keyframe(), b"junk", camera.ordinary(900) + both.sound()]
            both.read(chance.choice(odd), chance.choice([0, FRAME_NS, 70 * FRAME_NS]))
        if chance.random() < 0.1:
            both.settled()
    both.settled()


@given(st.integers(0, 2**32), st.integers(0, 200))
def test_nothing_is_taken_of_what_is_cut_or_damaged(seed: int, at: int) -> None:
    camera, chance, both = Camera(seed, strange=False), random.Random(seed), Both()
    both.read(camera.keyframe())
    both.read(camera.ordinary(900))
    data = bytearray(camera.ordinary(chance.choice([40, 3_000])))
    data[min(at, len(data) - 1)] ^= 1 << chance.randrange(8)
    both.read(bytes(data[: chance.randrange(1, len(data) + 1)]))
    both.read(bytes(data))
    both.settled()


def test_a_topic_that_is_too_long_is_refused() -> None:
    due = native.Due(0, 0, 96, 0, 1, 0, 1, 1, 0, 90_000, 0, False, 0, b"begin")
    with pytest.raises(ValueError, match="topic"):
        native.Course(due, bytes(native.lib.CAMSHAFT_MAX_BEGIN))
