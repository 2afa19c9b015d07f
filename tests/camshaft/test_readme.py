"""The README promises what the program has."""

from __future__ import annotations

import re
from pathlib import Path

from camshaft.cli import cli
from common.config_file import load

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_configuration_example_is_valid(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example
    file = tmp_path / "camshaft.yaml"
    file.write_text(example[1])
    assert list(load(file, environ={}).cameras) == ["front-door", "yard"]


def test_commands_of_the_readme_exist() -> None:
    for words in re.findall(r"camshaft ((?:[a-z-]+ ?)+)", README):
        name = words.split()[0]
        if name in ("demo-camera", "camera", "serve", "broker", "relay", "ingest", "egress", "demo", "probe"):
            assert name in cli.commands, name
