"""A camera's keepalive is learnt from the sessions that ended."""

from __future__ import annotations

from ingest.rtsp.keepalive import AFTERMATH, Keepalive

BOTH = frozenset({"GET_PARAMETER", "SET_PARAMETER"})
TIMEOUT = 60.0
INTERVAL = 27.0


def session(keepalive: Keepalive, *, asked: int, ends_after: float | None, public: frozenset[str] = BOTH) -> str:
    """A session in which so many keepalives were sent, and that broke so long after the last; the method it used."""
    keepalive.begin(public, 0.0)
    for number in range(1, asked + 1):
        keepalive.sent(number * INTERVAL)
    method = keepalive.method
    if ends_after is not None:
        keepalive.ended(asked * INTERVAL + ends_after, TIMEOUT)
    return method


def test_a_request_that_a_session_ended_of_is_not_used_again() -> None:
    keepalive = Keepalive()
    used = [session(keepalive, asked=1, ends_after=0.1) for _ in range(5)]
    assert used == ["GET_PARAMETER", "OPTIONS", "SET_PARAMETER", "", "GET_PARAMETER"]


def test_only_what_the_camera_understands_is_asked_and_get_parameter_in_the_end() -> None:
    keepalive = Keepalive()
    used = [session(keepalive, asked=1, ends_after=0.1, public=frozenset()) for _ in range(4)]
    assert used == ["OPTIONS", "GET_PARAMETER", "", "OPTIONS"]


def test_silence_after_a_request_counts_as_well_and_a_later_end_does_not() -> None:
    keepalive = Keepalive()
    session(keepalive, asked=1, ends_after=AFTERMATH + 1)
    assert session(keepalive, asked=1, ends_after=AFTERMATH - 1) == "GET_PARAMETER"
    assert session(keepalive, asked=1, ends_after=None) == "OPTIONS"


def test_an_end_before_any_request_says_nothing() -> None:
    keepalive = Keepalive()
    session(keepalive, asked=0, ends_after=1)
    assert keepalive.method == "GET_PARAMETER"


def test_a_request_that_was_good_before_needs_two_such_ends() -> None:
    keepalive = Keepalive()
    assert session(keepalive, asked=3, ends_after=0.1) == "GET_PARAMETER"
    assert session(keepalive, asked=1, ends_after=0.1) == "GET_PARAMETER"
    assert session(keepalive, asked=1, ends_after=None) == "OPTIONS"


def test_a_session_that_ends_at_its_timeout_was_not_kept_alive() -> None:
    keepalive = Keepalive()
    for _ in range(2):  # two were sent in 60 s, so that the first seemed to be good
        assert session(keepalive, asked=2, ends_after=TIMEOUT - 2 * INTERVAL + 1) == "GET_PARAMETER"
    assert session(keepalive, asked=1, ends_after=None) == "OPTIONS"


def test_a_refused_request_is_not_asked_again_in_that_session() -> None:
    keepalive = Keepalive()
    keepalive.begin(BOTH, 0.0)
    keepalive.refused("GET_PARAMETER")
    keepalive.refused("OPTIONS")
    assert keepalive.method == "OPTIONS"
    keepalive.begin(BOTH, 0.0)
    assert keepalive.method == "GET_PARAMETER"


def test_a_session_ends_of_what_was_asked_and_not_of_what_would_be_asked_next() -> None:
    keepalive = Keepalive()
    keepalive.begin(BOTH, 0.0)
    keepalive.sent(INTERVAL)
    keepalive.refused("GET_PARAMETER")
    keepalive.ended(INTERVAL + 1, TIMEOUT)
    keepalive.begin(BOTH, 0.0)
    assert keepalive.method == "OPTIONS"
