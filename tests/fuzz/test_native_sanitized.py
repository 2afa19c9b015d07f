"""The tests of each compiled part once more, with its C built for the address and undefined-behaviour sanitizers."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

import common.native
import egress.native
import ingest.native
from tests.fuzz.native_parts import BATCHES, FANOUT, PICTURES, Part, sanitizer_missing

TESTS = Path(__file__).parents[1]
OF_EGRESS = [each for each in (TESTS / "egress/native").glob("test_*.py") if each.stem != "test_books"]  # Python's
MISSING = sanitizer_missing()


def built(native: ModuleType, *values: object) -> object:
    """A case for a part that was compiled here; it is skipped where that cannot be."""
    missing = MISSING if native.BUILT else f"{native.__name__} was not built: it needs {native.NEEDS}"
    return pytest.param(*values, id=native.__name__, marks=pytest.mark.skipif(bool(missing), reason=missing))


pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    ("part", "tests"),
    [
        built(common.native, BATCHES, ["common/test_native.py"]),
        built(egress.native, FANOUT, OF_EGRESS),
        built(ingest.native, PICTURES, ["ingest/test_native.py", "ingest/test_express.py"]),
    ],
)
def test_nothing_that_its_tests_do_trips_the_sanitizers(part: Part, tests: list[str | Path], tmp_path: Path) -> None:
    extension = tmp_path / "native.so"
    part.build_extension(extension)
    done = part.run_tests(extension, *(TESTS / each for each in tests))
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    assert done.returncode == 0, "\n".join([*failed, done.stdout, done.stderr])
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.skipif(bool(MISSING) or not common.native.BUILT, reason=MISSING or "there is no C compiler")
def test_the_sanitizers_see_a_byte_too_many(tmp_path: Path) -> None:
    """One part stands for all: they are built and loaded alike."""
    planted, extension = tmp_path / "planted.c", tmp_path / "native.so"
    text, check = BATCHES.source.read_text(), "if (size > left(in)) return 0;"
    assert check in text
    planted.write_text(text.replace(check, ""))
    BATCHES.build_extension(extension, planted)
    done = BATCHES.run_tests(extension, TESTS / "common/test_native.py", "-k", "nothing_is_read_where_nothing_is")
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
