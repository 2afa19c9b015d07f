"""The compiled fan-out is there where it can be."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path as File

import pytest

from egress import native


def test_it_was_built_where_it_can_be(tmp_path: File) -> None:
    """Its failure would not be noticed otherwise: the installation goes on without it."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()
    source = tmp_path / "headers.c"
    source.write_text("#include <Python.h>\n#include <openssl/evp.h>\n")
    command = [*compiler, "-E", "-I", sysconfig.get_path("include"), str(source)]
    if sys.platform != "linux" or shutil.which(compiler[0]) is None:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    assert native.BUILT
