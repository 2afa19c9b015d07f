"""The fate of viewers: each step is counted, measured and told once, whenever it is seen."""

from __future__ import annotations

from typing import Any

import pytest

from common.histogram import cumulative
from common.log import Quiet
from common.media import Kind
from common.sessions import public_name
from egress.journal import Journal
from tests.fakes.log import Recorder
from tests.fakes.session import Session

OFFERED = ["192.0.2.9:8189", "[2001:db8::9]:8189", "192.0.2.9:8189 tcp"]


class Diary:
    """A journal that is kept of one session."""

    def __init__(self, session: Session) -> None:
        self.log = Recorder()
        self.session = session
        self.journal = Journal(Quiet(self.log))
        self.journal.begin(session.viewer)

    @property
    def counters(self) -> dict[str, int]:
        """Those that are not zero, while the viewer is there."""
        viewers = [self.session.viewer]
        found = self.journal.counters(viewers, [viewer.report(self.session.now) for viewer in viewers])
        return {name: count for name, count in found.items() if count}

    def look(self) -> None:
        self.journal.look(self.session.viewer)

    def end(self, reason: str = "hung up") -> None:
        self.journal.end(self.session.viewer, reason, OFFERED, self.session.now)

    def line(self, event: str) -> dict[str, Any]:
        (fields,) = self.log.of(event)
        assert fields.pop("session") == public_name("s1"), "the secret name is a right"
        assert fields.pop("camera") == "front-door"
        return fields


def bucket(measured: Any) -> list[str]:
    """The bounds of those buckets in which something is."""
    before, found = 0, []
    for bound, count in cumulative(measured):
        if count > before:
            found.append(bound)
        before = count
    return found


def test_a_viewer_joins_sees_a_picture_and_leaves() -> None:
    session = Session(connect=False)
    diary = Diary(session)
    diary.look()
    assert diary.counters == {"viewers_answered": 1}
    diary.line("viewer answered")

    session.now = 0.2
    session.nominate()
    session.browser.start_dtls()
    session.exchange()
    session.now = 0.9  # it is seen only at the next sweep
    diary.look()
    diary.look()
    joined = diary.line("viewer joined")
    assert joined == {
        "remote": "192.0.2.1:5000",
        "way": "udp4",
        "srtp": "SRTP_AEAD_AES_128_GCM",
        "seconds": 0.2,
    }
    connect, picture = diary.journal.measured
    assert bucket(connect) == ["0.25"]
    assert bucket(picture) == []

    session.now = 1.4
    session.play(20)
    session.now = 2.0
    diary.look()
    _, picture = diary.journal.measured
    assert bucket(picture) == ["2.5"]
    assert picture.total == pytest.approx(1.4)
    before = diary.counters
    assert before["sent_packets"] == session.viewer.report(session.now).packets > 20

    diary.end()
    left = diary.line("viewer left")
    assert (left["reason"], left["seconds"], left["first_picture"]) == ("hung up", 2.0, 1.4)
    assert (left["video"], left["sent_packets"], left["lost"]) == ("H264", before["sent_packets"], 0)
    after = diary.journal.counters([], [])
    assert {name: count for name, count in after.items() if count} == before | {"viewers_left": 1}


def test_a_viewer_that_leaves_before_it_is_looked_at_has_joined_all_the_same() -> None:
    diary = Diary(Session())
    diary.end()
    diary.line("viewer joined")
    assert diary.line("viewer left")["first_picture"] is None
    assert diary.journal.counters([], [])["viewers_joined"] == 1


def test_the_cached_picture_counts_when_all_of_it_was_sent() -> None:
    session = Session(connect=False)
    session.play(3)
    session.nominate()
    session.browser.start_dtls()
    session.exchange()
    diary = Diary(session)
    diary.look()
    assert session.viewer.pictured_at is None, "it is behind, and nothing has gone"
    session.now = 0.3
    for sender in session.behind:
        sender.catch_up(session.now)
    diary.look()
    _, picture = diary.journal.measured
    assert picture.total == pytest.approx(0.3)


def test_sound_alone_is_no_picture() -> None:
    session = Session(kinds=(Kind.AUDIO,))
    diary = Diary(session)
    session.play(5)
    diary.look()
    _, picture = diary.journal.measured
    assert bucket(picture) == []


def test_nothing_came_of_a_viewer_that_was_never_heard_of() -> None:
    diary = Diary(Session(connect=False))
    diary.end("ICE never connected")
    never = diary.line("viewer never connected")
    assert never["reason"] == "ICE never connected"
    assert never["offered"] == OFFERED
    assert never["tried_from"].startswith("nowhere")
    assert diary.journal.counters([], [])["viewers_never_joined"] == 1
    assert not diary.log.of("viewer left")


def test_what_was_tried_is_told_of_a_viewer_that_came_halfway() -> None:
    session = Session(connect=False)
    session.nominate(answers=False)
    diary = Diary(session)
    diary.end("no address of the viewer answered")
    never = diary.line("viewer never connected")
    assert (never["tried_from"], never["answered_at"], never["handshake"]) == (["192.0.2.1:5000"], [], "none came")

    session = Session(connect=False)
    session.nominate()
    diary = Diary(session)
    diary.end("DTLS never connected")
    assert diary.line("viewer never connected")["answered_at"] == ["192.0.2.1:5000"]


def test_the_times_of_viewers_that_are_told_of_elsewhere_count_as_well() -> None:
    journal = Journal(Quiet(Recorder()))
    journal.measure(connect=0.1)
    journal.measure(first_picture=0.2)
    assert [(sum(measured.counts), measured.total) for measured in journal.measured] == [(1, 0.1), (1, 0.2)]
