"""Variables in the file, files that hold secrets, and all mistakes at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config_file import load, put_together, secret_files
from common.config_leaves import leaves
from common.errors import ConfigError
from common.token import WorkerToken

SECRET = "known to this one cluster and to nobody else"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "camshaft.yaml"


def test_values_of_the_file_name_variables(file: Path) -> None:
    file.write_text(
        """
cameras:
  door: {url: "rtsp://${USER}:${PASSWORD}@${HOST:-10.0.0.9}/$${x}"}
media:
  port: ${PORT}
  advertise: ["${ADDRESS}", b]
http:
  hosts: ${HOSTS}
limits: {offers: "${PORT}"}
"""
    )
    environ = {
        "USER": "u",
        "PASSWORD": "p#:$${x}",
        "PORT": "9000",
        "ADDRESS": "192.0.2.1",
        "HOSTS": "a.example, b.example",
    }
    config = load(file, environ=environ)
    assert config.cameras["door"].url == "rtsp://u:p#:$${x}@10.0.0.9/${x}"
    assert (config.media.port, config.limits.offers) == (9000, 9000)
    assert config.media.advertise == ("192.0.2.1", "b")
    assert config.http.hosts == ("a.example", "b.example")


def test_a_variable_that_is_not_set_is_named_with_line_and_key(file: Path) -> None:
    file.write_text("cameras:\n  door:\n    url: rtsp://u:${PASSWORD}@h/\n")
    with pytest.raises(ConfigError) as caught:
        load(file, environ={})
    assert (caught.value.where, caught.value.key) == (f"{file}, line 3", "cameras.door.url")
    assert "the variable PASSWORD is not set" in caught.value.problem


def test_a_mistake_in_a_value_that_came_from_a_variable_does_not_show_it(file: Path) -> None:
    file.write_text("media: {port: '${PORT}'}\ncameras: {a: {url: '${URL}'}}")
    environ = {"PORT": "hunter2", "URL": "ftp://u:hunter2@h/"}
    mistakes = put_together(file, environ=environ).mistakes()
    assert {mistake.key for mistake in mistakes} == {"media.port", "cameras.a.url"}
    assert "hunter2" not in str(mistakes) + "".join(map(str, mistakes))


def test_aliases_keys_and_numbers_are_what_they_were(file: Path) -> None:
    file.write_text(
        "cameras:\n  a: &base {url: 'rtsp://$${x}/', transport: tcp}\n  b: {<<: *base, keep_after: 5}\n  c: *base\n"
    )
    config = load(file, environ={})
    assert {camera.url for camera in config.cameras.values()} == {"rtsp://${x}/"}
    file.write_text("${KEY}: 1")
    with pytest.raises(ConfigError, match="unknown key"):
        load(file, environ={"KEY": "http"})


def test_depth_is_no_way_around(file: Path) -> None:
    file.write_text("cameras: {a: {url: rtsp://x, streams: {sub: {url: rtsps://x, tls: {fingerprint: '${F}'}}}}}")
    config = load(file, environ={"F": "ab" * 32})
    sub = config.cameras["a"].streams.sub
    assert sub is not None
    assert sub.tls is not None
    assert sub.tls.fingerprint == "ab" * 32


def test_every_mistake_is_found_the_most_telling_first(file: Path) -> None:
    file.write_text("http:\n  listen: x\ncameras:\n  door:\n    uri: rtsp://x\nmedia: {port: -1}\n")
    mistakes = [(each.where.rpartition(" ")[2], each.key) for each in put_together(file, environ={}).mistakes()]
    assert mistakes[0] == ("5", "cameras.door.uri")
    assert set(mistakes) == {
        ("5", "cameras.door.uri"), ("4", "cameras.door.url"), ("2", "http.listen"), ("6", "media.port")
    }  # fmt: skip
    file.write_text("http: {}")
    assert put_together(file, environ={}).mistakes() == []


@pytest.mark.parametrize("leaf", [leaf for leaf in leaves() if leaf.is_secret], ids=lambda leaf: leaf.key)
def test_each_secret_may_stand_in_a_file(leaf, tmp_path: Path) -> None:
    values = {"ice_servers": "turn:u:hunter2@h:1", "token": str(WorkerToken.make(bytes(32)))}
    value = values.get(leaf.key, SECRET)
    held = tmp_path / "held"
    held.write_text(f"{value}\n")
    environ = {leaf.file_variable: str(held)}
    config = load(None, environ=environ)
    assert getattr(getattr(config, leaf.section), leaf.key) in (value, (value,))
    assert list(secret_files(environ)) == [held]


def test_cameras_may_stand_in_a_file(tmp_path: Path) -> None:
    held = tmp_path / "cameras"
    held.write_text("door=rtsp://u:hunter2@h/\nrtsp://x/\n")
    config = load(None, environ={"CAMSHAFT_CAMERA_FILE": str(held)})
    assert {name: camera.url for name, camera in config.cameras.items()} == {
        "door": "rtsp://u:hunter2@h/", "camera": "rtsp://x/"
    }  # fmt: skip
    assert config.origin_of("door").where == "CAMSHAFT_CAMERA_FILE"


def test_variable_and_file_at_once_is_an_error(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text(SECRET)
    environ = {"CAMSHAFT_CLUSTER_SECRET": SECRET, "CAMSHAFT_CLUSTER_SECRET_FILE": str(held)}
    with pytest.raises(ConfigError) as caught:
        load(None, environ=environ)
    assert str(caught.value) == (
        "CAMSHAFT_CLUSTER_SECRET_FILE: CAMSHAFT_CLUSTER_SECRET is given as well; remove one of the two"
    )


def test_a_mistake_in_a_secret_file_names_its_variable(tmp_path: Path) -> None:
    held = tmp_path / "held"
    held.write_text("short")
    with pytest.raises(ConfigError) as caught:
        load(None, environ={"CAMSHAFT_CLUSTER_SECRET_FILE": str(held)})
    assert (caught.value.where, caught.value.key) == ("CAMSHAFT_CLUSTER_SECRET_FILE", "cluster.secret")
    with pytest.raises(ConfigError, match=r"CAMSHAFT_CLUSTER_SECRET_FILE: /no/such cannot be read"):
        load(None, environ={"CAMSHAFT_CLUSTER_SECRET_FILE": "/no/such"})


def test_only_secrets_may_stand_in_a_file(tmp_path: Path) -> None:
    assert load(None, environ={"CAMSHAFT_MEDIA_PORT_FILE": str(tmp_path / "none")}).media.port == 8189


def test_a_camera_of_the_operator_takes_the_place_of_the_simulated_one(file: Path) -> None:
    file.write_text("cameras: {demo: {url: rtsp://own/}}")
    config = load(file, environ={"CAMSHAFT_DEMO": "demo=rtsp://127.0.0.1:1/"})
    assert config.cameras["demo"].url == "rtsp://own/"
    assert not config.origin_of("demo").simulated
