"""The table of all that there is to be fuzzed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz.native_parts import fuzzer_missing
from tests.fuzz.table import TARGETS, listed

DOCUMENT = Path(__file__).parents[2] / "docs/fuzzing.md"


def test_the_document_names_all_targets_and_no_others() -> None:
    found = re.findall(r"(?m)^\| `[\w-]+` \| .* \|$", DOCUMENT.read_text())
    assert found == listed(), "python -m tests.fuzz --list prints what it should be"


def test_without_clang_the_compiled_part_is_left_out_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "apt-get install clang" in fuzzer_missing()


def test_every_target_has_something_to_start_with() -> None:
    assert [name for name, target in TARGETS.items() if not target.seeds] == []


def test_every_target_grows_but_the_handshake_whose_datagrams_are_few() -> None:
    assert [name for name, target in TARGETS.items() if not target.grow] == ["dtls-handshake"]
