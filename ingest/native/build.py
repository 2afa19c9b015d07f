"""Builds the compiled shortcut of ingest's hot path when Camshaft is installed; setup.py names ``builder``.

It needs a C compiler and the headers of Python (Debian: gcc python3-dev). Where one is missing the installation goes on
without it (``optional``), and ingest does the same work in Python.
"""

import re
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).parent
_HEADER = (_HERE / "pictures.h").read_text()

builder = FFI()
builder.cdef(re.sub(r"/\*.*?\*/", "", _HEADER, flags=re.DOTALL))
builder.set_source(
    "ingest.native._pictures",
    '#include <stddef.h>\n#include <stdint.h>\n#include "pictures.h"',
    sources=["ingest/native/pictures.c"],
    include_dirs=[str(_HERE)],
    depends=["ingest/native/pictures.h"],
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
    optional=True,
)
