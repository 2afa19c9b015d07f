"""URLs as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.camera_url import ALLOWED, SCHEMES, read_pasted, refusal
from common.config_file import cameras_of, parse_camera
from common.config_limits import SourcesConfig
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
        f"\u00ab{URL}\u00bb",
        f"({URL})",
        "rtsp://192.000.002.007:554/live",
        f"\u201c{URL}\u201d",
        f"' \"{URL}\" '",
        "RTSP://192.0.2.7:554/live",
        "rtsp:/192.0.2.7:554/live",
        "rtsp:///192.0.2.7:554/live",
        "rtsp:192.0.2.7:554/live",
        "rtsp//192.0.2.7:554/live",
        "rtsp:\\\\192.0.2.7:554\\live",
        "rtsp://192.0.2.7:554\\live",
        f'"{URL}",',
        f'"{URL}',
        f"{URL}'",
        f"{URL}>",
        f"**{URL}**",
        f"[{URL}]",
        r"rtsp:\/\/192.0.2.7:554\/live",
        "rtsp;//192.0.2.7:554/live",
        "rtsp.//192.0.2.7:554/live",
        "rtsp//:192.0.2.7:554/live",
        "rtsp : //192.0.2.7:554/live",
        "rtsp:// 192.0.2.7:554/live",
        f"rtsp://{URL}",
        f"ffmpeg:{URL}",
        f"vlc://{URL}",
        f"http://{URL}",
        f"RTSP: {URL}",
        f"rtsp url: {URL}",
        "rtsp%3A%2F%2F192.0.2.7:554%2Flive",
        "rtsp\uff1a\uff0f\uff0f192.0.2.7\uff1a554\uff0flive",
        f"\u200e{URL}\u202c",
        "rtsp://192.0.2.7\u00ad:554/live",
        "rtsp://\uff11\uff19\uff12.0\uff0e2.7\uff1a554/live",
        "rtsp://192.0.2.7:554\uff0flive",
        f"{URL},",
        f"{URL};",
        f"{URL})",
        f"{URL}\\",
        f"{URL}\\n",
        f"'{URL}\\r\\n'",
    ],
)
def test_what_can_only_mean_one_thing_is_put_right(text: str) -> None:
    assert read_pasted(text) == (URL, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rtspt://192.0.2.7/live", "type rtsp://, and set transport to tcp"),
        ("rtspu://192.0.2.7/live", "set transport to udp"),
        ("rstp://192.0.2.7/live", "rstp:// is not known here: type rtsp://"),
        ("rtps://192.0.2.7/live", "type rtsp://"),
        ("ffplay -i rtsp://192.0.2.7/live", "the address alone"),
        ("cam1: rtsp://192.0.2.7/live", "leave out what comes before it"),
        ("[rtsp://192.0.2.7/live](rtsp://192.0.2.7/live)", "the address alone"),
        ("rtsp://user:pw@<camera-ip>/live", "the host is a placeholder"),
        ("rtsp://192.168.1.XXX:554/live", "the host is a placeholder"),
        ("rtsp://[ip]:554/live", "the host is a placeholder"),
        ("rtsp://user:pw@ip:554/live", "the host is a placeholder"),
        ("rtsp://CAMERA_IP/live", "the host is a placeholder"),
        ("rtsp://your-ip-address:554/live", "the host is a placeholder"),
        ("rtsp://*.*.*.*/live", "the host is a placeholder"),
        ("rtsp://*:*@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://{user}:{password}@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://admin:${CAM_PASSWORD}@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://[username]:[password]@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://fe80::1:554/live", "in brackets"),
        ("rtsp://2001:db8::7/live", "in brackets"),
        ("rtsp://admin/pw@192.0.2.7:554/live", "put a colon between user name and password"),
        ("rtsp://admin:\u2022\u2022\u2022\u2022@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://%USERNAME%:%PASSWORD%@192.0.2.7/live", "user name or password is a placeholder"),
        ("rtsp://192.0.2.7:554:8554/live", "two ports"),
        ("rtsp://192.0.2.7:port/live", "must be a number from 1 to 65535"),
        ("rtsp://192.0.2.7:99999/live", "must be a number from 1 to 65535"),
        ("rtsp://[2001:db8::7]:x/192.0.2.7", "must be a number from 1 to 65535"),
        ("rtsp://192,0,2,7/live", "no comma"),
        ("rtsp://192.0.2.7;554/live", "no comma or semicolon"),
        ("rtsp://192.0.x.y/live", "the host is a placeholder"),
        ("rtsp://[2001:db8::7/live", "in brackets"),
        ("rtsp://2001:db8::7]/live", "in brackets"),
        ("rtsp://192.0.2.7/live?channel=<number>", "the path holds a placeholder"),
        ("rtsp://192.0.2.7/Streaming/Channels/[channel]01", "the path holds a placeholder"),
        ("rtsp://192.0.2.7/stream1 rtsp://192.0.2.7/stream2", "one address; a second one goes to the sub-stream"),
        ("rtsp://192.0.2.7/live -rtsp_transport tcp", "alone, without spaces"),
        ("rtsq://192.0.2.7/live", "rtsq:// is not known here: type rtsp://"),
        ("ttsp://192.0.2.7/live", "type rtsp://"),
        ("htpp://192.0.2.7/live", "type http://"),
        ("rtmpt://192.0.2.7/live", "type rtmp://"),
        ("hls://192.0.2.7/live.m3u8", "type http://"),
        ("ffmpeg:door#audio=192.0.2.7", "go2rtc's"),
        ("echo:./192.0.2.7.sh", "go2rtc's"),
        ("http://192.0.2.7/onvif/device_service", "ONVIF is not used to find"),
        ("C:\\192.0.2.7\\clip.mp4", "file:///srv/clip.mp4"),
        ("~/192.0.2.7.mkv", "file:///srv/clip.mp4"),
        ("rtsp+wss://192.0.2.7/live", "inside a WebSocket is not supported"),
        ("tapo://secret@192.0.2.7", "tapo:// is not known here: .*go2rtc's.*rtsp://HOST:8554/NAME"),
        ("dvrip://admin:pw@192.0.2.7:34567?channel=0", "dvrip:// is not known here: .*go2rtc's"),
        ("ring:?device_id=192.0.2.7", "ring:// is not known here: .*go2rtc's"),
        ("exec:ffmpeg -i 192.0.2.7", "exec:// is not known here: .*go2rtc's"),
        ("hass:Front 192.0.2.7", "hass:// is not known here: .*go2rtc's"),
        ("udp+mpegts://192.0.2.7:5000", "type udp://"),
        ("udp+rtp://192.0.2.7:5000", "RTP without RTSP"),
        ("rtsp://http://192.0.2.7/live", "leave http:// out"),
        ("rtsp://admin:pw@https://192.0.2.7/live", "leave https:// out"),
        ("rtsp://admin:pw@rtsps://192.0.2.7/live", "leave rtsps:// out"),
        ("rtsp://192.0.2.7/stream1;back=rtsp://192.0.2.7/stream2", "one address; a second one goes to"),
        ("rtsp://192.0.2.7/stream1;rtsp://192.0.2.7/stream2", "one address; a second one goes to the sub-stream"),
        ("rtsp://192.0.2.7/stream1,rtsp://192.0.2.7/stream2", "one address; a second one goes to the sub-stream"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_what_to_type(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_pasted(text)
    assert "192.0.2.7" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://http/live",
        "rtsp://http:554/live",
        "rtsp://192.0.2.7/rtsp://door/live",
        "rtsp://admin:a,b;c@192.0.2.7/live",
        "rtsp://admin:http://@192.0.2.7/live",
        "rtsp://admin:p;w,x@192.0.2.7/live(1)",
        "rtsp://192.0.2.7/live/{5f9b3c20-0000-11ee-be56-0242ac120002}",
    ],
)
def test_what_looks_odd_and_may_be_meant_is_taken(url: str) -> None:
    assert read_pasted(url) == (url, False)


@pytest.mark.parametrize("password", ["{abc}", "$ecret", "***", "a<b>c", "[x]", "x.x.x.x"])
def test_passwords_that_look_odd_are_passwords(password: str) -> None:
    url = f"rtsp://admin:{password}@192.0.2.7/live"
    assert read_pasted(url) == (url, False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("<HTTP://u:p@192.0.2.7:8080/video>", "http://u:p@192.0.2.7:8080/video"),
        ("https:/192.0.2.7/live.m3u8", "https://192.0.2.7/live.m3u8"),
        ("rtmp://192.0.2.7/live/a", "rtmp://192.0.2.7/live/a"),
        ("srt://192.0.2.7:9000?latency=200", "srt://192.0.2.7:9000?latency=200"),
        ("mjpeg:http://192.0.2.7/video", "http://192.0.2.7/video"),
        ("udp://@239.0.0.1:5000", "udp://@239.0.0.1:5000"),
        ("file:/srv/clip.mp4", "file:///srv/clip.mp4"),
        ("'file:///srv/clip.mp4'", "file:///srv/clip.mp4"),
        ("device:/dev/video0", "device:///dev/video0"),
    ],
)
def test_sources_of_other_schemes_are_read(text: str, url: str) -> None:
    assert read_pasted(text) == (url, False)
    assert read_pasted(url) == (url, False)


@pytest.mark.parametrize(
    ("spelling", "scheme"),
    [
        ("rtsp+http", "rtsp+http"),
        ("rtsph", "rtsp+http"),
        ("RTSP+HTTP", "rtsp+http"),
        ("rtsps+http", "rtsps+http"),
        ("rtsp+https", "rtsps+http"),
        ("rtsps+https", "rtsps+http"),
        ("rtspsh", "rtsps+http"),
    ],
)
def test_rtsp_inside_of_http_is_taken_in_every_spelling(spelling: str, scheme: str) -> None:
    read = f"{scheme}://admin:p@ss@192.0.2.7:8080/live"
    assert read_pasted(f" {spelling}://admin:p@ss@192.0.2.7:8080/live ") == (read, False)
    assert read_pasted(read) == (read, False)


def test_rtsp_inside_of_http_is_allowed_where_rtsp_is() -> None:
    assert refusal("rtsp+http://h/", ["rtsp"]) == ""
    assert "add rtsps to sources.allow" in refusal("rtsps+http://h/", ["rtsp", "http", "https"])


def test_the_configuration_knows_the_same_schemes() -> None:
    assert SourcesConfig(allow=SCHEMES).allow == SCHEMES  # type: ignore[arg-type]
    assert SourcesConfig().allow == ALLOWED


def test_a_scheme_that_is_not_allowed_is_refused_with_the_setting_to_change() -> None:
    assert refusal("rtsp://h/", ALLOWED) == ""
    assert refusal("HTTP://h/", ALLOWED) == ""
    for url in ("file:///etc/passwd", "device:///dev/video0", "rtmp://h/", "srt://h:1", "udp://:1"):
        scheme = url.partition(":")[0]
        assert f"add {scheme} to sources.allow, which has rtsp, rtsps, http, https" in refusal(url, ALLOWED)
    assert "which has nothing" in refusal("rtsp://h/", ())


@pytest.mark.parametrize("password", ["p@ss", "a:b", "a#b", "a?b", "50%off", "a&amp;b", "a\\b", '"x"', "%40", "'"])
def test_a_password_stays_as_it_is(password: str) -> None:
    url = f"rtsp://admin:{password}@192.0.2.7/live"
    assert read_pasted(url).url == url


def test_a_login_before_a_whole_address_is_its_login() -> None:
    assert read_pasted("rtsp://admin:p@ss@rtsp://192.0.2.7/live").url == "rtsp://admin:p@ss@192.0.2.7/live"
    assert read_pasted("rtsps://admin:pw@RTSPS://192.0.2.7/live").url == "rtsps://admin:pw@192.0.2.7/live"
    assert read_pasted("rtsp://192.0.2.7/a@rtsp://door/").url == "rtsp://192.0.2.7/a@rtsp://door/"


def test_some_quotes_around_each_other_are_taken_off_and_not_thousands() -> None:
    assert read_pasted("\"'`rtsp://door/`'\"").url == "rtsp://door/"
    with pytest.raises(ValueError, match="the address alone"):
        read_pasted("(" * 5 + "rtsp://door/" + ")" * 5)


@pytest.mark.parametrize("url", ["rtsp://ipcam/live", "rtsp://ip-7.local/", "rtsp://:pw@192.0.2.7/", "rtsp://a:ip@h/"])
def test_what_looks_like_a_slip_and_is_none_stays_as_it_is(url: str) -> None:
    assert read_pasted(url).url == url


@pytest.mark.parametrize("text", [r"rtsp://192.0.2.7/c\?a\=1\&b\=2", "rtsp://192.0.2.7/c?a=1^&b=2"])
def test_the_path_is_read_as_shells_quote_it(text: str) -> None:
    assert read_pasted(text).url == "rtsp://192.0.2.7/c?a=1&b=2"


@pytest.mark.parametrize("text", [r"rtsp://192.0.2.7/c?a=1\u0026b=2", r"rtsp:\/\/192.0.2.7\/c?a=1\u0026b=2"])
def test_the_path_is_read_from_json(text: str) -> None:
    assert read_pasted(text).url == "rtsp://192.0.2.7/c?a=1&b=2"


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
        ("", "must start with rtsp://, rtsps://, http://"),
        ("192.0.2.7:554/secret", "type rtsp:// in front of it"),
        ("admin:secret@camera/live", "type rtsp:// in front of it"),
        ("/srv/secret.mp4", "type file:// or device:// in front of it"),
        ("ftp://192.0.2.7/secret", "must start with"),
        ("http://", "must be http://host"),
        ("http://192.0.2.7/secret path", "without spaces"),
        ("file:", "must start with"),
        ("file:///", "must be file:///path without spaces"),
        ("rtsp://", "rtsp://host"),
        ("rtsp://\u00a8secret/", "without spaces"),
        ("rtsp:///?secret", "rtsp://host"),
        ("rtsp://192.0.2.7/my secret", "%20"),
        ("rtsp://192.0.2.7/\x00secret", "rtsp://host"),
        (f"{URL} {URL}", "must be one address"),
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


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rtsp://admin:pw@192.0.2.7@554/live", "a port follows the host and a colon"),
        ("rtsp://user:pw@host@554", "a port follows the host and a colon"),
        ("rtsp://554/live", "only a number"),
        ("rtsp://192.0.2/live", "four numbers"),
        ("rtsp://192.0.2.300:554/live", "four numbers"),
        ("rtsp://admin:pw@192.168.1./live", "four numbers"),
        ("rtsp://192.168.1.1.1?x", "four numbers"),
        ("rtsps://0192.168.1.1", "four numbers"),
        ("onvif://admin:pw@192.0.2.7", "ONVIF is not used"),
        ("whep://host/camera", "over WebRTC"),
    ],
)
def test_a_host_that_the_system_would_take_for_another_one_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_pasted(text)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["rtsp://10.0.0.1.example/live", "rtsp://7eleven/live", "rtsp://host/live@554", "rtsp://u:1.2.3@10.0.0.1/4.5.6"],
)
def test_what_only_begins_like_an_address_is_a_name_or_a_path(url: str) -> None:
    assert read_pasted(url).url == url
