"""The README promises what the program has."""

from __future__ import annotations

import re
from pathlib import Path

from camshaft.cli import cli
from common.config import Leaf, leaves
from common.config_file import load

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def row(leaf: Leaf) -> str:
    if leaf.field.default_factory is not None:
        default = "a private directory of yours"
    else:
        value = ", ".join(leaf.field.default) if isinstance(leaf.field.default, tuple) else leaf.field.default
        default = f"`{value}`" if value not in (None, "") else ""
    name = f"`{leaf.section}.{leaf.key}`"
    return f"| {name} | `{leaf.variable}` | `{leaf.option}` | {default} | {leaf.field.description} |"


def test_configuration_table_has_every_key() -> None:
    table = re.search(r"<!-- configuration table[^\n]*\n(.*)<!-- end of the table", README, re.DOTALL)
    assert table
    wanted = ["| key | variable | option | default | what |", "|---|---|---|---|---|", *map(row, leaves())]
    assert table[1].strip().splitlines() == wanted, "\n".join(["the README's table should be:", *wanted])


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
