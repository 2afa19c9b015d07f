"""Cameras, whose URLs are never shown with their passwords."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CAMERA_ID, CameraSpec, CameraState, redact
from tests.fakes.cost import assert_linear

PASSWORDS = [
    "secret",
    "p@ss",
    "p:w",
    "p#w",
    "p/w",
    "p?w",
    "p%40w",
    'p"w',
    "p'w",
    "p<w>",
    "p,w;",
    "pässwort",
    "://",
    "***",
]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "RTSP", "http"])
def test_redact_hides_user_and_password(password: str, scheme: str) -> None:
    shown = redact(f"cannot open {scheme}://admin:{password}@camera.local:554/stream?x=1 just now")
    assert shown == f"cannot open {scheme}://***@camera.local:554/stream?x=1 just now"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "passwd",
        "passw",
        "loginpas",
        "pwd",
        "psw",
        "pw",
        "p",
        "client_secret",
        "access-token",
        "token2",
        "auth",
        "authbasic",
        "key",
        "api_key",
        "streamKey",
    ],
)
@pytest.mark.parametrize("secret", ["hunter2", "aHVudGVy/Mg==", "***"])
def test_redact_hides_secrets_by_the_name_of_their_parameter(name: str, secret: str) -> None:
    for before in ("?", "?user=admin&", "user=admin_", "user=admin&"):
        shown = redact(f"open rtsp://camera/{before}{name}={secret}&channel=1&subtype=0 now")
        assert shown == f"open rtsp://camera/{before}{name}=***&channel=1&subtype=0 now"


@pytest.mark.parametrize(
    "name",
    ["channel", "subtype", "stream", "profile", "unicast", "proto", "step", "user", "fps", "compass", "keyframes"],
)
def test_redact_leaves_other_parameters_alone(name: str) -> None:
    assert redact(f"rtsp://camera/live?{name}=1") == f"rtsp://camera/live?{name}=1"


@pytest.mark.parametrize(
    "piece", ["://", "://a@ ", "://@", "turn:", "key", "p=", "keyp=&", "pas-", "=pas", "@ ", "x", "key" * 20 + "="]
)
def test_redact_takes_time_in_proportion_to_the_text(piece: str) -> None:
    assert_linear(redact, piece)
    assert_linear(redact, piece, end="\n")


def test_redact_handles_several_urls_in_one_text() -> None:
    assert redact("rtsp://a:b@one/ and rtsp://c:d@two/") == "rtsp://***@one/ and rtsp://***@two/"


def test_redact_leaves_text_without_credentials_alone() -> None:
    text = "rtsp://camera/stream, mail me@example.org"
    assert redact(text) == text


@given(st.text(string.printable.replace("@", "").translate({ord(c): None for c in string.whitespace}), min_size=3))
def test_redact_hides_any_password_without_white_space(password: str) -> None:
    assert redact(f"rtsp://user:{password}@host/") == "rtsp://***@host/"


@pytest.mark.parametrize("name", ["a", "front-door", "1", "A.b_c-d", "x" * 64])
def test_camera_id_accepts(name: str) -> None:
    assert CAMERA_ID.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-a", ".a", "a b", "a/b", "a@b", "a\0", "ä", "x" * 65, "a\n"])
def test_camera_id_refuses(name: str) -> None:
    assert not CAMERA_ID.fullmatch(name)


@pytest.mark.parametrize("state", CameraState)
def test_every_state_has_its_sentence(state: CameraState) -> None:
    assert state.sentence.endswith(".")
    assert len({other.sentence for other in CameraState}) == len(CameraState)


def test_only_errors_count_as_failed() -> None:
    healthy = {CameraState.IDLE, CameraState.WAITING, CameraState.CONNECTING, CameraState.PLAYING}
    assert {state for state in CameraState if not state.failed} == healthy


def test_repr_of_a_spec_holds_no_password() -> None:
    assert "secret" not in repr(CameraSpec("front", "rtsp://admin:secret@camera/"))
