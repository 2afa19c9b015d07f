"""Trickled candidates: the body of a WHEP ``PATCH``, ``application/trickle-ice-sdpfrag`` (RFC 8840). No I/O."""

from __future__ import annotations

from common.errors import RequestError

MAX_LINES = 1_000  # of one fragment
MAX_CANDIDATES = 100  # in one fragment: browsers send a handful for each network interface


def candidates(fragment: str) -> list[str]:
    """The candidates of a fragment, ``candidate:…`` each, and empty text where it says that there are no more.

    Raises ``RequestError`` if it is not a fragment.
    """
    if fragment.count("\n") > MAX_LINES:
        raise _malformed(f"it has more than {MAX_LINES} lines")
    found = []
    for line in fragment.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if len(name) != 1 or not equals:  # RFC 8866 5: <type>=<value>, the type is one character
            raise _malformed(f"{line[:40]!r} is not a line of SDP")
        if name != "a":
            continue
        if value.startswith("candidate:"):
            found.append(value)
        elif value == "end-of-candidates":
            found.append("")
    if not fragment.strip():
        raise _malformed("it is empty")
    if len(found) > MAX_CANDIDATES:
        raise RequestError(400, "too_many_candidates", f"No more than {MAX_CANDIDATES} candidates may come at once.")
    return found


def _malformed(problem: str) -> RequestError:
    return RequestError(400, "malformed_sdpfrag", f"The body is not an ICE fragment of SDP (RFC 8840): {problem}.")
