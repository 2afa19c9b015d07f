"""Keys in a session description: ``a=crypto`` (RFC 4568)."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable

from ingest.srtp.keys import SUITES, Keys

MAX_MKI = 128  # bytes (RFC 4568 6.1)
# Tag, suite, the first key, and session parameters. Those behind a further key, or that change how packets are made,
# are not understood.
_CRYPTO = re.compile(
    r"\d{1,9}\s+([\w-]{1,64})\s+inline:([^;\s|]{1,128})((?:\|[^;\s|]{1,64}){0,2})((?:\s+\S{1,64}){0,8})\s*"
)
_HARMLESS = re.compile(r"WSH=\d+|KDR=0", re.IGNORECASE)
_MKI = re.compile(r"\|(\d{1,39}):(\d{1,3})")


def read(attributes: Iterable[str]) -> Keys | None:
    """The keys of the first attribute that is understood; ``None`` if none is."""
    for text in attributes:
        if (match := _CRYPTO.fullmatch(text)) and (suite := SUITES.get(match[1].upper())):
            master, mki = _decoded(match[2]), _mki(match[3])
            strange = [each for each in match[4].split() if not _HARMLESS.fullmatch(each)]
            if len(master) == suite.master_size and mki is not None and not strange:
                return Keys(suite, master, mki)
    return None


def _decoded(text: str) -> bytes:
    """RFC 4568 6.1: Base64. Some leave its padding out."""
    try:
        return b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except ValueError:
        return b""


def _mki(text: str) -> bytes | None:
    """The MKI behind a lifetime or without one; ``None`` for what is none."""
    match = _MKI.search(text)
    if match is None:
        return b""
    value, size = int(match[1]), int(match[2])
    return value.to_bytes(size) if size <= MAX_MKI and value < 1 << 8 * size else None
