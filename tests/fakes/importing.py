"""Another program's file as one of ours, read as ``serve`` reads it."""

from __future__ import annotations

from pathlib import Path

import yaml

from camshaft.importing.convert import convert, write
from camshaft.importing.found import Found
from common.config import Config
from common.config_file import load


def taken(
    text: str, tmp_path: Path, environ: dict[str, str] | None = None, program: str = ""
) -> tuple[Config, Found, str]:
    """The configuration that our own program makes of what is written."""
    found = convert(yaml.safe_load(text), program)
    written = write(found, "their.yaml")
    file = tmp_path / "camshaft.yaml"
    file.write_text(written, "utf-8")
    return load(file, environ=environ or {}), found, written
