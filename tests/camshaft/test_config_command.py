"""``camshaft config``: check and show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from camshaft.cli import cli


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, ["config", *arguments], env=environ, prog_name="camshaft")


def shown(*arguments: str, environ: dict[str, str] | None = None) -> dict[str, tuple[object, str]]:
    result = run("show", "--json", *arguments, environ=environ)
    assert result.exit_code == 0, result.output
    return {each["key"]: (each["value"], each["origin"]) for each in json.loads(result.output)}


def test_a_file_that_is_right(tmp_path: Path) -> None:
    Path("camshaft.yaml").write_text("cameras: {a: {url: rtsp://a/}}")
    Path("other.yaml").write_text("cameras: {a: {url: rtsp://a/}, b: {url: rtsp://b/}}")
    assert (run("check").exit_code, run("check").output) == (0, "camshaft.yaml is right: 1 camera.\n")
    assert run("check", "other.yaml").output == "other.yaml is right: 2 cameras.\n"
    assert run("check", environ={"CAMSHAFT_CONFIG": "other.yaml"}).output == "other.yaml is right: 2 cameras.\n"
    assert run("check", "--json").output == "[]\n"


def test_every_mistake_with_its_line_and_key() -> None:
    Path("camshaft.yaml").write_text(
        "cameras:\n  a:\n    url: rtsp://u:${NOT_SET}@h/\nhttp:\n  listn: x\nmedia:\n  port: hunter2\n"
    )
    result = run("check", environ={"CAMSHAFT_LOG_LEVEL": "loud"})
    assert result.exit_code == 2
    assert [line.split(": ")[:2] for line in result.output.splitlines()] == [
        ["camshaft.yaml, line 3", "cameras.a.url"],
        ["camshaft.yaml, line 5", "http.listn"],
        ["camshaft.yaml, line 7", "media.port"],
        ["CAMSHAFT_LOG_LEVEL", "log.level"],
    ]
    assert "hunter2" not in result.output
    found = json.loads(run("check", "--json").output)
    assert found[1]["where"] == "camshaft.yaml, line 5"
    assert found[1]["problem"].startswith("unknown key; did you mean listen?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: {", "camshaft.yaml, line 1: not valid YAML"),
        ("\nmedia: {port: 65535}\negress: {workers: 3}", "camshaft.yaml, line 2: media.port: 3 egress processes"),
        ("http: {listen: ':8080'}\nauth: {people: false}", "camshaft.yaml, line 1: http.listen: whoever reaches"),
    ],
)
def test_mistakes_that_only_a_start_would_find(text: str, said: str) -> None:
    Path("camshaft.yaml").write_text(text)
    result = run("check")
    assert result.exit_code == 2
    assert result.output.startswith(said)


def test_no_file_is_no_mistake_but_one_that_was_named_is() -> None:
    result = run("check", environ={"CAMSHAFT_CAMERA": "rtsp://a/"})
    assert (result.exit_code, result.output) == (
        0,
        "There is no camshaft.yaml here; what else is configured is right: 1 camera.\n",
    )
    result = run("check", "none.yaml")
    assert (result.exit_code, result.output) == (2, "none.yaml: cannot be read: No such file or directory\n")


def test_each_setting_is_shown_with_its_place() -> None:
    Path("camshaft.yaml").write_text("media:\n  port: 7\nhttp: &http\n  listen: ${LISTEN}\n  hosts: [a]\n")
    Path("secret").write_text("known to this cluster alone\n")
    environ = {"LISTEN": ":1", "CAMSHAFT_LOG_LEVEL": "debug", "CAMSHAFT_CLUSTER_SECRET_FILE": "secret"}
    found = shown("--http-hosts", "b", "--http-hosts", "c", environ=environ)
    assert found["media.port"] == (7, "camshaft.yaml, line 2")
    assert found["http.listen"] == (":1", "camshaft.yaml, line 4")
    assert found["http.hosts"] == (["b", "c"], "--http-hosts")
    assert found["log.level"] == ("debug", "CAMSHAFT_LOG_LEVEL")
    assert found["cluster.secret"] == ("***", "CAMSHAFT_CLUSTER_SECRET_FILE")
    assert found["cluster.token"] == ("", "default")
    assert found["store.path"] == ("camshaft.db", "default")
    assert found["egress.workers"] == (None, "default")


def test_of_cameras_what_was_made_is_shown() -> None:
    Path("camshaft.yaml").write_text(
        "cameras:\n  a: &a\n    url: rtspx://u:p@a/\n    on_demand: true\n  b:\n    <<: *a\n    transport: tcp\n"
        "  c:\n    url: rtsp://c/\n    streams:\n      sub: {url: rtsp://c/sub}\n"
    )
    found = shown(environ={"CAMSHAFT_CAMERA": "d=rtsp://d/"})
    assert {key: value for key, value in found.items() if key.startswith("cameras.")} == {
        "cameras.a.url": ("rtsps://***@a/", "camshaft.yaml, line 3"),
        "cameras.a.on_demand": (True, "camshaft.yaml, line 4"),
        "cameras.a.tls.verify": (False, "camshaft.yaml, line 2"),
        "cameras.b.url": ("rtsps://***@a/", "camshaft.yaml, line 5"),
        "cameras.b.on_demand": (True, "camshaft.yaml, line 5"),
        "cameras.b.transport": ("tcp", "camshaft.yaml, line 7"),
        "cameras.b.tls.verify": (False, "camshaft.yaml, line 5"),
        "cameras.c.url": ("rtsp://c/", "camshaft.yaml, line 9"),
        "cameras.c.streams.sub.url": ("rtsp://c/sub", "camshaft.yaml, line 11"),
        "cameras.d.url": ("rtsp://d/", "CAMSHAFT_CAMERA"),
    }


def test_no_secret_is_shown() -> None:
    Path("camshaft.yaml").write_text(
        "cameras: {a: {url: 'rtsp://u:hunter2@h/?password=hunter2', streams: {sub: {url: 'rtsp://u:hunter2@h/'}}}}\n"
        "http: {ice_servers: ['turn:u:hunter2@h', 'stun:s']}\n"
        "cluster: {secret: hunter2hunter2hunter2}\n"
        f"auth: {{tokens: {{door: {{sha256: {'ab' * 32}, cameras: [a]}}}}}}\n"
        "jwt: {secret: hunter2hunter2hunter2hunter2hunter2}\n"
    )
    for arguments in (["show"], ["show", "--json"]):
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        assert "hunter2" not in result.output
        assert "abab" not in result.output
    assert shown()["http.ice_servers"][0] == ["turn:***@h", "stun:s"]
    assert shown()["auth.tokens.door.sha256"] == ("***", "camshaft.yaml, line 4")
    assert shown()["auth.tokens.door.cameras"] == (["a"], "camshaft.yaml, line 4")


def test_a_person_gets_a_table() -> None:
    Path("camshaft.yaml").write_text("media: {port: 7, advertise: [a, b]}\nauth: none")
    lines = [line.split() for line in run("show").output.splitlines()]
    assert lines[0] == ["KEY", "VALUE", "FROM"]
    assert ["media.advertise", "a,", "b", "camshaft.yaml,", "line", "1"] in lines
    assert ["media.listen", "-", "default"] in lines
    assert ["auth.mode", "none", "camshaft.yaml,", "line", "2"] in lines


def test_a_mistake_shows_nothing_else() -> None:
    Path("camshaft.yaml").write_text("media: {port: x}")
    result = run("show")
    assert result.exit_code == 2
    assert result.output.startswith("camshaft: camshaft.yaml, line 1: media.port: must be a whole number")
