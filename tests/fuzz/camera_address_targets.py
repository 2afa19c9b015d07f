"""Addresses of cameras, as people and cameras write them, and logins there."""

from __future__ import annotations

from ingest.rtsp.auth import Authenticator, Authorization, Challenge
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control
from tests.fuzz.target import Target, repeated

URL = RtspUrl.parse("rtsp://me:secret@camera.local:8554/live?stream=1")
AUTH_WORDS = (
    b"Digest ", b"Basic ", b'realm="', b'nonce="', b'qop="auth"', b"algorithm=SHA-256", b"-sess", b"stale=true",
    b'opaque="', b"response=", b"uri=", b"cnonce=", b"nc=00000001", b'\\"', b", ",
)  # fmt: skip
URL_WORDS = (b"rtsp://", b"rtsps://", b"@", b":", b"/", b"?", b"#", b"%40", b"[::1]", b"%25", b"user:pass@", b":554")


def text(data: bytes) -> str:
    """As headers reach what reads them: UTF-8, anything else kept as surrogates."""
    return data.decode("utf-8", "surrogateescape")


def resolve(data: bytes) -> None:
    first, _, second = text(data).partition("\n")
    base = resolve_base(URL, first, second)
    for url in (base, resolve_control(base, second), resolve_control(base, first)):
        str(url).encode("ascii")  # goes on the wire


def redirect(data: bytes) -> None:
    there = URL.redirected(text(data))
    str(there).encode("ascii")
    assert there.host.lower() == URL.host or not there.password, "credentials go to the same host only"


def answer_challenge(data: bytes) -> None:
    authenticator = Authenticator("user", "password")
    for values in text(data).split("\n\n"):
        if not authenticator.challenged(values.split("\n")):
            break
        authenticator.header("DESCRIBE", "rtsp://camera/live")
        authenticator.accepted()


def verify_authorization(data: bytes) -> None:
    given = Authorization.parse(text(data))
    for challenge in (Challenge("Digest", "r", "n", "MD5", ("auth",)), Challenge("Basic", "r")):
        assert not given.verify(challenge, "DESCRIBE", "user", "a password that no input can know")


TARGETS = [
    Target(
        "rtsp-url",
        "a camera's URL, from a person or the API",
        lambda data: str(RtspUrl.parse(text(data))),
        (b"rtsp://user:pass@10.0.0.2:554/live?a=b#c", b"rtsps://[::1]:322/", b"rtsp://us%C3%A9r:p%40@h\xc3\xb6st/a"),
        (ValueError,),
        URL_WORDS,
        {
            "at signs": repeated(b"@", b"rtsp://"),
            "colons": repeated(b":", b"rtsp://"),
            "slashes": repeated(b"/", b"rtsp://"),
            "labels": repeated(b"a.", b"rtsp://"),
            "foreign letters": repeated("ö".encode(), b"rtsp://"),
            "percent": repeated(b"%41", b"rtsp://", b"@host/"),
            "questions": repeated(b"?@", b"rtsp://"),
        },
    ),
    Target(
        "rtsp-resolve",
        "Content-Base and a=control, from a camera",
        resolve,
        (b"rtsp://10.0.0.2/live/\ntrackID=1", b"192.168.1.2:554/live/\nrtsp://rtsp://x/y", b"/live\n?track=1"),
        words=URL_WORDS,
        grow={
            "schemes": repeated(b"rtsp://"),
            "colons": repeated(b":"),
            "slashes": repeated(b"/"),
            "dots": repeated(b"a."),
            "quotes": repeated(b'"'),
            "bracket": repeated(b"a", b"["),
            "surrogates": repeated(b"\xff", b"/"),
        },
        bound=16_384,
    ),
    Target(
        "rtsp-redirect",
        "the Location of a redirect, from a camera",
        redirect,
        (b"rtsp://camera.local/other", b"/other?a", b"rtsp://user:pass@elsewhere:8554/x", b"rtsps://camera.local/"),
        (ValueError,),
        URL_WORDS,
        {
            "at signs": repeated(b"@", b"rtsp://"),
            "path": repeated(b"\xff", b"/"),
            "blanks": repeated(b" ", b"rtsp://a/"),
            "labels": repeated("ö.".encode(), b"rtsp://"),
        },
        bound=16_384,
    ),
    Target(
        "auth-challenge",
        "WWW-Authenticate, from a camera",
        answer_challenge,
        (
            b'Digest realm="r", nonce="n", qop="auth", opaque="o", algorithm=SHA-256\nBasic realm="r"',
            b'Digest realm="a \\" b", nonce="1"\n\nDigest realm="a", nonce="2", stale=TRUE\n\nBasic realm=x',
            b"Negotiate abc, Digest nonce=x",
        ),
        (),
        AUTH_WORDS,
        {
            "schemes": repeated(b"Digest "),
            "commas": repeated(b","),
            "blanks": repeated(b" ", b"Digest a=b"),
            "parameters": repeated(b"a%d=b,", b"Digest "),
            "open quote": repeated(b"\\", b'Digest realm="'),
            "quotes": repeated(b'a="', b"Digest "),
            "letters": repeated(b"a"),
            "equals": repeated(b"a =", b"Digest "),
            "qop": repeated(b"auth,", b'Digest nonce="n", qop="', b'"'),
        },
        bound=16_384,
    ),
    Target(
        "auth-response",
        "Authorization, from a client of the simulated camera",
        verify_authorization,
        (
            b'Digest username="u", realm="r", nonce="n", uri="rtsp://a", response="0", qop=auth, nc=00000001, cnonce=x',
            b"Basic dXNlcjpwYXNz",
        ),
        (),
        AUTH_WORDS,
        {
            "parameters": repeated(b"a%d=b,", b"Digest "),
            "open quote": repeated(b"\\", b'Digest realm="'),
            "blanks": repeated(b" ", b"Digest a=b"),
            "letters": repeated(b"a", b"Digest "),
            "token": repeated(b"AAAA", b"Basic "),
        },
        bound=16_384,
    ),
]
