"""Configuration: precedence, and errors that say where to look, at which key, and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.address import split_ice_server
from common.cameras import Transport, redact
from common.config import Config
from common.config_file import cameras_of, load
from common.errors import ConfigError
from tests.fakes.config_file import Writer, leaf


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "camshaft.yaml")


def test_defaults_listen_on_loopback_only() -> None:
    config = load(None, environ={})
    assert config == Config()
    assert config.http.listen == "127.0.0.1:8080"
    assert config.media.port == 8189
    assert not config.cameras


def test_file_as_in_the_documentation(write: Writer) -> None:
    config = write.load(
        """
cameras:
  front-door: {url: "rtsp://u:p@10.0.0.9/s", transport: udp, on_demand: true}
  yard:
    url: rtsps://yard/
    tls: {verify: false}
http: {listen: ":9000"}
media: {port: 9189, advertise: [192.0.2.1, cam.example.org]}
"""
    )
    spec = config.cameras["front-door"].spec("front-door", 3)
    assert (spec.id, spec.url, spec.transport, spec.on_demand, spec.revision) == (
        "front-door",
        "rtsp://u:p@10.0.0.9/s",
        Transport.UDP,
        True,
        3,
    )
    assert not config.cameras["yard"].spec("yard").tls.verify
    assert config.media.advertise == ("192.0.2.1", "cam.example.org")


@pytest.mark.parametrize("mode", ["none", "required", "auto"])
def test_auth_is_one_word_in_the_file_as_a_variable_and_as_an_option(write: Writer, mode: str) -> None:
    assert write.load(f"auth: {mode}").auth.mode == mode
    assert load(None, environ={"CAMSHAFT_AUTH": mode}).auth.mode == mode
    write.path.write_text("auth: none", "utf-8")
    environ = {"CAMSHAFT_AUTH_SESSION_HOURS": "1"}
    assert load(write.path, {leaf("--auth-mode"): mode}, environ).auth.mode == mode
    assert load(write.path, {}, environ).auth.session_hours == 1
    both = {"CAMSHAFT_AUTH": "auto", "CAMSHAFT_AUTH_MODE": mode}
    assert load(write.path, {}, both).auth.mode == mode


def test_a_section_that_is_no_word_is_none(write: Writer) -> None:
    with pytest.raises(ConfigError, match=r"^CAMSHAFT_AUTH: auth\.mode: must be one of"):
        load(None, environ={"CAMSHAFT_AUTH": "nobody"})
    write.path.write_text("http: fast", "utf-8")
    with pytest.raises(ConfigError, match="must consist of keys and values"):
        load(write.path, {}, {"CAMSHAFT_HTTP_LISTEN": ":1"})


def test_option_beats_variable_beats_file_beats_default(write: Writer) -> None:
    write.path.write_text("media: {port: 1000}\nlog: {level: debug}\nhttp: {listen: ':1'}", "utf-8")
    environ = {"CAMSHAFT_MEDIA_PORT": "2000", "CAMSHAFT_LOG_LEVEL": "error"}
    config = load(write.path, {leaf("--media-port"): "3000"}, environ)
    assert (config.media.port, config.log.level, config.http.listen) == (3000, "error", ":1")
    assert config.egress.workers is None


def test_variable_that_kubernetes_made_for_a_service_is_not_a_setting() -> None:
    config = load(None, environ={"CAMSHAFT_MEDIA_PORT": "tcp://10.0.0.1:80"})
    assert config.media.port == Config().media.port


def test_list_variable_is_split_at_commas() -> None:
    config = load(None, environ={"CAMSHAFT_MEDIA_ADVERTISE": "192.0.2.1, host,"})
    assert config.media.advertise == ("192.0.2.1", "host")


@pytest.mark.parametrize("written", ["{}", '"{}"', "'{}'", " {} ", "{}\r", '"{}"\r\n'])
def test_a_variable_is_read_as_files_of_variables_leave_it(write: Writer, written: str) -> None:
    environ = {"CAMSHAFT_HTTP_LISTEN": ":1", "CAMSHAFT_AUTH": "none", "CAMSHAFT_BROKER_DIRECT": "false"}
    config = write.load("", {name: written.format(value) for name, value in environ.items()})
    assert (config.http.listen, config.auth.mode, config.broker.direct) == (":1", "none", False)


def test_a_secret_in_a_variable_is_left_as_it_is(write: Writer) -> None:
    secret = '"of everybody in the cluster" '
    assert write.load("", {"CAMSHAFT_CLUSTER_SECRET": secret}).cluster.secret == secret


@pytest.mark.parametrize("level", ["INFO", "Info", "info"])
def test_a_word_of_a_few_may_be_written_in_any_case(write: Writer, level: str) -> None:
    assert write.load("", {"CAMSHAFT_LOG_LEVEL": level}).log.level == "info"
    assert write.load(f"log: {{level: {level}}}\nauth: None").auth.mode == "none"


def test_a_path_may_begin_at_home(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert write.load("store: {path: ~/cams.db}").store.path == Path("/home/me/cams.db")
    with pytest.raises(ConfigError, match="write the whole path"):
        write.load("store: {path: ~nobody-at-all/cams.db}")


def test_empty_variable_counts_as_not_set(write: Writer) -> None:
    config = write.load("media: {port: 7}", {"CAMSHAFT_MEDIA_PORT": "", "CAMSHAFT_CAMERA": ""})
    assert config.media.port == 7


@pytest.mark.parametrize("text", ["", "# nothing\n", "http:\n", "cameras:\nlog:\n", "---\n", "{}"])
def test_empty_file_and_empty_sections_are_the_defaults(write: Writer, text: str) -> None:
    assert write.load(text) == Config()


@pytest.mark.parametrize("name", ["1", "no", "on", "007", "1e3", "null", "2024-01-01"])
def test_camera_names_are_text_as_written(write: Writer, name: str) -> None:
    assert list(write.load(f"cameras:\n  {name}: {{url: rtsp://x}}").cameras) == [name]


def test_merge_keys_and_anchors_work(write: Writer) -> None:
    config = write.load(
        "cameras:\n  a: &base {url: rtsp://a/, transport: tcp}\n  b: {<<: *base, url: rtsp://b/}\n  c: *base\n"
    )
    assert {name: (camera.url, camera.transport) for name, camera in config.cameras.items()} == {
        "a": ("rtsp://a/", Transport.TCP),
        "b": ("rtsp://b/", Transport.TCP),
        "c": ("rtsp://a/", Transport.TCP),
    }


@pytest.mark.parametrize("text", ["192.0.2.7", "[192.0.2.7]", "'192.0.2.7,'"])
def test_one_value_needs_no_list(write: Writer, text: str) -> None:
    assert write.load(f"media: {{advertise: {text}}}").media.advertise == ("192.0.2.7",)


@pytest.mark.parametrize(
    ("server", "parts"),
    [
        ("stun:stun.example.org:3478", ("stun:stun.example.org:3478", "", "")),
        (
            "turn:u%3A1:p%40ss@[2001:db8::1]:3478?transport=udp",
            ("turn:[2001:db8::1]:3478?transport=udp", "u:1", "p@ss"),
        ),
        ("turns:user:pa:ss@turn.example.org", ("turns:turn.example.org", "user", "pa:ss")),
    ],
)
def test_ice_servers(write: Writer, server: str, parts: tuple[str, str, str]) -> None:
    config = write.load(f"http: {{ice_servers: ['{server}']}}")
    assert split_ice_server(config.http.ice_servers[0]) == parts
    assert not parts[2] or parts[2] not in repr(config)
    assert not parts[2] or server not in redact(f"x {server} y")


def test_a_name_of_the_server_is_held_as_browsers_ask_for_it(write: Writer) -> None:
    assert write.load("http: {hosts: [küche.example, cams.example.org.]}").http.hosts == (
        "xn--kche-0ra.example",
        "cams.example.org",
    )


def test_published_names_and_addresses(write: Writer) -> None:
    assert write.load("", {"CAMSHAFT_HTTP_HOSTS": "Cam.example.org, ::1"}).http.hosts == ("Cam.example.org", "::1")


def test_variable_cannot_hide_a_section_of_the_wrong_type(write: Writer) -> None:
    assert write.error("http: 5", {"CAMSHAFT_HTTP_LISTEN": ":1"}).where == write.line(1)
    assert write.error("cameras: 5", {"CAMSHAFT_CAMERA": "rtsp://x"}).where == write.line(1)


@pytest.mark.parametrize(
    ("value", "cameras"),
    [
        ("rtsp://x/", [("camera", "rtsp://x/")]),
        ("rtsp://x/?a=rtsp://y", [("camera", "rtsp://x/?a=rtsp://y")]),
        ("yard=rtsp://u:p=1@x/", [("yard", "rtsp://u:p=1@x/")]),
        ("rtsp://u=rtsp://@x", [("camera", "rtsp://u=rtsp://@x")]),
        (
            " rtsp://x/  yard=rtsps://y/\nrtsp://z/",
            [("camera", "rtsp://x/"), ("yard", "rtsps://y/"), ("camera-2", "rtsp://z/")],
        ),
        ("", []),
        ("a=rtsp://x/,b=rtsp://y/;rtsp://z/", [("a", "rtsp://x/"), ("b", "rtsp://y/"), ("camera", "rtsp://z/")]),
        ("a=rtsp://x/?url=1,http://y/", [("a", "rtsp://x/?url=1,http://y/")]),
        ("a=rtsp://x/ , b=rtsp://y/", [("a", "rtsp://x/"), ("b", "rtsp://y/")]),
        ('"a=rtsp://x/?c=1,2;d=3 b=http://y/"', [("a", "rtsp://x/?c=1,2;d=3"), ("b", "http://y/")]),
    ],
)
def test_camera_variable_holds_urls_with_or_without_name(value: str, cameras: list[tuple[str, str]]) -> None:
    assert list(cameras_of(value)) == cameras


def test_camera_variable_is_added_to_those_of_the_file(write: Writer) -> None:
    config = write.load("cameras: {a: {url: rtsp://a/}}", {"CAMSHAFT_CAMERA": "b=rtsp://b/ rtsp://c/"})
    assert list(config.cameras) == ["a", "b", "camera"]


def test_repr_shows_no_secret(write: Writer) -> None:
    config = write.load("cameras: {a: {url: 'rtsp://u:hunter2@h'}}\ncluster: {secret: hunter3-0123456789}")
    assert "hunter" not in repr(config)


@pytest.mark.parametrize(
    ("value", "number"),
    [("on", 7), ("yes", 7), ("off", None), ("no", None), ("'off'", None), ("443", 443), ("0", 0), ("'On'", 7)],
)
def test_tcp_is_a_switch_or_a_port(write: Writer, value: str, number: int | None) -> None:
    assert write.load(f"media: {{port: 7, tcp: {value}}}").media.tcp_port == number
