"""The parts of Camshaft that are written in C, built with cffi when it is installed; setup.py names each builder.

They need a C compiler and the headers of Python; the fan-out needs Linux and OpenSSL's headers as well (Debian: gcc
python3-dev libssl-dev). Where one is missing the installation goes on without that part (``optional``), and Python does
its work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cffi import FFI

_ROOT = Path(__file__).parent


def _part(module: str, *parts: str, libraries: Sequence[str] = ()) -> FFI:
    """The builder of a module made of these C files; each has a header beside it, which says what Python may call."""
    headers = [_ROOT / f"{part}.h" for part in parts]
    builder = FFI()
    for header in headers:
        builder.cdef(re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL))
    builder.set_source(
        module,
        "\n".join(["#include <stddef.h>", "#include <stdint.h>", *(f'#include "{header.name}"' for header in headers)]),
        sources=[f"{part}.c" for part in parts],
        include_dirs=sorted({str(header.parent) for header in headers}),
        depends=[f"{part}.h" for part in parts],
        libraries=[*libraries],
        extra_compile_args=["-O2", "-Wall", "-Wextra"],
        optional=True,
    )
    return builder


batches = _part("common.native._batches", "common/native/batches")  # reads a batch as it lies in its frame
# A parcel to all lanes of a group; a picture that is due from its batch to there.
fanout = _part(
    "egress.native._fanout",
    "egress/native/fanout",
    "egress/native/passing",
    "common/native/batches",
    libraries=["crypto"],
)
# The payloads of an ordinary picture that came by TCP; a picture or piece of sound from there to its batch.
pictures = _part("ingest.native._pictures", "ingest/native/pictures", "ingest/native/express")
