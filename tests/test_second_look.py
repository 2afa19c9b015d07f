"""A second look is told, and given to what waits alone."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

from tests.fakes.second_look import first_of_group
from tests.fakes.turns import FOLDERS


def test_the_first_error_of_a_group_is_told() -> None:
    group = ExceptionGroup("two tasks", [AssertionError("a late picture"), ValueError("nothing")])
    assert first_of_group("".join(traceback.format_exception(group))) == ": AssertionError: a late picture"
    assert first_of_group("".join(traceback.format_exception(group.exceptions[0]))) == ""


FLAWED = """
import pathlib, pytest
here = pathlib.Path(__file__).parent
pytestmark = [{marker}]

@pytest.fixture(scope="module")
def look():
    made = here / ("made" + __name__)
    made.write_text(made.read_text() + "x" if made.exists() else "x")
    return len(made.read_text())

def test_first_look(look):
    assert look > 1, "a late picture"

def test_every_look(look):
    assert look > 9

def test_fine(look):
    pass

async def test_with_a_loop():
    assert {loops}, "a late timer"
"""


def test_what_waits_and_fails_is_looked_at_again_by_itself(tmp_path: Path) -> None:
    """By a pytest of its own: one failure by chance is told and forgiven; what fails twice, or computes, fails."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "test_waits.py").write_text(FLAWED.format(marker="pytest.mark.slow", loops=True))
    (tmp_path / "test_computes.py").write_text(FLAWED.format(marker="", loops=False))
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nmarkers = slow\nfilterwarnings = error\nasyncio_mode = auto\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "1"]
    told = subprocess.run(
        [*command, "--dist", "loadgroup", "-rf", "--no-cov", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"},
    )
    assert "4 failed, 4 passed, 3 rerun in" in told.stdout, told.stdout + told.stderr
    assert "RERUN test_waits.py::test_first_look - call: AssertionError: a late picture" in told.stdout
    assert "RERUN test_computes.py::test_with_a_loop - call: AssertionError: a late timer" in told.stdout
    assert "test_waits.py::test_every_look - assert 5 > 9" in told.stdout, (
        "both looks failed, the second when all had run"
    )
    assert "test_computes.py::test_first_look - AssertionError: a late picture" in told.stdout
