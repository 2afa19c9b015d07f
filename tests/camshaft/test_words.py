"""Options and commands as other programs call them are answered with ours."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from camshaft import words
from camshaft.cli import cli


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve --port 80", "No such option '--port'; Camshaft calls it --http-listen"),
        ("serve -p 80", "Camshaft calls it --http-listen"),
        ("serve --verbose", "Camshaft calls it --log-level"),
        ("serve --url rtsp://192.0.2.7/", "Camshaft calls it --camera"),
        ("serve --conf a.yaml", "Camshaft calls it --config"),
        ("broker --port 80", "Camshaft calls it --http-listen"),
        ("ingest --verbose", "Camshaft calls it --log-level"),
        ("ingest --port 80", "No such option '--port'"),
        ("start", "No such command 'start'; Camshaft calls it serve"),
        ("version", "Camshaft calls it --version"),
        ("help", "Camshaft calls it --help"),
        ("status", "Camshaft calls it nodes"),
        ("nothing", "No such command 'nothing'"),
        ("serve rtsp://192.0.2.7/live", "put the camera's address after --camera"),
    ],
)
def test_who_types_the_word_of_another_program_is_told_ours(line: str, said: str) -> None:
    result = CliRunner().invoke(cli, line.split())
    assert result.exit_code == 2
    assert said in result.output
    assert ("Camshaft calls it" in result.output) == ("Camshaft calls it" in said)


def test_each_word_of_ours_is_one() -> None:
    options = {option for command in cli.commands.values() for each in command.params for option in each.opts}
    options |= {option for each in cli.commands["camera"].commands["list"].params for option in each.opts}  # type: ignore[attr-defined]  # a group
    assert set(words._OPTIONS.values()) <= options
    assert {word for word in words._COMMANDS.values() if not word.startswith("-")} <= set(cli.commands)
