"""The page of settings has every key, as the model has it."""

from __future__ import annotations

import runpy
from pathlib import Path

from common.config_leaves import leaves

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/settings.md"
tool = runpy.run_path(str(ROOT / "tools/settings-page"))


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text() == tool["page"](), "write it anew: .venv/bin/python tools/settings-page > docs/settings.md"


def test_every_setting_has_a_line_with_its_variable_option_and_text() -> None:
    page = PAGE.read_text()
    for leaf in leaves():
        assert f"| `{leaf.key}` | `{leaf.variable}` | `{leaf.option}` | " in page
        assert f" | {leaf.field.description} |" in page


def test_what_is_kept_by_name_has_its_keys_too() -> None:
    page = PAGE.read_text()
    for line in (
        "## `cameras.NAME`",
        "| `streams.sub.url` | has to be given |",
        "## `auth.tokens.NAME`",
        "| `sha256` |",
    ):
        assert line in page
    assert "streams.main" not in page  # another way to write `url`
