"""NAL units made into packets: whole, in aggregation packets and in fragmentation units; no I/O.

RFC 6184 5.6 to 5.8 for H.264; RFC 7798 4.4.1 to 4.4.3 says the same of H.265, with a header of two bytes. Each fragment
but the last fills ``MAX_PAYLOAD`` exactly: equal sizes are what UDP segmentation offload takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.media import MAX_PAYLOAD

FragmentHeaders = tuple[bytes, bytes, bytes]  # before the first fragment of a NAL unit, those between, and the last


def cut(payloads: list[bytes], first: bytes, between: bytes, data: bytes, keep: int) -> int:
    """Append full fragments of ``data`` to ``payloads`` as long as ``keep`` bytes are left behind each.

    ``first`` stands before the first of them, ``between`` before the others. Returns where the rest begins.
    """
    size = MAX_PAYLOAD - len(between)
    at, last = 0, len(data) - size - keep
    append = payloads.append
    while at <= last:
        append(first + data[at : at + size])
        first = between
        at += size
    return at


def end(payloads: list[bytes], headers: FragmentHeaders, data: bytes, begun: bool) -> None:
    """Append the last fragments of a NAL unit of which ``data`` is left; ``begun``: others have been sent."""
    first, between, last = headers
    at = cut(payloads, between if begun else first, between, data, 1)
    payloads.append(last + (data[at:] or b"\0"))  # an empty fragment would be no packet


def aggregate(header: bytes, units: Sequence[bytes]) -> bytes:
    """One aggregation packet of several NAL units (RFC 6184 5.7.1, RFC 7798 4.4.2). ``header`` is the packet's own."""
    return header + b"".join(len(unit).to_bytes(2) + unit for unit in units)
