"""Files of other programs as files of ours. Those here are written for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from camshaft.importing.convert import convert, write
from tests.fakes.importing import taken

GO2RTC = """
api:
  listen: ":1984"
webrtc:
  listen: ":8555"
  candidates: [192.0.2.7:8555, "[2001:db8::7]:8555", stun:8555]
log: {level: trace, api: warn}
streams:
  door:
    - rtsp://admin:p$ss@10.0.0.2/cam/realmonitor?channel=1&subtype=0#backchannel=0
    - rtsp://admin:p$ss@10.0.0.2/cam/realmonitor?channel=1&subtype=1
    - ffmpeg:door#audio=opus
  yard: rtspx://10.0.0.3:7441/fD6ouM72
  Küche hinten: rtsp://${CAM_USER}:${CAM_PASSWORD:se$ret}@${CAM_HOST:10.0.0.4}/live
  Küche, hinten: rtsp://10.0.0.4/other#transport=udp
  gate: {url: "ffmpeg:rtsps://10.0.0.5/main#video=h264"}
  gate_sub: [rtsps://10.0.0.5/small]
  link: rtsp://127.0.0.1:8554/yard?video
  printer: exec:ffmpeg -i x -f rtsp {output}
  bell: homekit://AA:BB?device_id=1&pin=hunter2
  axis: rtsp://u:hunter2@10.0.0.6/x#transport=ws://u:hunter2@10.0.0.6/rtsp
  nothing:
"""

MEDIAMTX = """
logLevel: warn
hls: yes
webrtcAddress: :8889
webrtcLocalUDPAddress: :8189
webrtcAdditionalHosts: [192.0.2.7, cam.example.org]
webrtcICEServers2:
  - url: stun:stun.example.org:3478
  - {url: "turn:turn.example.org:3478", username: "u:1", password: "p@$$"}
  - {url: "turn:short.example.org", username: AUTH_SECRET, password: hunter2}
  - {url: "turn:shared.example.org", username: AUTH_SECRET, password: "of $ all TURN servers"}
  - {url: "turn:other.example.org", username: AUTH_SECRET, password: "of another TURN server"}
  - {url: "turn:bare.example.org"}
pathDefaults: {rtspTransport: tcp, sourceOnDemandCloseAfter: 1m30s}
paths:
  door: {source: "rtsp://admin:pa$$@10.0.0.2/live", sourceOnDemand: yes}
  cams/yard:
    source: rtsps://10.0.0.3/live
    sourceFingerprint: FP
    rtspTransport: multicast
  wrong: {source: rtsps://10.0.0.3/live, sourceFingerprint: abc, rtspTransport: pigeon}
  obs:
  "~^room(\\\\d+)$": {source: "rtsp://10.0.0.$G1/live"}
  whep: {source: "whep://10.0.0.9/live"}
  pi: {source: rpiCamera, rpiCameraWidth: 1920}
  elsewhere: {source: redirect, sourceRedirect: "rtsp://10.0.0.9/live"}
  all_others:
""".replace("FP", "AB" * 32)

FRIGATE = """
mqtt: {enabled: false}
detectors: {ov: {type: openvino}}
go2rtc:
  streams:
    door: ["rtsp://viewer:{FRIGATE_RTSP_PASSWORD}@10.0.0.2/main", "ffmpeg:door#audio=opus"]
    door_sub: rtsp://viewer:{FRIGATE_RTSP_PASSWORD}@10.0.0.2/sub
    shed: rtsp://10.0.0.9/live
  webrtc: {candidates: ["192.0.2.7:8555"]}
cameras:
  door:
    friendly_name: Front "door"
    ffmpeg:
      inputs:
        - {path: "rtsp://127.0.0.1:8554/door_sub", input_args: preset-rtsp-restream, roles: [detect]}
        - {path: "rtsp://127.0.0.1:8554/door", roles: [record, audio]}
    detect: {width: 640}
  yard:
    ffmpeg: {inputs: [{path: "rtsp://u:p@10.0.0.3/live", roles: [detect, record]}]}
  garage:
    enabled: false
    ffmpeg: {inputs: [{path: "rtsp://10.0.0.4/live", roles: [detect]}]}
  usb:
    ffmpeg: {inputs: [{path: /dev/video0, roles: [detect]}]}
version: 0.16-0
"""


@pytest.mark.parametrize(
    ("webrtc", "port"),
    [
        ("{candidates: [cam.example.org, '192.0.2.7:8555']}", 8555),
        ("{candidates: ['stun:8556']}", 8556),
        ("{candidates: ['192.0.2.7:8555'], listen: ':8557'}", 8557),
        ("{candidates: ['192.0.2.7:99999']}", 8189),
        ("{candidates: [cam.example.org]}", 8189),
    ],
)
def test_the_port_that_a_router_forwards_to_go2rtc_stays(webrtc: str, port: int, tmp_path: Path) -> None:
    config, _found, _written = taken(f"webrtc: {webrtc}\nstreams: {{a: rtsp://10.0.0.2/}}", tmp_path)
    assert config.media.port == port


def test_go2rtc_s_word_for_the_public_address_is_answered_with_ours() -> None:
    found = convert(yaml.safe_load("webrtc: {candidates: ['stun:8555']}\nstreams: {a: rtsp://10.0.0.2/}"), "go2rtc")
    [said] = [each for each in found.left_out if "stun:8555" in each]
    assert "stun:HOST:PORT" in said


def test_go2rtc(tmp_path: Path) -> None:
    config, found, written = taken(GO2RTC, tmp_path, {"CAM_USER": "me"})
    assert found.program == "go2rtc"
    assert list(config.cameras) == ["door", "yard", "Kuche-hinten", "Kuche-hinten-2", "gate", "link"]
    door = config.cameras["door"]
    assert door.url == "rtsp://admin:p$ss@10.0.0.2/cam/realmonitor?channel=1&subtype=0"
    assert door.streams.sub is not None
    assert door.streams.sub.url.endswith("subtype=1")
    assert (config.cameras["yard"].url, config.cameras["yard"].tls.verify) == ("rtsps://10.0.0.3:7441/fD6ouM72", False)
    assert config.cameras["Kuche-hinten"].url == "rtsp://me:se$ret@10.0.0.4/live"
    assert config.cameras["Kuche-hinten-2"].transport == "udp"
    assert config.cameras["gate"].url == "rtsps://10.0.0.5/main"
    assert config.cameras["gate"].streams.sub is not None
    assert config.cameras["link"].url == config.cameras["yard"].url
    assert (config.media.port, config.log.level) == (8555, "debug")
    assert config.media.advertise == ("192.0.2.7", "2001:db8::7")
    assert "  # called Küche hinten in go2rtc\n" in written
    assert [config.cameras[f"Kuche-hinten{end}"].name for end in ("", "-2")] == ["Küche hinten", "Küche, hinten"]
    assert config.cameras["gate"].name == ""
    left = "\n".join(found.left_out)
    for words in (
        "printer: a source of the kind exec:",
        "bell: a source of the kind homekit:",
        "over WebSocket",
        "nothing: none of its sources",
    ):
        assert words in left
    assert "api: not looked at" in left
    assert "hunter2" not in left


@pytest.mark.parametrize("options", ["", "#hardware", "#video=h264#hardware", "#backchannel=0#transport=udp"])
def test_what_stands_behind_an_address_in_go2rtc_is_told_from_a_password(options: str, tmp_path: Path) -> None:
    url = "rtsp://admin:p#ss?w#rd@10.0.0.7/x"
    config, _, _ = taken(f"streams: {{door: '{url}{options}'}}", tmp_path)
    assert config.cameras["door"].url == url


def test_mediamtx(tmp_path: Path) -> None:
    config, found, written = taken(MEDIAMTX, tmp_path)
    assert found.program == "MediaMTX"
    assert list(config.cameras) == ["door", "cams-yard", "wrong"]
    door = config.cameras["door"]
    assert door.url == "rtsp://admin:pa$$@10.0.0.2/live"
    assert (door.transport, door.on_demand, door.keep_after) == ("tcp", True, 90)
    yard = config.cameras["cams-yard"]
    assert (yard.tls.fingerprint, yard.transport) == ("AB" * 32, "multicast")
    assert config.cameras["wrong"].tls.fingerprint is None
    assert "# transport pigeon not taken" in written
    assert "# sourceFingerprint not taken: must be the 64" in written
    assert (config.log.level, config.media.port) == ("warning", 8189)
    assert config.media.advertise == ("192.0.2.7", "cam.example.org")
    assert config.http.ice_servers == (
        "stun:stun.example.org:3478",
        "turn:u%3A1:p%40%24%24@turn.example.org:3478",
        "turn:shared.example.org",
    )
    assert config.http.turn_secret == "of $ all TURN servers"
    left = "\n".join(found.left_out)
    for words in (
        "obs: waits for a publisher",
        "~^room",
        "all_others: matches many",
        "whep: whep://10.0.0.9/live is not the address",
        "pi: is a camera inside that machine",
        "elsewhere: redirects players",
    ):
        assert words in left
    assert left.count("its secret differs from the one before") == 2
    assert "turn:bare.example.org: it has no user and password" in left
    assert "hls, webrtcAddress: not looked at" in left
    assert "hunter2" not in left + written


def test_frigate(tmp_path: Path) -> None:
    config, found, _ = taken(FRIGATE, tmp_path, {"FRIGATE_RTSP_PASSWORD": "se:cr@et"})
    assert found.program == "Frigate"
    assert list(config.cameras) == ["door", "yard", "shed"]
    door = config.cameras["door"]
    assert door.url == "rtsp://viewer:se:cr@et@10.0.0.2/main"
    assert door.streams.sub is not None
    assert door.streams.sub.url == "rtsp://viewer:se:cr@et@10.0.0.2/sub"
    assert config.cameras["yard"].streams.sub is None
    assert door.name == 'Front "door"'
    assert config.media.advertise == ("192.0.2.7",)
    left = "\n".join(found.left_out)
    assert "garage: is disabled there" in left
    assert "usb: a device on that machine; here a camera can have the url device:///dev/video0" in left
    assert "mqtt, detectors, version: not looked at" in left


OTHERS = {
    "rtmp": "rtmp://u:p@10.0.0.1/live/a",
    "rtmps": "rtmps://10.0.0.1/live/a",
    "srt": "srt://10.0.0.1:9000?streamid=a",
    "udp": "udp://239.0.0.1:5000",
    "http": "http://10.0.0.1/index.m3u8",
}


@pytest.mark.parametrize("program", ["go2rtc", "mediamtx", "frigate"])
def test_whatever_can_be_pulled_here_is_taken_and_allowed(program: str, tmp_path: Path) -> None:
    document = {
        "go2rtc": {"streams": {name: [url, f"ffmpeg:{name}#audio=opus"] for name, url in OTHERS.items()}},
        "mediamtx": {"paths": {name: {"source": url} for name, url in OTHERS.items()}},
        "frigate": {
            "cameras": {
                name: {"ffmpeg": {"inputs": [{"path": url, "roles": ["detect"]}]}} for name, url in OTHERS.items()
            }
        },
    }[program]
    config, found, _ = taken(yaml.safe_dump(document), tmp_path)
    assert {name: camera.url for name, camera in config.cameras.items()} == OTHERS
    assert set(config.sources.allow) == {"rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "udp"}
    assert found.left_out == []


def test_rtsp_inside_of_http_is_taken_from_mediamtx(tmp_path: Path) -> None:
    config, _, written = taken("paths: {a: {source: 'rtsp+http://10.0.0.2:80/live'}}", tmp_path)
    assert config.cameras["a"].url == "rtsp+http://10.0.0.2:80/live"
    assert "allow" not in written


def test_nothing_is_allowed_that_no_camera_needs(tmp_path: Path) -> None:
    config, _, written = taken('paths: {a: {source: "udp+mpegts://239.0.0.1:5000"}}', tmp_path)
    assert config.cameras["a"].url == "udp://239.0.0.1:5000"
    assert set(config.sources.allow) == {"rtsp", "rtsps", "http", "https", "udp"}
    assert "sources" not in write(convert({"paths": {"a": {"source": "rtsps://h/"}}}), "x")
    assert "sources" in written


def test_what_a_camera_loses_is_said(tmp_path: Path) -> None:
    text = """
streams:
  turned: "ffmpeg:rtsp://10.0.0.1/a#video=h264#rotate=90"
  told: "https://10.0.0.1/a.mjpg#header=Authorization: Bearer hunter2"
  clip: "ffmpeg:/media/clip.mp4#video=copy"
  door: ["onvif://u:hunter2@10.0.0.2"]
"""
    config, found, _ = taken(text, tmp_path)
    assert list(config.cameras) == ["turned", "told"]
    assert found.left_out == [
        "turned, rotate: not an option of a camera here",
        "told, header: not an option of a camera here",
        "clip: a file on that machine; here a camera can have the url file:///media/clip.mp4, see docs/sources.md",
        "door: a source of the kind onvif: is not known here; the camera's rtsp:// address is what to look for",
    ]


def test_a_camera_does_not_lead_to_the_frigate_that_is_left_behind(tmp_path: Path) -> None:
    text = """
cameras:
  yard:
    ffmpeg:
      inputs:
        - {path: "rtsp://127.0.0.1:8554/yard", roles: [record]}
        - {path: "rtsp://10.0.0.3/main", roles: [restream]}
        - {path: "rtsp://10.0.0.3/sub", roles: [detect]}
"""
    config, found, _ = taken(text, tmp_path)
    assert (config.cameras["yard"].url, config.cameras["yard"].streams.sub.url) == (
        "rtsp://10.0.0.3/main",
        "rtsp://10.0.0.3/sub",
    )
    assert "yard is a stream from Frigate itself" in found.left_out[0]


@pytest.mark.parametrize("host", ["192.168.1.9", "frigate", "u:p@nvr.lan", "localhost"])
def test_an_input_at_frigate_s_own_go2rtc_stands_for_the_source_there(host: str, tmp_path: Path) -> None:
    text = f"""
go2rtc: {{streams: {{yard: "rtsp://10.0.0.3/main"}}}}
cameras:
  yard: {{ffmpeg: {{inputs: [{{path: "rtsp://{host}:8554/yard?mp4", roles: [record]}}]}}}}
  gate: {{ffmpeg: {{inputs: [{{path: "rtsp://10.0.0.7:8554/gate", roles: [record]}}]}}}}
"""
    config, _, _ = taken(text, tmp_path)
    assert {name: camera.url for name, camera in config.cameras.items()} == {
        "yard": "rtsp://10.0.0.3/main",
        "gate": "rtsp://10.0.0.7:8554/gate",
    }


def test_frigate_shows_the_stream_that_it_is_told_to(tmp_path: Path) -> None:
    text = """
go2rtc: {streams: {big: "rtsp://h/big", small: "rtsp://h/sub", own: "rtsp://h/own"}}
cameras:
  a: {live: {streams: {Main: big, Sub: small}}, ffmpeg: {inputs: [{path: "rtsp://h/x", roles: [detect]}]}}
  own: {ffmpeg: {inputs: []}}
"""
    config, _, _ = taken(text, tmp_path)
    a = config.cameras["a"]
    assert a.streams.sub is not None
    assert (a.url, a.streams.sub.url) == ("rtsp://h/big", "rtsp://h/x")
    assert config.cameras["own"].url == "rtsp://h/own"
    assert len(config.cameras) == 2


@pytest.mark.parametrize(
    ("names", "cameras"),
    [
        (["a", "a_sub"], {"a": "a_sub"}),
        (["a_main", "a_sub"], {"a_main": "a_sub"}),
        (["a-hd", "a-low-res"], {"a-hd": "a-low-res"}),
        (["a_sub"], {"a_sub": None}),
        (["a", "a_sub", "a_low"], {"a": "a_low", "a_sub": None}),
        (["a", "a_sub", "a_sub_sub"], {"a": "a_sub", "a_sub_sub": None}),
        (["sub"], {"sub": None}),
    ],
)
def test_a_stream_that_is_called_as_a_sub_stream_is_one(names: list[str], cameras: dict[str, str | None]) -> None:
    found = convert({"streams": {name: f"rtsp://h/{name}" for name in names}})
    assert {
        camera.name: camera.sub.example.removeprefix("rtsp://h/") if camera.sub else None for camera in found.cameras
    } == cameras
    assert {each for pair in cameras.items() for each in pair if each} == set(names), "none is lost"


def test_variables_that_a_file_sets_itself_are_set_here(tmp_path: Path) -> None:
    text = """
environment_vars: {FRIGATE_PW: "pa$s", FRIGATE_BRACES: "a}b"}
go2rtc: {streams: {a: "rtsp://u:{FRIGATE_PW}@h/a"}}
cameras:
  a: {ffmpeg: {inputs: [{path: "rtsp://127.0.0.1:8554/a", roles: [record]}]}}
  b: {ffmpeg: {inputs: [{path: "rtsp://u:{FRIGATE_BRACES}@h/b", roles: [record]}]}, enabled: "True"}
  c: {ffmpeg: {inputs: [{path: "rtsp://h/c", roles: [record]}]}, enabled: "False"}
"""
    config, found, _ = taken(text, tmp_path, {"FRIGATE_BRACES": "x"})
    assert {name: camera.url for name, camera in config.cameras.items()} == {
        "a": "rtsp://u:pa$s@h/a",
        "b": "rtsp://u:x@h/b",
    }
    assert found.variables == ["FRIGATE_BRACES"]


def test_a_default_of_go2rtc_s_may_be_empty(tmp_path: Path) -> None:
    config, found, _ = taken("streams: {a: 'rtsp://u:${PW:}@h/$${X}'}", tmp_path, {"X": "x"})
    assert config.cameras["a"].url == "rtsp://u:@h/$x"
    assert found.variables == ["X"]


def test_https_that_go2rtc_does_not_verify_is_not_verified_here(tmp_path: Path) -> None:
    camera = taken("streams: {a: 'httpx://10.0.0.2/video.mjpg'}", tmp_path)[0].cameras["a"]
    assert (camera.url, camera.tls.verify) == ("https://10.0.0.2/video.mjpg", False)


@pytest.mark.parametrize(
    ("said", "on"), [("yes", True), ("'Yes'", True), ("'true'", True), ("'no'", False), ("no", False)]
)
def test_a_switch_may_be_text(said: str, on: bool, tmp_path: Path) -> None:
    text = f"paths: {{a: {{source: 'rtsp://h/', sourceOnDemand: {said}}}}}"
    assert taken(text, tmp_path)[0].cameras["a"].on_demand is on
