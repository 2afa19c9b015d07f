"""``camshaft import``: what goes where, and the exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from camshaft.cli import cli
from common.config_file import load

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["import", *arguments], prog_name="camshaft")


@pytest.mark.thorough
def test_the_file_goes_to_standard_output_and_the_rest_to_standard_error(tmp_path: Path) -> None:
    Path("go2rtc.yaml").write_text("streams:\n  a: rtsp://u:hunter2@h/\n  b: exec:x --password=hunter3\napi: {}\n")
    command = [sys.executable, "-m", "camshaft", "import", str(tmp_path / "go2rtc.yaml")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0
    Path("camshaft.yaml").write_text(result.stdout)
    assert load(Path("camshaft.yaml"), environ={}).cameras["a"].url == "rtsp://u:hunter2@h/"
    assert "left out: b: a source of the kind exec:" in result.stderr
    assert "left out: api: not looked at" in result.stderr
    assert result.stderr.endswith("1 camera of go2rtc taken\n")
    assert "hunter" not in result.stderr


def test_a_camera_is_called_as_it_is_written() -> None:
    names = ["off", "001", "1e3", "null", "2024-01-01", "~"]
    lines = "".join(f"  {name}: rtsp://h/{number}\n" for number, name in enumerate(names))
    Path("go2rtc.yaml").write_text(f"x: &more {{y: rtsp://h/y}}\nstreams:\n  <<: *more\n{lines}")
    Path("camshaft.yaml").write_text(run("go2rtc.yaml").stdout)
    assert set(load(Path("camshaft.yaml"), environ={}).cameras) == {*names[:-1], "camera", "y"}


def test_variables_that_are_to_be_set_are_named() -> None:
    Path("go2rtc.yaml").write_text("streams:\n  a: rtsp://${USER}:${PW}@h/\n  b: rtsp://${USER}:${X:1}@h/\n")
    assert "set these variables before the start: USER, PW\n" in run("go2rtc.yaml").output


def test_a_tag_of_the_program_s_costs_no_other_camera() -> None:
    Path("go2rtc.yaml").write_text("streams:\n  a: !secret cam_a\n  b: [rtsp://h/b, !x [y]]\nlog: !x {level: info}\n")
    output = run("go2rtc.yaml").output
    assert "left out: a: a source of the kind !secret cam_a" in output
    assert "1 camera of go2rtc taken" in output
    Path("frigate.yml").write_text("cameras: !include cameras.yml\n")
    assert "cameras: !include cameras.yml is in another file" in run("frigate.yml").output


def test_a_file_without_a_camera_exits_with_1() -> None:
    Path("mediamtx.yml").write_text("paths:\n  all_others:\n")
    result = run("mediamtx.yml")
    assert result.exit_code == 1
    assert "0 cameras of MediaMTX taken" in result.output
    assert "cameras: {}\n" in result.output


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"streams: {", "their.yaml, line 1: not valid YAML"),
        (b"\xff", "their.yaml: is not UTF-8 text"),
        (b"", "their.yaml: has no keys and values"),
        (b"http: {}", "their.yaml: has neither streams (go2rtc)"),
        (b"[" * 1_000, "their.yaml: not valid YAML"),
        (b"a: 2001-99-99", "their.yaml: not valid YAML"),
        (b"&a [*a]", "their.yaml: has no keys and values"),
        (b"streams: !!python/name:os.system x", "not valid YAML"),
        (b" " * (9 << 20), "their.yaml: holds more than 8 MB"),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_is_one_sentence(data: bytes, said: str) -> None:
    Path("their.yaml").write_bytes(data)
    result = run("their.yaml")
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.count("\n") == 1


def test_no_file() -> None:
    result = run("none")
    assert result.exit_code == 2
    assert result.output == "camshaft: none: cannot be read: No such file or directory\n"


def test_the_program_may_be_named() -> None:
    Path("their.yaml").write_text("streams: {a: rtsp://h/}")
    assert run("their.yaml", "--from", "mediamtx").exit_code == 1
    assert run("their.yaml", "--from", "go2rtc").exit_code == 0
    assert run("their.yaml", "--from", "other").exit_code == 2


def test_aliases_that_explode_are_no_matter() -> None:
    laughs = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    Path("their.yaml").write_text("\n".join([*laughs, "streams: {a: rtsp://h/, b: *a11}"]))
    result = run("their.yaml")
    assert result.exit_code == 0
    assert len(result.output) < 2_000
