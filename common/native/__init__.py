"""The compiled reader of batches, where it was built.

``batches.c`` says what an ordinary batch is, as nearly all are, and reads it where it lies. All else goes the way
through msgpack, and so do ordinary batches where nothing was built: the same comes of it, for twice the processor's
time and, where other work has had the processor's caches meanwhile, for three times as much.
"""

from __future__ import annotations

from typing import Any

try:
    from common.native._batches import ffi, lib
except ImportError:  # no compiler or no headers when Camshaft was installed
    ffi = lib = None

BUILT = lib is not None
NEEDS = "a C compiler and the headers of Python (Debian: gcc python3-dev)"

_found: Any = ffi.new("int64_t[]", lib.CAMSHAFT_FOUND) if BUILT else None


def read_batch(frame: bytes, at: int, most: int, packets: int) -> list[int] | None:
    """The batch from ``at`` to the end of ``frame``, in numbers; ``None`` if it is no ordinary one.

    They are its own six, where its kind and codec end, and what ``common.packed.Packed`` has of its payloads, of
    which there may be so many ``packets`` of ``most`` bytes. Not for two threads at once.
    """
    if not lib.camshaft_read_batch(frame, len(frame), at, most, packets, _found):
        return None
    found: list[int] = ffi.unpack(_found, lib.CAMSHAFT_FOUND)
    return found
