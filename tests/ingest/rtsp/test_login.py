"""Sessions with cameras that ask for a password, and with those that refuse it."""

from __future__ import annotations

import pytest

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.message import Response
from ingest.rtsp.session import (
    SessionState,
)
from tests.fakes.talk import URL, Talk, unauthorized


@pytest.mark.parametrize("method", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_challenge_at_any_point(method: str) -> None:
    challenge = Challenge.digest("cam", algorithm="SHA-256")
    talk = Talk()
    talk.answers[method] = [unauthorized('Basic realm="cam"', str(challenge))]
    talk.until(SessionState.PLAYING)
    first = next(i for i, request in enumerate(talk.sent) if request.method == method)
    assert talk.sent[first].headers.get("Authorization") is None
    for request in talk.sent[first + 1 :]:
        given = Authorization.parse(request.headers.get("Authorization") or "")
        assert given.verify(challenge, request.method, "admin", "secret")
    assert talk.sent[first + 1].headers.get("Transport") == talk.sent[first].headers.get("Transport")
    assert talk.sent[first + 1].headers.get("CSeq") != talk.sent[first].headers.get("CSeq")


def test_wrong_password_is_final() -> None:
    talk = Talk().until(SessionState.DESCRIBE)
    talk.answer(unauthorized('Digest realm="cam", nonce="a"'))
    with pytest.raises(CameraError) as caught:
        talk.answer(unauthorized('Digest realm="cam", nonce="b"'))
    assert caught.value.state is CameraState.UNAUTHORIZED
    assert sum("Authorization" in request.headers for request in talk.sent) == 1


@pytest.mark.parametrize(
    ("url", "challenges", "words"),
    [
        ("rtsp://camera/live", ['Basic realm="cam"'], "its URL has none; add them"),
        (URL, ["Negotiate", "Kerberos x=1"], r"not supported \(Negotiate, Kerberos\)"),
        (URL, [], "does not say how"),
        (URL, ['Digest realm="r", nonce="n", qop="auth-x"'], r"\(Digest qop=.auth-x.\)"),
        (URL, ['Digest realm="r", nonce="n", algorithm=MD4'], "algorithm=MD4.*set the camera's RTSP authentication"),
    ],
)
def test_why_it_is_unauthorized(url: str, challenges: list[str], words: str) -> None:
    talk = Talk(url).until(SessionState.DESCRIBE)
    with pytest.raises(CameraError, match=words) as caught:
        talk.answer(unauthorized(*challenges))
    assert caught.value.state is CameraState.UNAUTHORIZED


def test_new_nonce_in_mid_session() -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [unauthorized('Digest realm="cam", nonce="a"')]
    talk.until(SessionState.PLAYING)
    for nonce in "bcd":
        talk.do(talk.session.tick(talk.now + 1_000))
        talk.answer(unauthorized(f'Digest realm="cam", nonce="{nonce}", stale=true'))
        assert f'nonce="{nonce}"' in (talk.last.headers.get("Authorization") or "")
        talk.answer(Response(200))
    count = len(talk.sent)
    talk.do(talk.session.tick(talk.now + 2_000))
    talk.answer(unauthorized('Digest realm="cam", nonce="e"'), unauthorized('Digest realm="cam", nonce="f"'))
    assert len(talk.sent) == count + 2  # once, and then it is left alone: the media decides
    assert talk.session.state is SessionState.PLAYING


def test_a_password_that_digest_refuses_where_basic_is_offered_too() -> None:
    both = unauthorized('Digest realm="cam", nonce="a"', 'Basic realm="cam"')
    talk = Talk()
    talk.answers["DESCRIBE"] = [both, both]
    with pytest.raises(CameraError, match="Digest was refused, and the camera offers Basic too") as caught:
        talk.until(SessionState.PLAYING)
    assert caught.value.state is CameraState.UNAUTHORIZED


def test_new_nonce_for_the_goodbye() -> None:
    talk = Talk()
    talk.answers["DESCRIBE"] = [unauthorized('Digest realm="cam", nonce="a"')]
    talk.until(SessionState.PLAYING)
    talk.do(talk.session.stop(talk.now))
    talk.answer(unauthorized('Digest realm="cam", nonce="b", stale=true'))
    assert (talk.last.method, talk.session.state) == ("TEARDOWN", SessionState.TEARDOWN)
    assert 'nonce="b"' in (talk.last.headers.get("Authorization") or "")
    count = len(talk.sent)
    talk.answer(unauthorized('Digest realm="cam", nonce="c", stale=true'))
    assert (len(talk.sent), talk.session.state) == (count, SessionState.CLOSED)
