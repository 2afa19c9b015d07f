"""Builds the compiled reader of batches when Camshaft is installed; setup.py names ``builder``.

It needs a C compiler and the headers of Python (Debian: gcc python3-dev). Where one is missing the installation goes on
without it (``optional``), and batches are read in Python.
"""

import re
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).parent
_HEADER = (_HERE / "batches.h").read_text()

builder = FFI()
builder.cdef(re.sub(r"/\*.*?\*/", "", _HEADER, flags=re.DOTALL))
builder.set_source(
    "common.native._batches",
    '#include <stddef.h>\n#include <stdint.h>\n#include "batches.h"',
    sources=["common/native/batches.c"],
    include_dirs=[str(_HERE)],
    depends=["common/native/batches.h"],
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
    optional=True,
)
