"""``RTP-Info``: by what a track's packets are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtsp.rtp_info import Announced, of_track, parse

REOLINK = "url=trackID=1;seq=16852;rtptime=1070938629;ssrc=dcc4a0d8,url=trackID=2;seq=39409;rtptime=3;ssrc=9fc9fff8"


@pytest.mark.parametrize(
    ("header", "entries"),
    [
        (REOLINK, [Announced("trackID=1", 16_852, 0xDCC4A0D8), Announced("trackID=2", 39_409, 0x9FC9FFF8)]),
        ("url=rtsp://h/a,b/trackID=0;seq=0;rtptime=0;", [Announced("rtsp://h/a,b/trackID=0", None, None)]),
        ("url=rtsp://h/1; Seq = 7 ;ssrc=  D93FF", [Announced("rtsp://h/1", 7, 0xD93FF)]),
        ("url=x;seq=70000;ssrc=123456789", [Announced("x", None, None)]),
        ("seq=5", []),
        ("", []),
        (None, []),
    ],
)
def test_entries(header: str | None, entries: list[Announced]) -> None:
    assert list(parse(header)) == entries


@pytest.mark.parametrize(
    ("control", "index", "found"),
    [
        ("trackID=2", 0, 1),
        ("rtsp://h/live/trackID=1", 1, 0),
        ("video", 1, 1),  # which none is called: then their order counts
        (None, 0, 0),
    ],
)
def test_the_entry_of_a_track_is_found_by_its_name_or_its_place(control: str | None, index: int, found: int) -> None:
    entries = parse(REOLINK)
    assert of_track(entries, control, index, 2) == entries[found]


def test_without_a_name_and_with_another_number_of_entries_there_is_none() -> None:
    assert of_track(parse(REOLINK), "video", 0, 1) is None


@given(st.text(max_size=200), st.text(max_size=20))
def test_any_text(header: str, control: str) -> None:
    of_track(parse(header), control, 0, len(parse(header)))
