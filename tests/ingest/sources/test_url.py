"""Addresses of sources beside RTSP."""

from __future__ import annotations

import pytest

from ingest.sources.url import SourceUrl


def test_an_address_is_taken_apart() -> None:
    url = SourceUrl.parse("HTTP://admin:p%40ss@cam.example:8080/video?size=1#top")
    assert (url.scheme, url.host, url.port, url.target) == ("http", "cam.example", 8080, "/video?size=1")
    assert (url.username, url.password) == ("admin", "p@ss")
    assert str(url) == "http://cam.example:8080/video?size=1"
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("http://h/", "h", 80),
        ("https://h/", "h", 443),
        ("rtmp://h/live/a", "h", 1935),
        ("rtmps://[2001:db8::1]/live/a", "2001:db8::1", 443),
        ("udp://:5000", "", 5000),
        ("srt://h:9000?latency=200", "h", 9000),
        ("http://a@b@h/x", "h", 80),
    ],
)
def test_hosts_and_ports(text: str, host: str, port: int) -> None:
    url = SourceUrl.parse(text)
    assert (url.host, url.port) == (host, port)


def test_a_group_for_which_nobody_logs_in() -> None:
    url = SourceUrl.parse("udp://@239.0.0.1:5000")
    assert (url.host, url.port, url.username) == ("239.0.0.1", 5000, None)


def test_paths_of_this_machine() -> None:
    assert SourceUrl.parse("file:///srv/a%20clip%3F.mp4?x=1").target == "/srv/a clip?.mp4"
    assert SourceUrl.parse("device:///dev/video0?fps=15").target == "/dev/video0?fps=15"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gopher://h/", "does not begin with a known scheme"),
        ("h/a", "does not begin with a known scheme"),
        ("file://clip.mp4", "whole path"),
        ("device://video0", "whole path"),
        ("srt://h/", "needs a port"),
        ("http:///x", "no valid host"),
        ("http://h:port/", "no valid host"),
        ("http://h:99999/", "no valid host"),
        ("http://[::1/", "no valid host"),
        ("http://user:sec/ret@h/", "no valid host"),
        ("http://cam era/", "no valid host"),
        ("http://cam\x7fera:81/", "no valid host"),
        ("http://\x1bera/", "no valid host"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence_without_the_url(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        SourceUrl.parse(text)
    assert "ret" not in str(caught.value)


OURS = SourceUrl.parse("http://u:p@h/live/index.m3u8")


def test_what_a_playlist_leads_to_is_relative_to_it_and_keeps_credentials_on_the_same_host() -> None:
    segment = OURS.leading("a/1.ts")
    assert (str(segment), segment.username, segment.password) == ("http://h:80/live/a/1.ts", "u", "p")
    assert OURS.leading("http://h:81/1.ts").username is None
    assert OURS.leading("https://other/1.ts").username is None


@pytest.mark.parametrize("location", ["file:///etc/passwd", "rtmp://h/a", "udp://h:1", "device:///dev/video0"])
def test_nothing_leads_out_of_http(location: str) -> None:
    with pytest.raises(ValueError, match="not allowed"):
        OURS.leading(location)


def test_nothing_leads_to_what_no_host_is_named() -> None:
    with pytest.raises(ValueError, match="no valid host"):
        OURS.leading("http://cam era/1.ts")


def test_nothing_leads_out_of_tls() -> None:
    with pytest.raises(ValueError, match="encryption"):
        SourceUrl.parse("https://h/a").leading("http://h/b")
    with pytest.raises(ValueError, match="does not begin with a known scheme"):
        OURS.leading("concat:a|b")


@pytest.mark.parametrize(("url", "target"), [("", "/"), ("/a?b", "/a?b"), ("?b", "/?b")])
def test_the_target_of_a_request_has_a_path(url: str, target: str) -> None:
    assert SourceUrl.parse(f"http://host{url}").request_target == target
