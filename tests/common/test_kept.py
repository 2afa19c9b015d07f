"""The text that a supervisor keeps for processes that begin while the file has a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.config import Config
from common.config_file import load, put_together
from common.errors import ConfigError
from common.kept import KEPT_FD, Kept, kept_text
from common.reloader import Reloader

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only Linux has such memory")
def test_a_process_reads_what_was_kept_last(kept: Kept) -> None:
    script = "from common.kept import kept_text; print(kept_text())"
    environ = os.environ | {name: str(fd) for name, fd in kept.inherited.items()}
    told = []
    for text in ("", "cameras: {a: {url: 'rtsp://ü/'}}", "{}"):
        kept.keep(text)
        command = [sys.executable, "-c", script]
        fds = tuple(kept.inherited.values())
        told.append(subprocess.run(command, cwd=ROOT, env=environ, pass_fds=fds, capture_output=True, text=True).stdout)
    assert told == ["None\n", "cameras: {a: {url: 'rtsp://ü/'}}\n", "{}\n"]


@pytest.mark.parametrize("value", ["", "x", "-1", "9999", "99999999999999999999", "0"])
def test_a_variable_that_names_no_such_memory_is_none(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEPT_FD, value)
    assert kept_text() is None


def test_a_process_without_a_supervisor_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEPT_FD, raising=False)
    assert kept_text() is None


def test_what_was_kept_is_taken_only_where_the_file_has_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "camshaft.yaml"

    def reloader(kept: str | None) -> Reloader:
        def of_before() -> Config | None:
            return None if kept is None else put_together(file, environ={}, text=kept).validate()

        return Reloader(lambda: load(file, environ={}), (file,), kept=of_before)

    file.write_text("limits: {offers: 1}")
    assert reloader("limits: {offers: 2}").config.limits.offers == 1
    file.write_text("limits: {offers: 1}\nx: 1")
    begun = reloader("limits: {offers: 2}")
    assert (begun.config.limits.offers, begun.live.running.limits.offers) == (2, 2)
    assert begun.problem is not None
    assert begun.problem.key == "x"
    with pytest.raises(ConfigError, match="x: unknown key"):
        reloader(None)
    with pytest.raises(ConfigError, match="y: unknown key"):
        reloader("y: 1")
