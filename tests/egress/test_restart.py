"""ICE restarts as an egress carries them out, and our side of them as fragments."""

from __future__ import annotations

import re

import pytest

from common.control import RestartIce
from common.errors import RequestError
from common.sessions import ice_mark
from egress.answer import TransportDescription
from egress.media.stream import Stream
from egress.restart import restart
from egress.viewer import Viewer
from egress.wire.ice import RESTART_BURST
from rigs.browser import UFRAG, Browser
from tests.fakes.session import viewer_of

PASSWORD = "another password of theirs"


@pytest.fixture
def viewer() -> Viewer:
    return viewer_of(Browser().offer(), Stream("front-door", lambda: None))


def describe(viewer: Viewer) -> TransportDescription:
    agent = viewer.reach.agent
    return TransportDescription(
        agent.ufrag, agent.password, "sha-256 AB", (("192.0.2.1", 8189),), (("192.0.2.1", 443),)
    )


def asked(ufrag: str) -> RestartIce:
    return RestartIce("q1", "s1", ufrag, PASSWORD)


def test_our_side_has_new_credentials_and_all_candidates(viewer: Viewer) -> None:
    before = viewer.reach.agent.ufrag
    fragment = restart(viewer, asked("newer"), describe, 0.0)
    agent = viewer.reach.agent
    assert agent.ufrag != before
    assert fragment.splitlines() == [
        "a=ice-lite",
        f"a=ice-ufrag:{agent.ufrag}",
        f"a=ice-pwd:{agent.password}",
        "m=video 9 UDP/TLS/RTP/SAVPF 0",
        "a=mid:0",
        *re.findall("a=candidate:.* typ host(?: tcptype passive)?", fragment),
        "a=end-of-candidates",
    ]
    assert len(re.findall("a=candidate:.* typ host", fragment)) == 2
    assert fragment.endswith("\r\n")
    assert agent.remote == ("newer", PASSWORD.encode())
    assert viewer.report(0.0).ice == ice_mark("s1", "newer")


def test_one_whose_answer_was_lost_gets_the_same_again(viewer: Viewer) -> None:
    fragment = restart(viewer, asked("newer"), describe, 0.0)
    assert restart(viewer, asked("newer"), describe, 0.0) == fragment
    assert viewer.report(0.0).restarts == 1


def test_what_comes_late_brings_no_former_session_back(viewer: Viewer) -> None:
    restart(viewer, asked("newer"), describe, 0.0)
    restart(viewer, asked("newest"), describe, 0.0)
    now = viewer.reach.agent.current
    for ufrag in ("newer", UFRAG):
        with pytest.raises(RequestError) as caught:
            restart(viewer, asked(ufrag), describe, 0.0)
        assert (caught.value.status, caught.value.code) == (412, "ice_restarted")
    assert viewer.reach.agent.current is now


def test_who_restarts_without_end_is_told_to_wait(viewer: Viewer) -> None:
    for number in range(RESTART_BURST):
        restart(viewer, asked(f"newer{number}"), describe, 0.0)
    with pytest.raises(RequestError) as caught:
        restart(viewer, asked("more"), describe, 0.0)
    assert (caught.value.status, caught.value.code) == (429, "ice_restart_rate")


def test_there_has_to_be_a_viewer() -> None:
    with pytest.raises(RequestError, match="no such session"):
        restart(None, asked("newer"), describe, 0.0)
