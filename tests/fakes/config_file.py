"""A configuration file that a test writes and loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.config import Config
from common.config_file import load
from common.config_leaves import Leaf, leaves
from common.errors import ConfigError


class Writer:
    """Writes a configuration file, loads it, and gives the error that this raises."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, text: str, environ: dict[str, str] | None = None) -> Config:
        self.path.write_text(text, "utf-8")
        return load(self.path, environ=environ or {})

    def error(self, text: str, environ: dict[str, str] | None = None) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ)
        assert "\n" not in str(caught.value)
        return caught.value

    def line(self, number: int) -> str:
        return f"{self.path}, line {number}"


def leaf(option: str) -> Leaf:
    """The setting of a command line's option."""
    return next(leaf for leaf in leaves() if leaf.option == option)
