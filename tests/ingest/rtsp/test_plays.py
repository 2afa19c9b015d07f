"""The ways of asking for PLAY, in order."""

from __future__ import annotations

import pytest

from ingest.rtsp.plays import PlayRequest, Plays
from ingest.rtsp.url import RtspUrl

TYPED = RtspUrl.parse("rtsp://camera/live")
BASE, PICTURE, SOUND = (TYPED.with_target(target) for target in ("/base/", "/base/trackID=1", "/base/trackID=2"))


def asked(plays: Plays, status: int) -> list[PlayRequest]:
    """All that is asked of a camera which refuses everything."""
    ways = [plays.now]
    while (way := plays.refused(status)) is not None:
        ways.append(way)
    return ways


@pytest.mark.parametrize("status", [400, 404, 454, 455, 457, 500])
def test_the_whole_is_asked_for_in_every_way_and_then_its_only_track(status: int) -> None:
    ways = [PlayRequest(BASE, True), PlayRequest(BASE, False), PlayRequest(TYPED, True), PlayRequest(PICTURE, True)]
    assert asked(Plays(BASE, TYPED, [PICTURE]), status) == ways


def test_what_is_the_same_is_asked_once() -> None:
    assert asked(Plays(TYPED, TYPED, [TYPED]), 404) == [PlayRequest(TYPED, True), PlayRequest(TYPED, False)]


@pytest.mark.parametrize("status", [401, 403, 453, 503])
def test_what_no_other_url_helps_is_asked_once(status: int) -> None:
    assert asked(Plays(BASE, TYPED, [PICTURE]), status) == [PlayRequest(BASE, True)]


def test_tracks_that_play_one_by_one_are_all_asked_for() -> None:
    plays = Plays(BASE, TYPED, [PICTURE, SOUND])
    assert plays.refused(459) == PlayRequest(PICTURE, True)
    assert plays.one_by_one
    assert plays.granted() == PlayRequest(SOUND, True)
    assert plays.granted() is None


def test_one_track_is_enough() -> None:
    plays = Plays(BASE, TYPED, [PICTURE, SOUND])
    plays.refused(459)
    plays.granted()
    assert plays.refused(404) is None
    assert plays.begun


def test_the_first_track_is_the_one_that_counts_last() -> None:
    plays = Plays(BASE, TYPED, [PICTURE, SOUND])
    assert asked(plays, 460)[-1] == PlayRequest(PICTURE, True)
    assert not plays.begun
