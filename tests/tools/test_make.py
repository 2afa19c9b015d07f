"""``make run`` and the scripts beside it, without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PASSWORDS = ["p@ss", "p$x", "p$(HOME)", "p#x", "p'x", 'p"x', "p;x", "p%20x", "p\\x", "p*x"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is made already; its ``camshaft`` writes down how it was called."""
    for name in ("Makefile", "setup.cfg", "setup.py", "compiled.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    program = tmp_path / ".venv/bin/camshaft"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$*" > called\nenv >> called\n')
    program.chmod(0o755)
    for stamp in (".python", ".run"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def make(checkout: Path, *arguments: str, **environ: str) -> list[str]:
    """Run make; the lines that ``camshaft`` wrote down: its arguments, then its environment."""
    clean = {
        key: value for key, value in os.environ.items() if key != "CAMERA" and not key.startswith(("CAMSHAFT_", "MAKE"))
    }
    subprocess.run(["make", "run", *arguments], cwd=checkout, env=clean | environ, check=True, capture_output=True)
    return (checkout / "called").read_text().splitlines()


def test_without_a_camera_one_is_simulated(checkout: Path) -> None:
    called = make(checkout)
    assert called[0] == "serve --demo-if-none"
    assert not [line for line in called if line.startswith("CAMSHAFT_")]


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_camera_reaches_the_program_by_environment_whatever_its_password(
    checkout: Path, password: str, how: str
) -> None:
    url = f"rtsp://admin:{password}@camera/stream?a=1&b=2"
    called = make(checkout, f"CAMERA={url}") if how == "argument" else make(checkout, CAMERA=url)
    assert called[0] == "serve --demo-if-none"
    assert f"CAMSHAFT_CAMERA={url}" in called[1:]


def test_help_has_a_line_for_each_command_that_can_be_typed_as_it_stands(checkout: Path) -> None:
    said = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=checkout, check=True, capture_output=True, text=True
    ).stdout
    lines = said.splitlines()
    assert {"make run", "make test-fast", "make wheel"} <= {" ".join(line.split()[:2]) for line in lines}
    assert len({len(line) - len(line.split(maxsplit=2)[2]) for line in lines}) == 1  # texts below each other


def run_tool(name: str, *arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / name, *arguments], env={"PATH": path}, capture_output=True, text=True, check=False
    )


def test_missing_python_is_a_sentence_that_says_what_to_install(tmp_path: Path) -> None:
    result = run_tool("make-venv", "python-of-the-future", str(tmp_path / "venv"))
    assert result.returncode == 1
    assert "camshaft: there is no python-of-the-future; install Python 3.11" in result.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("*'print('*) echo 3.9;; *'sys.exit'*) exit 1;;", "is Python 3.9, and 3.11 or newer is needed; name another"),
        (
            "*'print('*) echo 3.11;; *ensurepip*) exit 1;;",
            "has no venv; install it (Debian: apt-get install python3.11-venv)",
        ),
    ],
    ids=["too old", "no venv"],
)
def test_unfit_python_is_a_sentence_that_says_what_to_do(tmp_path: Path, answers: str, said: str) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in {answers} esac\n')
    python.chmod(0o755)
    result = run_tool("make-venv", str(python), str(tmp_path / "venv"))
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_packages_are_named_where_they_cannot_be_installed(tmp_path: Path) -> None:
    """A machine with nothing: no apt-get, no Chromium, no GStreamer."""
    for name in ("sh", "sort", "tr", "head", "id", "printf"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    result = run_tool("system-packages", "python", path=str(tmp_path))
    assert result.returncode == 1
    for package in ("chromium", "iproute2", "gstreamer1.0-tools", "gstreamer1.0-plugins-ugly", "fonts-dejavu-core"):
        assert f" {package} " in result.stderr


def test_what_is_installed_for_the_checks_is_installed_once_for_the_tests_too(checkout: Path) -> None:
    (checkout / ".venv/.run").unlink()
    python = checkout / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$*" >> called\n')
    python.chmod(0o755)
    for wanted in (".venv/.check", ".venv/.test", ".venv/.run"):
        subprocess.run(["make", wanted], cwd=checkout, check=True, capture_output=True)
    [installed] = (checkout / "called").read_text().splitlines()
    assert installed.endswith("--editable .[test,check]")
    (checkout / "setup.cfg").touch()
    subprocess.run(["make", ".venv/.run"], cwd=checkout, check=True, capture_output=True)
    assert (checkout / "called").read_text().splitlines()[1].endswith("--editable .")
