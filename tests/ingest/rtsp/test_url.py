"""RTSP URLs as people write them and cameras answer them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control

HERE = RtspUrl.parse("rtsp://me:secret@camera.local:8554/live?stream=1")


@pytest.mark.parametrize(
    ("text", "user", "password"),
    [
        ("rtsp://camera/live", None, ""),
        ("rtsp://admin@camera/live", "admin", ""),
        ("rtsp://admin:@camera/live", "admin", ""),
        ("rtsp://admin:pass@camera/live", "admin", "pass"),
        ("rtsp://admin:p%40ss%3A%23%3F%2F@camera/live", "admin", "p@ss:#?/"),
        ("rtsp://admin:p@ss:#?w@camera/live", "admin", "p@ss:#?w"),
        ("rtsp://admin:12?3@camera/live", "admin", "12?3"),
        ("rtsp://admin:#1@camera/live", "admin", "#1"),
        ("rtsp://admin:pa/ss@camera/live", "admin", "pa/ss"),
        ("rtsp://admin:50%@camera/live", "admin", "50%"),
        ("rtsp://us%C3%A9r:p%C3%A4ss@camera/live", "usér", "päss"),
        ("RTSP://admin:pass@camera/live", "admin", "pass"),
    ],
)
def test_credentials(text: str, user: str | None, password: str) -> None:
    url = RtspUrl.parse(text)
    assert (url.username, url.password) == (user, password)
    assert (url.host, url.port, url.target) == ("camera", 554, "/live")
    assert str(url) == "rtsp://camera/live"


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "wire"),
    [
        ("rtsp://camera", "camera", 554, "", "rtsp://camera"),
        ("rtsp://camera:554/", "camera", 554, "/", "rtsp://camera/"),
        ("rtsp://camera:/x", "camera", 554, "/x", "rtsp://camera/x"),
        ("rtsps://camera/x", "camera", 322, "/x", "rtsps://camera/x"),
        ("rtsps://camera:7441/x?y", "camera", 7441, "/x?y", "rtsps://camera:7441/x?y"),
        ("rtsp://camera?x=1", "camera", 554, "?x=1", "rtsp://camera?x=1"),
        (
            "rtsp://camera/a?user=b@c&pass=d:e",
            "camera",
            554,
            "/a?user=b@c&pass=d:e",
            "rtsp://camera/a?user=b@c&pass=d:e",
        ),
        ("rtsp://[2001:db8::1]:8554/x", "2001:db8::1", 8554, "/x", "rtsp://[2001:db8::1]:8554/x"),
        ("rtsp://[fe80::1%eth0]/x", "fe80::1%eth0", 554, "/x", "rtsp://[fe80::1%eth0]/x"),
        ("rtsp://[fe80::1%25eth0]:8554/x", "fe80::1%eth0", 8554, "/x", "rtsp://[fe80::1%eth0]:8554/x"),
        ("rtsp://camera/a b/ü#part", "camera", 554, "/a%20b/%C3%BC", "rtsp://camera/a%20b/%C3%BC"),
        ("rtsp://küche.local/x", "xn--kche-0ra.local", 554, "/x", "rtsp://xn--kche-0ra.local/x"),
        ("rtsp://camera/%2Fx", "camera", 554, "/%2Fx", "rtsp://camera/%2Fx"),
    ],
)
def test_address(text: str, host: str, port: int, target: str, wire: str) -> None:
    url = RtspUrl.parse(text)
    assert (url.host, url.port, url.target, str(url)) == (host, port, target, wire)
    assert RtspUrl.parse(wire) == url


@pytest.mark.parametrize(
    "text",
    ["", "http://camera/", "camera/live", "rtsp://", "rtsp:///live", "rtsp://camera:99999/", "rtsp://camera:0/",
     "rtsp://u:secret@/live", "rtsp://u:secret@[::1/live", "rtsp://ca mera/"],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match="the URL") as caught:
        RtspUrl.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["rtsp://joe:s3c#ret@PW/x@127.0.0.1:8654/test", "rtsp://u:PW@camera/x@y"])
def test_where_the_password_may_end_at_two_places_nothing_is_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="%40") as caught:
        RtspUrl.parse(text)
    assert "PW" not in str(caught.value)


@given(st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_any_encoded_credentials(user: str, password: str) -> None:
    url = RtspUrl.parse(f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}@camera:1/x")
    assert (url.username, url.password, url.host) == (user, password, "camera")
    assert str(url) == "rtsp://camera:1/x"


@given(st.text(max_size=100))
def test_anything_parses_or_is_a_value_error(text: str) -> None:
    try:
        url = RtspUrl.parse("rtsp://" + text)
    except ValueError:
        return
    assert str(url).isascii()
    assert not any(c.isspace() for c in url.target)


def test_password_is_in_no_repr() -> None:
    assert "secret" not in repr(HERE) + str(HERE)


@pytest.mark.parametrize(
    ("base", "control", "expected"),
    [
        ("/live", None, "/live"),
        ("/live", "", "/live"),
        ("/live", "*", "/live"),
        ("/live", "trackID=1", "/live/trackID=1"),
        ("/live/", "trackID=1", "/live/trackID=1"),
        ("", "trackID=1", "/trackID=1"),
        ("/live", "/trackID=1", "/live/trackID=1"),
        ("/live/", "/trackID=1", "/live/trackID=1"),
        ("/live", "?ctype=video", "/live?ctype=video"),
        ("/live?a=b", "trackID=1", "/live?a=b/trackID=1"),
        ("/live?a=b/", "trackID=1", "/live?a=b/trackID=1"),
        ("/live", "rtsp://10.0.0.1:554/live/track1?x=y", "/live/track1?x=y"),
        ("/live", "rtsp://other:pass@10.0.0.1/live/1", "/live/1"),
        ("/live", "RTSP://fe80::1:2/live/1", "/live/1"),
        ("/live", "rtsp://10.0.0.1", ""),
        ("/live", "track 1", "/live/track%201"),
    ],
)
def test_control(base: str, control: str | None, expected: str) -> None:
    url = resolve_control(HERE.with_target(base), control)
    assert url.target == expected
    assert (url.host, url.port, url.username, url.password) == ("camera.local", 8554, "me", "secret")


@pytest.mark.parametrize(
    ("content_base", "session_control", "expected"),
    [
        (None, None, "/live?stream=1"),
        ("", "*", "/live?stream=1"),
        ("rtsp://10.0.0.1:554/live/", None, "/live/"),
        (" rtsp://10.0.0.1/live/ ", None, "/live/"),
        ("rtsp://rtsp://10.0.0.1/live/", None, "/live/"),
        ("rtsp://fe80::1/live/", None, "/live/"),
        ("rtsp://2001:db8::1:554/live/", None, "/live/"),
        ("10.0.0.1:554/live/", None, "/live/"),
        ("10.0.0.1/live/", None, "/live/"),
        ("/live/", None, "/live/"),
        ("sub/", None, "/live?stream=1/sub/"),
        ("rtsp://10.0.0.1/live/", "rtsp://10.0.0.1/all", "/all"),
        ("rtsp://10.0.0.1/live/", "*", "/live/"),
        ("rtsp://10.0.0.1/live/", "track1", "/live/"),
    ],
)
def test_base(content_base: str | None, session_control: str | None, expected: str) -> None:
    url = resolve_base(HERE, content_base, session_control)
    assert url.target == expected
    assert (url.host, url.port, url.username) == ("camera.local", 8554, "me")


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_a_camera_can_say_anything(content_base: str, session_control: str, control: str) -> None:
    url = resolve_control(resolve_base(HERE, content_base, session_control), control)
    assert str(url).startswith("rtsp://camera.local:8554")
    assert str(url).isascii()
    assert not any(c.isspace() for c in str(url))


def test_redirect_to_the_same_host_keeps_credentials() -> None:
    there = HERE.redirected("rtsp://CAMERA.local:9554/other")
    assert (there.port, there.target, there.username, there.password) == (9554, "/other", "me", "secret")
    assert HERE.redirected("/other").password == "secret"


def test_redirect_to_another_host_does_not() -> None:
    there = HERE.redirected("rtsp://them:pw@elsewhere/other")
    assert (there.host, there.username, there.password) == ("elsewhere", None, "")


def test_redirect_may_go_up_to_tls_but_not_down() -> None:
    assert HERE.redirected("rtsps://camera.local/x").scheme == "rtsps"
    with pytest.raises(ValueError, match="encryption"):
        RtspUrl.parse("rtsps://camera/x").redirected("rtsp://camera/x")


def test_a_zone_is_no_matter_of_the_camera_s() -> None:
    assert RtspUrl.parse("rtsp://[fe80::1%eth0]:8554/x").wire == "rtsp://[fe80::1]:8554/x"
    assert RtspUrl.parse("rtsp://camera/x").wire == "rtsp://camera/x"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("other", "/a/other"),
        ("./other", "/a/other"),
        ("../other?x=1", "/other?x=1"),
        ("?x=1", "/a/b?x=1"),
        ("<rtsp://camera/other>", "/other"),
        ("//camera/other", "/other"),
    ],
)
def test_redirects_may_be_relative(location: str, target: str) -> None:
    assert RtspUrl.parse("rtsp://camera/a/b?y=2").redirected(location).target == target


@pytest.mark.parametrize("location", ["", "http://camera/", "rtsp://"])
def test_redirect_to_nowhere(location: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        HERE.redirected(location)
