"""The check of the page's scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENV = Path(sys.prefix)


def check(directory: Path, venv: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [str(ROOT / "tools/check-scripts"), str(venv)]
    return subprocess.run(command, cwd=directory, env=kept | environ, capture_output=True, text=True, check=False)


@pytest.mark.skipif(  # a try to install it that failed leaves a directory, too
    not list(VENV.glob("typescript-*/.whole")), reason="make check installs TypeScript, where npm and its registry are"
)
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("export const here = document.getElementbyId('x');", "getElementbyId"),
        ("export const twice = (n) => n * two;", "two"),
        ("/** @param {RTCPeerConnection} pc */ export const kind = (pc) => pc.state;", "state"),
        ("export const shown = (video) => video.paused;", ""),
    ],
)
def test_what_a_script_gets_wrong_is_named(tmp_path: Path, script: str, problem: str) -> None:
    web = tmp_path / "broker/web"
    web.mkdir(parents=True)
    shutil.copy(ROOT / "jsconfig.json", tmp_path)
    (web / "page.js").write_text(script)
    done = check(tmp_path, VENV)
    assert (done.returncode == 0) is (problem == "")
    assert problem in done.stdout


def test_without_npm_it_says_so_and_goes_on(tmp_path: Path) -> None:
    for program in ("sh", "timeout"):
        (tmp_path / program).symlink_to(shutil.which(program) or "")
    done = check(ROOT, tmp_path, PATH=str(tmp_path))
    assert done.returncode == 0
    assert "TypeScript" in done.stderr
    assert "npm" in done.stderr
