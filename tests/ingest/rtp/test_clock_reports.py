"""Sender reports: those of cameras whose clock is right, wrong, or set meanwhile, and what is believed of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtp.clock import MAX_BEHIND_NS, OUTLIERS, CameraClock, TrackClock
from ingest.rtp.rtcp import SenderReport
from tests.fakes.rtp_clock import FRAME_NS, MS, NOW, RATE, Camera, ntp


def test_a_clock_that_is_right_gives_the_true_time() -> None:
    camera = Camera()
    camera.late_ns = 80 * MS
    camera.frame()
    camera.report()
    for _ in range(10):
        camera.frame()
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=1_000)
    assert camera.clock._camera.distrusted == 0


@pytest.mark.parametrize("ahead_ns", [-3_600 * 10**9, -MAX_BEHIND_NS, 10**9, 7_200 * 10**9])
def test_a_clock_that_is_wrong_still_relates_sound_and_picture(ahead_ns: int) -> None:
    clock = CameraClock()
    video = Camera(1_000, TrackClock(RATE, clock))
    audio = Camera(500_000, TrackClock(8_000, clock), rate=8_000)
    video.late_ns, audio.late_ns = 200 * MS, 20 * MS  # the encoder takes its time for pictures
    video.clock_ns = audio.clock_ns = ahead_ns
    for number in range(100):
        for track in (video, audio):
            track.frame()
            if number == 3:
                track.report()
            if number > 3:
                assert track.capture() <= track.arrival_ns - NOW
        if number > 5:
            assert video.capture() == pytest.approx(audio.capture(), abs=MS)
            assert audio.capture() == pytest.approx(audio.arrival_ns - NOW, abs=MS)
    assert clock.distrusted == 0


def test_a_report_before_the_first_packet_counts() -> None:
    camera = Camera()
    camera.clock.reported(SenderReport(1, ntp(NOW), 1_000), NOW)
    camera.late_ns = 80 * MS
    camera.frame()
    assert camera.capture() == pytest.approx(0, abs=1_000)


@pytest.mark.parametrize("ntp_ns", [0, 946_684_800 * 10**9, -2_208_988_800 * 10**9, NOW + 100_000 * 10**9])
def test_a_time_that_cannot_be_is_counted_and_not_believed(ntp_ns: int) -> None:
    camera = Camera()
    for _ in range(5):
        camera.frame()
        camera.report(ntp_ns)
        assert camera.capture() == camera.arrival_ns - NOW
    assert camera.clock._camera.distrusted == 5


def test_ntp_zero() -> None:
    camera = Camera()
    camera.frame()
    camera.clock.reported(SenderReport(1, 0, 1_000), NOW)
    assert camera.capture() == 0
    assert camera.clock._camera.distrusted == 1


def test_a_timestamp_from_elsewhere_is_not_believed() -> None:
    camera = Camera()
    camera.frame()
    camera.report(raw=3_000_000_000)
    assert camera.capture() == 0
    assert camera.clock._camera.distrusted == 1


def test_one_report_that_jumps_is_not_believed() -> None:
    camera = Camera()
    for number in range(60):
        camera.frame()
        if number % 5 == 0:
            camera.report(camera.captured_ns + (2 * 10**9 if number == 30 else 0))
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=1_000)
    assert camera.clock._camera.distrusted == 1


def test_a_clock_that_jumps_about_is_not_believed() -> None:
    camera = Camera()
    for number in range(60):
        camera.frame()
        if number % 5 == 0:
            camera.report(camera.captured_ns + (number % 3 + 1) * (number > 0) * 2 * 10**9)
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=1_000)
    assert camera.clock._camera.distrusted == 11


def test_a_clock_that_was_wrong_is_not_taken_for_right_later() -> None:
    camera = Camera()
    for number in range(20):
        camera.clock_ns = -MAX_BEHIND_NS - (50 - 10 * number) * MS
        camera.frame()
        camera.report()
        assert camera.capture() == pytest.approx(camera.arrival_ns - NOW, abs=400 * MS)


def test_a_stall_of_the_network_does_not_make_a_report_nonsense() -> None:
    camera = Camera()
    for _ in range(50):
        camera.frame()
        camera.report()
        camera.capture()
    for number in range(375):
        camera.late_ns = (375 - number) * FRAME_NS
        camera.frame()
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)
    assert camera.clock._camera.distrusted == 0


def test_on_a_new_timeline_an_old_report_means_nothing() -> None:
    camera = Camera()
    camera.late_ns = 50 * MS
    camera.frame()
    camera.report()
    camera.start += 3_600 * RATE
    for _ in range(OUTLIERS):
        camera.frame()
    assert camera.capture() == pytest.approx(camera.arrival_ns - NOW, abs=MS)
    camera.report()
    assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)
    assert camera.clock._camera.distrusted == 0


def test_a_clock_that_jumped_and_stays_there_is_believed_again() -> None:
    camera = Camera()
    for number in range(25 * 60):
        camera.frame()
        if number == 200:
            camera.clock_ns = 3_600 * 10**9
        if number % 25 == 0:
            camera.report()
        assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=2_000)
    assert camera.clock._camera.distrusted == 3


def test_a_report_that_makes_pictures_old_is_forgotten() -> None:
    clock = CameraClock()
    video, audio = Camera(1_000, TrackClock(RATE, clock)), Camera(0, TrackClock(8_000, clock), rate=8_000)
    audio.clock_ns = -3_600 * 10**9
    for number in range(50):
        for track in (video, audio):
            track.frame()
            if number == 3:
                track.report()
            assert track.capture() == pytest.approx(track.captured_ns - NOW, abs=MS)
    assert clock.distrusted == 1


@pytest.mark.parametrize("track_is_wrong", ["picture", "sound"])
def test_a_time_that_is_always_wrong_for_one_track_holds_nothing_back(track_is_wrong: str) -> None:
    clock = CameraClock()
    video, audio = Camera(1_000, TrackClock(RATE, clock)), Camera(0, TrackClock(8_000, clock), rate=8_000)
    (video if track_is_wrong == "picture" else audio).clock_ns = -4 * 10**9
    for number in range(500):
        for track in (video, audio):
            track.frame()
            if number % 50 == 3:
                track.report()
            assert track.capture() == pytest.approx(track.captured_ns - NOW, abs=MS)
    assert clock.distrusted == 10


def test_after_another_source_its_own_reports_count() -> None:
    camera = Camera()
    camera.late_ns = 50 * MS
    camera.frame()
    camera.report()
    camera.frame()
    camera.clock.restart()
    camera.start = 6_000_000
    camera.frame()
    assert camera.capture() == pytest.approx(camera.arrival_ns - NOW, abs=1_000)
    camera.clock.restart()
    camera.start = 9_000_000
    camera.clock.reported(SenderReport(2, ntp(camera.captured_ns), camera.raw), camera.arrival_ns)
    camera.frame()
    assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=1_000)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 10**11), st.booleans()),
        max_size=60,
    )
)
def test_any_reports_leave_capture_before_arrival(events: list[tuple[int, int, int, bool]]) -> None:
    clock, now = TrackClock(RATE, CameraClock()), NOW
    for raw, time, step, near in events:
        now += step
        clock.reported(SenderReport(1, ntp(now - time % 10**10) if near else time, raw), now)
        assert clock.capture_ns(clock.stamp(raw, now), now) <= now


@pytest.mark.parametrize("rate", [25, 1_000, 8_000, 30_000, 1_000_000])
def test_sender_reports_of_a_scaled_clock_say_the_time_of_capture(rate: int) -> None:
    camera = Camera(7, TrackClock(rate, CameraClock(), RATE), rate=rate)
    for number in range(250):
        camera.late_ns = 30 * MS + number % 5 * MS
        camera.frame()
        if number % 50 == 0:
            camera.report()
    assert camera.capture() == pytest.approx(camera.captured_ns - NOW, abs=MS)
    assert camera.clock.repaired == 0
