"""Unix time for media: it never steps.

A machine's wall clock is set: by NTP after a start, by hand, by a virtual machine's host. Code that compares moments
by it takes a picture for an hour old, or waits an hour for a packet. So media is stamped by the monotonic clock, which
runs at the same pace, from where the wall clock stood when this process began. Times for people are wall time.
"""

from __future__ import annotations

import time

_BEGAN = time.time_ns() - time.monotonic_ns()


def unix_ns() -> int:
    """Nanoseconds since 1970 by a clock that is never set while this process lives."""
    return time.monotonic_ns() + _BEGAN
