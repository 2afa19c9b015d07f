from pathlib import Path

import pytest

from common.cameras import redact
from common.config import Config, Origin
from common.config_file import load, parse_camera
from common.errors import ConfigError


def test_a_camera_of_the_configuration_names_the_place_to_change_it(tmp_path: Path) -> None:
    file = tmp_path / "camshaft.yaml"
    file.write_text("cameras:\n  door:\n    url: rtsp://host/door\n")
    config = load(file, environ={"CAMSHAFT_CAMERA": "rtsp://host/"})
    assert config.origin_of("door") == Origin(f"{file}, line 3", watched=True)
    assert config.origin_of("camera") == Origin("CAMSHAFT_CAMERA")
    assert Config().origin_of("door") == Origin("the configuration")


@pytest.mark.parametrize(
    ("document", "key", "problem"),
    [
        ({}, "url", "is missing"),
        ({"url": "ftp://host/"}, "url", "must start with rtsp://, rtsps://"),
        ({"url": 5}, "url", "must be text"),
        (
            {"url": "rtsp://host/", "color": "red"},
            "color",
            "allowed here: url, transport, on_demand, keep_after, one_session, tls, streams",
        ),
        ({"url": "rtsp://host/", "transport": "sctp"}, "transport", "one of: auto, tcp, udp"),
        ({"url": "rtsp://host/", "tls": {"color": 1}}, "tls.color", "allowed here: verify, fingerprint, legacy"),
    ],
)
def test_a_camera_that_is_wrong_names_the_key_and_what_is_allowed(document, key, problem) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_camera(document)
    assert caught.value.key == key
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@host/x", "rtsp://***@host/x"),
        ("rtsp://host/user=admin&password=secret&channel=1", "rtsp://host/user=admin&password=***&channel=1"),
        ("rtsp://host/user=admin_password=secret_channel=1?real", "rtsp://host/user=admin_password=***?real"),
        ("rtsp://host/compass=3", "rtsp://host/compass=3"),
    ],
)
def test_redact_hides_credentials_wherever_cameras_put_them(text: str, shown: str) -> None:
    assert redact(text) == shown
