"""Timestamps and capture times of cameras that get them right, and of those that do not."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtp.clock import BEHIND, OUTLIERS, CameraClock, LeastDelay, TrackClock
from tests.fakes.rtp_clock import FRAME, FRAME_NS, MS, NOW, RATE, Camera


@pytest.mark.parametrize("start", [0, 1_000, 2**32 - 5 * FRAME, 2**32 - 1])
def test_timestamps_are_extended(start: int) -> None:
    camera = Camera(start)
    assert [camera.frame() for _ in range(20)] == [start + n * FRAME for n in range(20)]
    assert camera.clock.repaired == 0


def test_one_timestamp_that_is_hours_off_is_repaired() -> None:
    for wrong in (3_600 * RATE, -3_600 * RATE, 2**31):
        camera = Camera()
        stamps = [camera.frame(camera.raw + FRAME + wrong if n == 5 else None) for n in range(10)]
        assert stamps == [1_000 + n * FRAME for n in range(10)]
        assert camera.clock.repaired == 1


def test_three_in_a_row_are_a_new_timeline() -> None:
    camera = Camera()
    for _ in range(5):
        camera.frame()
    camera.start += 3_600 * RATE
    assert [camera.frame() for _ in range(10)] == [1_000 + n * FRAME for n in range(5, 15)]
    assert camera.clock.repaired == OUTLIERS


def test_repaired_timestamps_never_go_back_when_the_camera_comes_to_its_senses() -> None:
    camera = Camera()
    camera.frame()
    camera.late_ns = 30 * MS
    before = camera.frame(camera.raw + 2**30)
    camera.late_ns = 0
    assert camera.frame() >= before


def test_wrong_ones_that_are_not_in_a_row_are_no_new_timeline() -> None:
    camera = Camera()
    stamps = [camera.frame(2**30 if n % 2 else None) for n in range(40)]
    assert stamps == [1_000 + n * FRAME for n in range(40)]
    assert camera.clock.repaired == 20


def test_b_frames_do_not_go_back() -> None:
    camera = Camera(0)
    stamps = [camera.frame(number * FRAME) for number in (0, 3, 1, 2, 6, 4, 5)]
    assert stamps == [n * FRAME for n in (0, 3, 3, 3, 6, 6, 6)]
    assert camera.clock.repaired == 0


def test_b_frames_without_end_are_no_new_timeline() -> None:
    camera = Camera(0)
    stamps = [camera.frame((number + (2, -1, -1)[number % 3]) * FRAME) for number in range(90)]
    assert stamps == [(number - number % 3 + 2) * FRAME for number in range(90)]


def test_a_clock_that_was_set_back_a_little_is_a_new_timeline_after_a_while() -> None:
    camera = Camera()
    for _ in range(30):
        camera.frame()
    camera.start -= 22 * FRAME
    stamps = [camera.frame() for _ in range(BEHIND + 4)]
    assert stamps[: BEHIND - 1] == [1_000 + 29 * FRAME] * (BEHIND - 1)
    assert [after - before for before, after in zip(stamps[-5:], stamps[-4:], strict=False)] == [FRAME] * 4


def test_repeated_timestamps() -> None:
    camera = Camera()
    assert [camera.frame(77) for _ in range(5)] == [77] * 5


def test_a_stall_of_the_network_is_not_a_mistake_of_the_camera() -> None:
    camera = Camera()
    for _ in range(50):
        camera.frame()
        camera.capture()
    stamps = []
    for number in range(375):  # 15 s arrive in one burst
        camera.late_ns = (375 - number) * FRAME_NS
        stamps.append(camera.frame())
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)
    assert stamps == [1_000 + n * FRAME for n in range(50, 425)]
    assert camera.clock.repaired == 0


def test_slow_cameras() -> None:
    clock = TrackClock(RATE, CameraClock())
    assert [clock.stamp(n * 30 * RATE, NOW + n * 30 * 10**9) for n in range(3)] == [0, 30 * RATE, 60 * RATE]
    assert clock.repaired == 0


def test_another_source_before_anything_came_changes_nothing() -> None:
    clock = TrackClock(RATE, CameraClock())
    clock.restart()
    assert clock.stamp(1_000, NOW) == 1_000


def test_another_source_goes_on_where_the_old_one_ended() -> None:
    camera = Camera()
    for _ in range(5):
        camera.frame()
    camera.clock.restart()
    camera.start = 3_000_000_000
    assert [camera.frame() for _ in range(3)] == [1_000 + n * FRAME for n in range(5, 8)]


def test_our_clock_may_be_set_back() -> None:
    camera = Camera()
    camera.frame()
    before = camera.frame()
    camera.late_ns = -3_600 * 10**9
    assert camera.frame() == before + FRAME


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(-(10**9), 10**11)), max_size=60), st.integers(1, 10**6)
)
def test_any_timestamps_never_go_back(steps: list[tuple[int, int]], rate: int) -> None:
    clock, now, before = TrackClock(rate, CameraClock()), NOW, -1
    for raw, step in steps:
        now += step
        stamp = clock.stamp(raw, now)
        assert stamp >= before
        assert clock.capture_ns(stamp, now) <= now
        before = stamp


def test_without_reports_capture_is_by_the_fastest_packets() -> None:
    camera = Camera()
    lateness = [20, 5, 30, 0, 40, 10, 25]
    for late in lateness:
        camera.late_ns = late * MS
        camera.frame()
        capture = camera.capture()
        assert capture <= camera.arrival_ns - NOW
    assert capture == camera.captured_ns - NOW
    for late in lateness * 20:
        camera.late_ns = late * MS
        camera.frame()
        assert camera.capture() == camera.captured_ns - NOW


def test_drift_is_followed() -> None:
    for sign in (-1, 1):
        camera = Camera()
        for _ in range(25 * 120):
            camera.late_ns += sign * FRAME_NS // 10_000  # 100 millionths
            camera.frame()
            capture = camera.capture()
        assert capture == pytest.approx(camera.arrival_ns - NOW, abs=3 * MS)


def test_a_path_that_got_longer_is_followed_smoothly() -> None:
    camera = Camera()
    before = -FRAME_NS
    for number in range(25 * 60):
        camera.late_ns = 100 * MS if number > 100 else 0
        camera.frame()
        capture = camera.capture()
        assert 0 < capture - before <= FRAME_NS * 1.02
        before = capture
    assert capture == pytest.approx(camera.arrival_ns - NOW, abs=MS)


def test_a_clock_that_was_set_is_not_followed_for_ever() -> None:
    delay = LeastDelay()
    delay.update(0, 0)
    for second in range(1, 25):
        offset = delay.update(5 * 10**9, second * 10**9)
    assert offset == 5 * 10**9


@pytest.mark.parametrize("rate", [25, 1_000, 8_000, 30_000, 48_000, 1_000_000])
def test_a_clock_of_the_camera_s_own_is_scaled_without_drift_over_any_wrap(rate: int) -> None:
    camera = Camera((1 << 32) - 5 * rate, TrackClock(rate, CameraClock(), RATE), rate=rate)
    first = camera.frame()
    for _ in range(25 * 60):
        last = camera.frame()
    assert last - first == 60 * RATE
    step = 1 << 30
    for _ in range(9):  # years of it
        camera.start += step
        camera.clock._arrival_ns -= step * 10**9 // rate  # so long has passed
        camera.frame()
    assert abs((camera.timestamp - first) - (60 * rate + 9 * step + rate // 25 * 9) * RATE // rate) <= RATE // rate + 1


@pytest.mark.parametrize(
    ("announced", "counted"),
    [(30_000, 90_000), (90_000, 30_000), (90_000, 1_000), (8_000, 90_000), (90_000, 25), (90_000, 1_000_000)],
)
def test_a_clock_that_runs_at_another_rate_than_announced_is_found_out(announced: int, counted: int) -> None:
    camera = Camera(5_000, TrackClock(announced, CameraClock(), RATE), rate=counted)
    stamps = [camera.frame() for _ in range(25 * 20)]
    assert all(after >= before for before, after in itertools.pairwise(stamps))
    assert stamps[-1] - stamps[-26] == pytest.approx(RATE, abs=RATE // counted + 1)
    camera.report()
    camera.frame()
    assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)


@pytest.mark.parametrize(
    ("announced", "counted"),
    [
        (8_000, 90_000),
        (8_000, 16_000),
        (8_000, 1_000_000),
        (48_000, 16_000),
        (16_000, 8_000),
        (16_000, 1_000),
        (16_000, 44_100),
    ],
)
def test_sound_that_is_counted_at_another_rate_than_announced_is_found_out(announced: int, counted: int) -> None:
    camera = Camera(5_000, TrackClock(announced, CameraClock()), rate=counted)
    stamps = [camera.frame() for _ in range(25 * 20)]
    assert all(after >= before for before, after in itertools.pairwise(stamps))
    assert stamps[-1] - stamps[-26] == pytest.approx(announced, rel=0.001, abs=announced // counted + 1)
    assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)


@pytest.mark.parametrize("every", [4, 2, 10])
def test_sound_of_which_pauses_are_not_counted_is_no_other_clock(every: int) -> None:
    """A second of sound, and then silence, of which nothing comes."""
    clock, raw = TrackClock(48_000, CameraClock()), 0
    for number in range(25 * 120):
        if number // 25 % every == 0:
            raw += 1_920
            clock.stamp(raw, NOW + number * FRAME_NS)
    assert clock.repaired == 0


@pytest.mark.parametrize("speed", [0.6, 1.3, 2.0])
def test_a_clock_that_is_only_wrong_is_taken_as_it_is(speed: float) -> None:
    camera = Camera(5_000, TrackClock(RATE, CameraClock(), RATE), rate=round(RATE * speed))
    stamps = [camera.frame() for _ in range(25 * 20)]
    assert stamps[-1] - stamps[0] == pytest.approx((len(stamps) - 1) * RATE * speed / 25, rel=0.01)


@pytest.mark.parametrize("reports", [False, True])
@pytest.mark.parametrize("speed", [0.6, 0.84, 0.97])
def test_pictures_that_come_more_slowly_than_they_are_counted_are_not_taken_for_late_ones(
    speed: float, reports: bool
) -> None:
    """At night many cameras take 21 pictures a second and count them as 25."""
    camera = Camera(5_000, TrackClock(RATE, CameraClock(), RATE), rate=round(RATE * speed))
    late = []
    for number in range(25 * 60):
        camera.frame()
        if reports and number % 125 == 0:
            camera.report()
        late.append(camera.captured_ns - NOW - camera.capture())
    assert max(late[25 * 20 :]) < 500 * MS


def test_a_clock_that_is_right_is_not_hurried_by_a_path_that_gets_slower() -> None:
    camera = Camera()
    for number in range(25 * 30):
        camera.late_ns = min(number, 25 * 20) * MS // 2  # by 1 s in 80, up to a quarter
        camera.frame()
        late = camera.arrival_ns - NOW - camera.capture()
    assert late >= 100 * MS


def test_a_group_of_pictures_that_comes_at_once_is_no_other_clock() -> None:
    camera = Camera()
    for number in range(25 * 20):
        camera.late_ns = max(2_000 * MS - number * 40 * MS, 0)
        camera.frame()
    assert camera.timestamp - 1_000 == pytest.approx((25 * 20 - 1) * FRAME, abs=2)


def test_a_wrong_timestamp_is_later_than_the_one_before_though_both_came_at_once() -> None:
    camera = Camera()
    before = camera.frame()
    assert camera.clock.stamp(camera.raw + 100 * RATE, camera.arrival_ns) == before + 1


def test_two_measures_that_do_not_agree_are_no_other_clock() -> None:
    clock, raw = TrackClock(RATE, CameraClock(), RATE), 0
    for number in range(6 * 75):
        raw += (30_000, 48_000)[number // 75 % 2] // 25  # another rate in each measure
        clock.stamp(raw, NOW + number * FRAME_NS)
    assert clock.repaired == 0
