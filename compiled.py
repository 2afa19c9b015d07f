"""The parts of Camshaft that are written in C, built with cffi when it is installed; setup.py names each builder.

They need a C compiler and the headers of Python; the fan-out needs Linux and OpenSSL's headers as well (Debian: gcc
python3-dev libssl-dev). Where one is missing the installation goes on without that part (``optional``), and Python does
its work.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

_ROOT = Path(__file__).parent


def _part(folder: str, name: str, *libraries: str) -> FFI:
    """The builder of ``folder/name.c``, whose header says what Python may call, as the module ``_name`` beside it."""
    header = (_ROOT / folder / f"{name}.h").read_text()
    builder = FFI()
    builder.cdef(re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL))
    builder.set_source(
        f"{folder.replace('/', '.')}._{name}",
        f'#include <stddef.h>\n#include <stdint.h>\n#include "{name}.h"',
        sources=[f"{folder}/{name}.c"],
        include_dirs=[str(_ROOT / folder)],
        depends=[f"{folder}/{name}.h"],
        libraries=[*libraries],
        extra_compile_args=["-O2", "-Wall", "-Wextra"],
        optional=True,
    )
    return builder


batches = _part("common/native", "batches")  # reads a batch as it lies in its frame
fanout = _part("egress/native", "fanout", "crypto")  # encrypts and sends a parcel to all lanes of a group
pictures = _part("ingest/native", "pictures")  # takes an ordinary picture's payloads out of what came by TCP
