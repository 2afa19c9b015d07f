"""Trickled candidates: the body of a WHEP ``PATCH``, ``application/trickle-ice-sdpfrag`` (RFC 8840). No I/O.

They are checked, so that a client hears of its mistakes, and go no further: egress is a lite agent, which sends no
checks of its own to them (RFC 8445 2.5) and learns a viewer's addresses from the checks that come.
"""

from __future__ import annotations

from common.errors import RequestError

MAX_LINES = 1_000  # of one fragment
MAX_CANDIDATES = 100  # in one fragment: browsers send a handful for each network interface


def check_fragment(fragment: str) -> None:
    """Raises ``RequestError`` if it is not a fragment, or has too much of them."""
    if fragment.count("\n") > MAX_LINES:
        raise _malformed(f"it has more than {MAX_LINES} lines")
    candidates = 0
    for line in fragment.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if len(name) != 1 or not equals:  # RFC 8866 5: <type>=<value>, the type is one character
            raise _malformed(f"{line[:40]!r} is not a line of SDP")
        candidates += name == "a" and (value.startswith("candidate:") or value == "end-of-candidates")
    if not fragment.strip():
        raise _malformed("it is empty")
    if candidates > MAX_CANDIDATES:
        raise RequestError(400, "too_many_candidates", f"No more than {MAX_CANDIDATES} candidates may come at once.")


def _malformed(problem: str) -> RequestError:
    return RequestError(400, "malformed_sdpfrag", f"The body is not an ICE fragment of SDP (RFC 8840): {problem}.")
