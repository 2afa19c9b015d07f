"""Every input that the fuzzers have kept, again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.fuzz.native_parts import PARTS, compiler_missing
from tests.fuzz.table import CORPUS, TARGETS, corpus
from tests.fuzz.target import seconds

SLOWER = 5  # times that a machine may be slower than those that fuzz, or busier
MOST_BYTES = 1_500_000  # of all that is kept …
MOST_FILES = 5_000  # … so that it is replayed in seconds


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_is_kept_fails_or_is_slow(name: str) -> None:
    target = TARGETS[name]
    for data in corpus(name):
        spent = seconds(target, data)
        if spent > target.slow:
            spent = seconds(target, data, rounds=3)
        assert spent < SLOWER * target.slow, f"{spent * 1000:.0f} ms for {data[:80]!r}"


@pytest.mark.thorough
@pytest.mark.skipif(bool(compiler_missing()), reason=compiler_missing())
@pytest.mark.parametrize("name", PARTS)
def test_nothing_that_is_kept_trips_the_sanitizers_in_c(name: str, tmp_path: Path) -> None:
    kept = sorted((CORPUS / name).iterdir())
    PARTS[name].build_replay(tmp_path / "replay")
    done = subprocess.run([tmp_path / "replay", *kept], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(kept)} inputs\n"), done.stderr


def test_what_is_kept_belongs_to_a_target_and_is_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= {*TARGETS, *PARTS}
    kept = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert len(kept) < MOST_FILES
    assert sum(path.stat().st_size for path in kept) < MOST_BYTES
