"""The tests of ``ingest.native`` once more, with its C built for the address and undefined-behaviour sanitizers."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest import native
from tests.fuzz.native_parts import PICTURES, sanitizer_missing

MISSING = sanitizer_missing() if native.BUILT else f"ingest.native was not built: it needs {native.NEEDS}"
TESTS = Path(__file__).with_name("test_native.py")

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


def test_nothing_that_its_tests_do_trips_the_sanitizers(tmp_path: Path) -> None:
    extension = tmp_path / "pictures.so"
    PICTURES.build_extension(extension)
    done = PICTURES.run_tests(extension, TESTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_the_sanitizers_see_a_byte_too_many(tmp_path: Path) -> None:
    planted, right, wrong = tmp_path / "planted.c", "if (length > (size_t)(end - at - FRAME)) return 0;", ""
    text = PICTURES.source.read_text()
    assert right in text
    planted.write_text(text.replace(right, wrong))
    extension = tmp_path / "pictures.so"
    PICTURES.build_extension(extension, planted)
    done = PICTURES.run_tests(extension, TESTS, "-k", "no_beginning_of_a_picture")
    assert done.returncode != 0
    assert "AddressSanitizer: " in done.stderr  # an overflow of the heap, or worse if what lies there is nobody's
