"""The tests of ``egress.native`` once more, with its C built for the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from egress import native
from tests.fuzz import native_fanout

MISSING = native_fanout.sanitizer_missing() if native.BUILT else f"egress.native was not built: it needs {native.NEEDS}"

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

RUN = """
import importlib.util, sys, pytest
spec = importlib.util.spec_from_file_location("egress.native._fanout", sys.argv[1])
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def run_with(extension: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Tests of ``egress.native`` in a Python that loads ``extension`` for it."""
    command = [sys.executable, "-c", RUN, str(extension), str(Path(__file__).with_name("test_native.py")), *arguments]
    environment = native_fanout.sanitized_environment()
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)


def test_nothing_that_its_tests_do_trips_the_sanitizers(tmp_path: Path) -> None:
    extension = tmp_path / "fanout.so"
    native_fanout.build_extension(extension)
    done = run_with(extension)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_the_sanitizers_see_a_byte_too_many(tmp_path: Path) -> None:
    planted, right, wrong = (
        tmp_path / "planted.c",
        "memcpy(at, header, run->header_size)",
        "memcpy(at, header + 2, run->header_size)",
    )
    text = native_fanout.FANOUT.read_text()
    assert right in text
    planted.write_text(text.replace(right, wrong))
    extension = tmp_path / "fanout.so"
    native_fanout.build_extension(extension, planted)
    done = run_with(extension, "-k", "numbers_wrap_within_a_run")
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stderr
