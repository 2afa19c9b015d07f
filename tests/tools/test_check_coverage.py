"""The check that no core is run too little of."""

from __future__ import annotations

import configparser
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUP = """
[coverage:run]
source = product,others
[importlinter:contract:cores]
forbidden_modules =
    socket
source_modules =
    product.core
    product.wing
    rigs.core
[importlinter:contract:others]
forbidden_modules =
    product
source_modules =
    product.driver
"""
RUN = "used = 1\n"
HALF = "def unused() -> int:\n    return 1\n\n\nused = 1\n"


def test_it_knows_the_cores_of_this_repository() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    found = runpy.run_path(str(ROOT / "tools/check-coverage"), run_name="")["cores"](setup)
    assert {Path("egress/sender.py"), Path("ingest/rtp/receiver.py"), Path("common/access.py")} <= found
    assert Path("egress/worker.py") not in found


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("product/core.py", "product/core.py: 66.7 % of its lines were run"),
        ("product/wing/part.py", "product/wing/part.py: 66.7 %"),
        ("product/driver.py", ""),  # it does I/O
        ("rigs/core.py", ""),
        (None, ""),
    ],
)
def test_a_core_that_is_run_too_little_is_named(tmp_path: Path, module: str | None, problem: str) -> None:
    files = ["product/core.py", "product/wing/part.py", "product/driver.py", "rigs/core.py"]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(HALF if file == module else RUN)
    (tmp_path / "setup.cfg").write_text(SETUP)
    imports = "; ".join(f"import {file.removesuffix('.py').replace('/', '.')}" for file in files)
    (tmp_path / "all.py").write_text(imports)
    run = [sys.executable, "-m", "coverage", "run", "--rcfile=setup.cfg", "all.py"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
    check = [sys.executable, str(ROOT / "tools/check-coverage")]
    done = subprocess.run(check, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == (1 if problem else 0), done.stderr
    assert problem in done.stderr
