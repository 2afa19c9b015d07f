"""Builds the compiled half of the fan-out when Camshaft is installed; setup.py names ``builder``.

It needs Linux, a C compiler, and the headers of Python and of OpenSSL (Debian: gcc python3-dev libssl-dev). Where one
is missing the installation goes on without it (``optional``), and egress does the same work in Python.
"""

import re
from pathlib import Path

from cffi import FFI

_HERE = Path(__file__).parent
_HEADER = (_HERE / "fanout.h").read_text()

builder = FFI()
builder.cdef(re.sub(r"/\*.*?\*/", "", _HEADER, flags=re.DOTALL))
builder.set_source(
    "egress.native._fanout",
    '#include <stddef.h>\n#include <stdint.h>\n#include "fanout.h"',
    sources=["egress/native/fanout.c"],
    include_dirs=[str(_HERE)],
    depends=["egress/native/fanout.h"],
    libraries=["crypto"],
    extra_compile_args=["-O2", "-Wall", "-Wextra"],
    optional=True,
)
