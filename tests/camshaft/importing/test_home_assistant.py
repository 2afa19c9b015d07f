"""Cameras of Home Assistant as ours. The files here are written for these tests."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.importing import taken

HOME_ASSISTANT = """
default_config:
go2rtc: {url: "http://10.0.0.5:1984"}
camera:
  - platform: ffmpeg
    name: Front
    input: -rtsp_transport udp -i rtsp://u:p@10.0.0.1/s
  - {platform: generic, name: "Back door", stream_source: "rtsp://10.0.0.2/s", username: "u@x", password: "p:1",
     rtsp_transport: tcp, verify_ssl: "false"}
  - {platform: mjpeg, mjpeg_url: "http://10.0.0.3/video.mjpg"}
  - {platform: generic, name: told, stream_source: "rtsp://{{ states('sensor.ip') }}/s"}
  - {platform: generic, name: still, still_image_url: "http://10.0.0.4/a.jpg"}
  - {platform: amcrest, name: gate}
"""


def test_home_assistant(tmp_path: Path) -> None:
    config, found, _ = taken(HOME_ASSISTANT, tmp_path)
    assert found.program == "Home Assistant"
    cameras = {name: (camera.url, camera.transport) for name, camera in config.cameras.items()}
    assert cameras == {
        "Front": ("rtsp://u:p@10.0.0.1/s", "udp"),
        "Back-door": ("rtsp://u%40x:p%3A1@10.0.0.2/s", "tcp"),
        "mjpeg": ("http://10.0.0.3/video.mjpg", "auto"),
    }
    assert (config.cameras["Back-door"].name, config.cameras["Back-door"].tls.verify) == ("Back door", False)
    left = "\n".join(found.left_out)
    for words in ("told: ", "still: has no stream_source", "gate: amcrest has no address here"):
        assert words in left


def test_home_assistant_s_cameras_that_were_set_up_on_its_pages(tmp_path: Path) -> None:
    entries = [
        {
            "domain": "generic",
            "title": "Yard",
            "data": {},
            "options": {"stream_source": "rtsp://10.0.0.1/s", "username": "u", "password": "p", "verify_ssl": True},
        },
        {"domain": "onvif", "title": "Gate", "data": {"host": "10.0.0.9"}},
        {"domain": "sun", "title": "Sun", "data": {}},
    ]
    text = json.dumps({"version": 1, "key": "core.config_entries", "data": {"entries": entries}})
    config, found, _ = taken(text, tmp_path)
    assert {name: camera.url for name, camera in config.cameras.items()} == {"Yard": "rtsp://u:p@10.0.0.1/s"}
    assert found.left_out == ["Gate: onvif has no address here; the camera's own page shows its rtsp:// address"]


def test_a_file_of_home_assistant_s_platforms_alone(tmp_path: Path) -> None:
    text = "- {platform: generic, name: a, stream_source: 'rtsp://10.0.0.1/s'}"
    assert list(taken(text, tmp_path)[0].cameras) == ["a"]


def test_a_login_of_home_assistant_is_taken_as_it_stands_or_said_to_stand_elsewhere(tmp_path: Path) -> None:
    text = """
camera:
  - {platform: generic, name: a, stream_source: "rtsp://10.0.0.1/cam/realmonitor@1", username: 1001, password: 123456}
camera front:
  - {platform: ffmpeg, name: b, input: "-rtsp_transport tcp -i rtsp://10.0.0.2/x"}
  - {platform: generic, name: c, stream_source: "rtsp://10.0.0.3/x", username: "u", password: "!secret p"}
"""
    config, found, _ = taken(text, tmp_path)
    assert {name: camera.url for name, camera in config.cameras.items()} == {
        "a": "rtsp://1001:123456@10.0.0.1/cam/realmonitor@1",
        "b": "rtsp://10.0.0.2/x",
    }
    assert found.left_out == ["c: its login is in another file (!secret p); write it into this one"]
