"""The unit of systemd: it names what there is, systemd understands it, and it leaves the service little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from camshaft.cli import cli
from common.config_leaves import leaves
from common.errors import AddressInUseError, ConfigError, NotNowError
from common.process import EXIT_CONFIG, EXIT_FAILED, exit_code

UNIT = Path(__file__).parents[2] / "deploy/systemd/camshaft.service"
TEXT = UNIT.read_text("utf-8")
MOST_EXPOSED = 2.0  # of 10, by systemd's own measure

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt install systemd"
)


def test_it_starts_a_command_of_ours_with_variables_that_exist() -> None:
    command = re.search(r"^ExecStart=/opt/camshaft/bin/camshaft (\S+)$", TEXT, re.MULTILINE)
    assert command is not None
    assert command[1] in cli.commands
    named = set(re.findall(r"\b(CAMSHAFT_\w+)=", TEXT))
    assert named
    assert named <= {leaf.variable for leaf in leaves()}


def test_only_what_starting_again_cannot_mend_ends_it_for_good() -> None:
    """Else a mistake in the file fills the log for ever, and what passes by itself leaves people without pictures."""
    final = re.search(r"^RestartPreventExitStatus=(.*)$", TEXT, re.MULTILINE)
    assert final is not None
    assert final[1] == str(EXIT_CONFIG)
    assert exit_code(ConfigError("")) == EXIT_CONFIG
    assert EXIT_CONFIG not in {exit_code(NotNowError("")), exit_code(AddressInUseError("", "", "")), EXIT_FAILED}


@needs_systemd
def test_systemd_understands_all_of_it(tmp_path: Path) -> None:
    there = tmp_path / "camshaft"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    unit = tmp_path / "camshaft.service"
    unit.write_text(TEXT.replace("/opt/camshaft/bin/camshaft", str(there)))
    found = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")
    assert "camshaft.service" not in found.stderr, "it says nothing of other units on this machine that are not right"


@needs_systemd
def test_it_is_left_little() -> None:
    found = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    level = re.search(r"Overall exposure level for camshaft\.service: (\d+\.\d)", found.stdout)
    assert level is not None, found.stderr
    assert float(level[1]) <= MOST_EXPOSED, found.stdout
