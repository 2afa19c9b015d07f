"""A conversion that fails says at which it does, and takes that back when it goes well."""

from __future__ import annotations

import pytest

from common.media import Kind, Track
from transcode.success import JUDGED, Success

JPEG, AAC = Track(Kind.VIDEO, "JPEG", 90_000), Track(Kind.AUDIO, "AAC", 16_000)


def test_nothing_is_said_before_enough_has_come() -> None:
    success = Success(JPEG)
    success.hear(JUDGED - 1, JUDGED - 1)
    assert success.problem is None


def test_what_mostly_fails_is_named_and_what_mends_itself_is_not() -> None:
    success, said = Success(JPEG), []
    for units, undecodable in ((25, 25), (50, 45), (75, 46), (99, 70), (100, 71)):
        success.hear(units, undecodable)
        said.append(bool(success.problem))
    assert said == [True, True, False, False, True]


@pytest.mark.parametrize(
    ("track", "words"),
    [
        (JPEG, "its picture cannot be decoded as Motion JPEG"),
        (AAC, "set the camera's sound to G.711"),
        (Track(Kind.VIDEO, "H265", 90_000, width=12_000, height=4_320), "12000 by 4320 pixels is larger"),
    ],
)
def test_it_says_what_and_how_to_mend_it(track: Track, words: str) -> None:
    success = Success(track)
    success.hear(JUDGED, JUDGED)
    assert words in (success.problem or "")
