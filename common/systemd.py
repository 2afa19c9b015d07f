"""A service's messages to systemd: that it is ready, that it lives, and that it is stopping; see sd_notify(3).

Each is a datagram to the socket that ``NOTIFY_SOCKET`` names. Where nobody named one, nothing is sent, and a datagram
that does not arrive is no reason to end: systemd then acts as if it had heard nothing, which is its own decision.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

READY, WATCHDOG, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
VARIABLES = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
"""The variables by which systemd tells its service. ``serve`` answers for its processes, so they are not told."""


def notify(state: str) -> None:
    """Tell systemd ``READY``, ``WATCHDOG`` or ``STOPPING``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # in the abstract namespace, of which containers make use
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.setblocking(False)  # the loop must not wait for a systemd that is busy
        out.sendto(state.encode(), address)


def watchdog(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Seconds within which systemd wants to hear ``WATCHDOG`` from process ``pid`` (ours), ``None`` if it does not."""
    meant_for = environ.get("WATCHDOG_PID", "")
    if meant_for and meant_for != str(os.getpid() if pid is None else pid):
        return None
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "")) / 1e6
    except ValueError:
        return None
    return seconds if seconds > 0 else None
