"""``make wheel`` where the temporary directory is another file system, and where pip fails."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NAME = "camshaft-0.1.0-py3-none-any.whl"


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader = SourceFileLoader("make_wheel", str(ROOT / "tools/make-wheel"))
    spec = importlib.util.spec_from_loader("make_wheel", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_wheel_is_moved_to_another_file_system(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pip(*words: object) -> None:
        fresh = Path(str(words[-2]))
        fresh.mkdir()
        (fresh / NAME).write_text("a wheel")

    def elsewhere(*_args: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(tool, "pip", pip)
    monkeypatch.setattr(os, "rename", elsewhere)
    monkeypatch.setattr(os, "replace", elsewhere)
    built = tool.build(tmp_path, tmp_path / "dist")
    assert built == tmp_path / "dist" / NAME
    assert built.read_text() == "a wheel"


def test_a_failure_of_pip_is_one_sentence_and_no_traceback(
    tool: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_args: object) -> Path:
        raise subprocess.CalledProcessError(1, ["python", "-m", "pip", "wheel"])

    monkeypatch.setattr(tool, "build", build)
    monkeypatch.setattr("sys.argv", ["make-wheel"])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "make-wheel: python -m pip wheel failed; what it says is above\n"
