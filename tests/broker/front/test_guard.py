import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.front.guard import Guard
from common.errors import RequestError

LOCAL = Guard(local=True, hosts=("cams.example",))
OPEN = Guard(local=False)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "localhost",
        "localhost:8080",
        "LOCALHOST:8080",
        "localhost.",
        "cams.localhost:8080",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]:8080",
        "192.0.2.7:8080",  # an address cannot be rebound
        "cams.example",
        "Cams.Example:443",
        "cams.example.",
    ],
)
def test_names_that_reach_the_loopback(host: str | None) -> None:
    LOCAL.check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "[::",
        ),
        *(
            "evil.example@127.0.0.1",
            "evil.example\\@127.0.0.1",
            "127.0.0.1/x",
            "127.0.0.1?x",
            "127.0.0.1#@evil.example",
        ),
    ],
)
def test_names_that_do_not(host: str) -> None:
    with pytest.raises(RequestError) as caught:
        LOCAL.check_host(host)
    assert (caught.value.status, caught.value.code) == (421, "unknown_host")
    assert "http.hosts" in caught.value.message


def test_any_name_may_reach_an_open_port() -> None:
    OPEN.check_host("evil.example")


def test_only_published_names_reach_an_open_port_if_there_are_some() -> None:
    published = Guard(local=False, hosts=("cams.example",))
    for host in ("cams.example", "192.0.2.7:8080", "localhost"):
        published.check_host(host)
    with pytest.raises(RequestError) as caught:
        published.check_host("evil.example")
    assert (caught.value.status, caught.value.code) == (421, "unknown_host")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "localhost:8080"),
        ("http://localhost:8080", "localhost:8080"),
        ("http://LOCALHOST:8080", "localhost:8080"),
        ("https://cams.example", "cams.example"),
        ("https://cams.example", "127.0.0.1:8080"),  # a proxy that rewrites Host
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_origins_that_are_ours(origin: str | None, host: str) -> None:
    LOCAL.check_origin(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example", "localhost:8080"),
        ("http://localhost:8081", "localhost:8080"),
        ("http://localhost", "localhost:8080"),
        ("null", "localhost:8080"),
        ("null", "null"),
        ("", ""),
        ("http://", ""),
        ("garbage", None),
        ("http://[::", "localhost"),
        ("http://evil.example", None),
    ],
)
def test_origins_that_are_not(origin: str, host: str | None) -> None:
    for guard in (LOCAL, OPEN):
        with pytest.raises(RequestError) as caught:
            guard.check_origin(origin, host)
        assert (caught.value.status, caught.value.code) == (403, "cross_origin")


@pytest.mark.parametrize(
    ("origin", "host", "ours"),
    [
        ("https://home.example", "home.example:443", True),  # nginx: proxy_set_header Host $host:$server_port
        ("http://home.example", "home.example:80", True),
        ("https://home.example", "home.example:80", False),
        ("http://home.example", "home.example:443", False),
        ("https://home.example:8443", "home.example", False),
        ("https://home.example.", "cams.example", False),
    ],
)
def test_the_usual_port_of_a_scheme_may_be_written_or_not(origin: str, host: str, ours: bool) -> None:
    assert OPEN.is_ours(origin, host) == ours


def test_a_refused_page_hears_what_a_proxy_in_between_would_have_to_pass_on() -> None:
    with pytest.raises(RequestError) as caught:
        OPEN.check_origin("https://cams.example", "127.0.0.1:8080")
    for name in ("https://cams.example", "127.0.0.1:8080", "proxy_set_header Host $http_host", "http.hosts"):
        assert name in caught.value.message


@pytest.mark.thorough
@given(origin=st.text(), host=st.none() | st.text())
def test_any_text_is_judged(origin: str, host: str | None) -> None:
    for check in (lambda: LOCAL.check_host(host), lambda: LOCAL.check_origin(origin, host)):
        with contextlib.suppress(RequestError):
            check()


@pytest.mark.parametrize(
    ("origin", "ours"),
    [
        ("https://cams.example", True),
        ("HTTPS://Cams.Example:8443", True),
        ("http://cams.example", False),  # somebody on the way may have written that page
        ("https://evil.example", False),
        ("null", False),
        ("", False),
        (None, True),
    ],
)
def test_where_we_speak_tls_our_pages_are_https(origin: str | None, ours: bool) -> None:
    encrypted = Guard(local=False, hosts=("cams.example",), tls=True)
    assert encrypted.is_ours(origin, "cams.example") == ours


@pytest.mark.parametrize(
    "origin", ["http://localhost:5173", "http://127.0.0.1:3000", "https://[::1]", "http://app.localhost"]
)
def test_pages_of_this_machine(origin: str) -> None:
    assert LOCAL.is_near(origin, "127.0.0.1:8080")


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://192.0.2.7", "file://", "localhost"],
)
def test_pages_from_elsewhere(origin: str) -> None:
    assert not LOCAL.is_near(origin, "127.0.0.1:8080")


def test_what_is_ours_is_near_and_so_is_what_is_no_page() -> None:
    assert LOCAL.is_near("http://cams.example", "cams.example")
    assert LOCAL.is_near(None, "127.0.0.1:8080")
