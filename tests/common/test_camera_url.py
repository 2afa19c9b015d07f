"""URLs as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.camera_url import SCHEMES, read_pasted
from common.config_file import cameras_of, parse_camera
from common.errors import ConfigError

URL = "rtsp://192.0.2.7:554/live"


@pytest.mark.parametrize(
    "text",
    [
        f" {URL} ",
        f"{URL}\r\n",
        f"\t{URL}\u00a0",
        f"\ufeff{URL}\u200b",
        f'"{URL}"',
        f"'{URL}' ",
        f"`{URL}`",
        f"<{URL}>",
        f"\u201c{URL}\u201d",
        f"' \"{URL}\" '",
        "RTSP://192.0.2.7:554/live",
        "rtsp:/192.0.2.7:554/live",
        "rtsp:///192.0.2.7:554/live",
        "rtsp:192.0.2.7:554/live",
        "rtsp//192.0.2.7:554/live",
        "rtsp:\\\\192.0.2.7:554\\live",
    ],
)
def test_what_can_only_mean_one_thing_is_put_right(text: str) -> None:
    assert read_pasted(text) == (URL, False)


@pytest.mark.parametrize("password", ["p@ss", "a:b", "a#b", "a?b", "50%off", "a&amp;b", "a\\b", '"x"', "%40", "'"])
def test_a_password_stays_as_it_is(password: str) -> None:
    url = f"rtsp://admin:{password}@192.0.2.7/live"
    assert read_pasted(url).url == url


def test_some_quotes_around_each_other_are_taken_off_and_not_thousands() -> None:
    assert read_pasted("\"'`rtsp://door/`'\"").url == "rtsp://door/"
    with pytest.raises(ValueError, match="must start with"):
        read_pasted('"' * 5 + "rtsp://door/" + '"' * 5)


def test_the_path_is_read_from_a_web_page_s_source() -> None:
    assert read_pasted("rtsp://192.0.2.7/cam?channel=1&amp;subtype=0").url == "rtsp://192.0.2.7/cam?channel=1&subtype=0"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?enableSrtp", ""),
        ("?enablesrtp=1", ""),
        ("?a=b&enableSrtp", "?a=b"),
        ("?enableSrtp&a=b", "?a=b"),
        ("?enableSrtpNot=1", "?enableSrtpNot=1"),
    ],
)
def test_the_query_that_asks_for_srtp_is_dropped(query: str, left: str) -> None:
    assert read_pasted(f"rtsps://192.0.2.7:7441/aBcDeF{query}").url == f"rtsps://192.0.2.7:7441/aBcDeF{left}"


@pytest.mark.parametrize("tls", [{}, {"tls": {"verify": True, "legacy": True}}])
def test_rtspx_is_rtsps_without_verification(tls: dict[str, object]) -> None:
    camera = parse_camera({"url": "rtspx://192.0.2.7:7441/aBcDeF", **tls})
    assert camera.url == "rtsps://192.0.2.7:7441/aBcDeF"
    assert not camera.tls.verify
    assert camera.tls.legacy == bool(tls)
    assert parse_camera({"url": "rtsps://192.0.2.7:7441/aBcDeF"}).tls.verify


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must start with rtsp:// or rtsps://"),
        ("192.0.2.7:554/secret", "type rtsp:// in front of it"),
        ("admin:secret@camera/live", "type rtsp:// in front of it"),
        ("http://192.0.2.7/secret", "web page"),
        ("rtmp://192.0.2.7/secret", "must start with"),
        ("rtsp://", "rtsp://host"),
        ("rtsp:///?secret", "rtsp://host"),
        ("rtsp://192.0.2.7/my secret", "%20"),
        ("rtsp://192.0.2.7/\x00secret", "rtsp://host"),
        (f"{URL} {URL}", "without spaces"),
    ],
)
def test_for_the_rest_a_sentence_says_what_to_type_and_repeats_nothing(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_camera({"url": text})
    assert words in caught.value.problem
    assert "secret" not in str(caught.value)


def test_the_variable_takes_the_same() -> None:
    found = dict(cameras_of('door="rtsp://192.0.2.7/a" rtsp:/192.0.2.7/b\n'))
    assert {name: read_pasted(url).url for name, url in found.items()} == {
        "door": "rtsp://192.0.2.7/a",
        "camera": "rtsp://192.0.2.7/b",
    }


@given(
    st.text(max_size=60)
    | st.builds("{}{}".format, st.sampled_from([*SCHEMES, "rtsp:", "rtspx:/"]), st.text(max_size=60))
)
def test_any_text(text: str) -> None:
    try:
        url = read_pasted(text).url
    except ValueError:
        return
    assert url.startswith(SCHEMES)
    assert read_pasted(url).url == url or "&amp;" in url or "enablesrtp" in url.lower()
