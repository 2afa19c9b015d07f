"""A fork of the nursery begins as the command of its name would."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from camshaft.beginning import begin
from camshaft.cli import cli
from camshaft.plan import programs
from common.config import Config

PLAN = programs(Config(), {}, cores=1, demo_port=1)


@pytest.mark.parametrize("arguments", [program.arguments for program in PLAN if program.name != "demo-camera"])
@pytest.mark.parametrize("variable", ["CAMSHAFT_LOG_LEVEL", "CAMSHAFT_CONFIG"])
def test_a_mistake_is_told_as_by_the_command(
    arguments: Sequence[str], variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, "nowhere")
    by_command = CliRunner().invoke(cli, arguments)
    with pytest.raises(SystemExit) as caught:
        begin(arguments)
    assert (caught.value.code, capsys.readouterr().err) == (by_command.exit_code, by_command.stderr)
    assert by_command.exit_code
    assert variable in by_command.stderr or "nowhere" in by_command.stderr


def test_what_is_no_process_of_ours_is_left_to_the_command_line() -> None:
    (camera,) = [program for program in PLAN if program.name == "demo-camera"]
    assert not begin(camera.arguments)
    assert not begin(["viewers"])
    assert not begin(["egress", "--help", "x"])
