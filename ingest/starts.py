"""When a camera may be connected to: hosts do not wait for each other, and no host has many begin at once; no I/O.

A recorder has a hundred cameras at one address, and takes DESCRIBE and SETUP of each in turn: it gets ``AT_ONCE`` of
them, in the order in which they were asked for. A start is over when media comes or it has failed, and stands in
nobody's way for longer than ``LONGEST``: a dead channel would otherwise hold up those that live. What failed the last
time waits behind what did not. Processes that read
what is not RTSP stand in one line for all hosts, as sixteen that began at once took the cores for half a second; their
start is over when the process has begun, whatever the source does then.
"""

from __future__ import annotations

from dataclasses import dataclass

AT_ONCE = 5  # starts at one host
PROCESSES_AT_ONCE = 2  # each takes a second of a core to begin, and makes ingest wait while the system makes it
PROCESSES = "", 0  # instead of a host and port
LONGEST = 1.0  # seconds after which a start counts no more
POLL = 0.02  # seconds until it is worth asking again, for each ``AT_ONCE`` that come before


@dataclass(eq=False, slots=True)
class Start:
    """One attempt to connect to a camera at ``host``."""

    host: tuple[str, int]
    behind: bool = False  # those that are not
    begun: float | None = None


class Starts:
    """The starts of a process, ``at_once`` of those that name the same host and port."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._hosts: dict[tuple[str, int], list[Start]] = {}  # as they were asked for

    def busy(self, host: tuple[str, int]) -> bool:
        """Whether a start that is asked for now has to wait."""
        return len(self._hosts.get(host, ())) >= self._at_once

    def ask(self, host: tuple[str, int], *, behind: bool = False) -> Start:
        """Get into line for a start at a host and port, ``behind`` others if it is likely to fail. It has to be ended,
        whatever becomes of it."""
        start, line = Start(host, behind), self._hosts.setdefault(host, [])
        last = (at for at, each in enumerate(line) if each.begun is None and each.behind and not behind)
        line.insert(next(last, len(line)), start)
        return start

    def wait(self, start: Start, now: float) -> float:
        """Seconds to wait before this is asked again; 0: it has begun."""
        before = 0
        for each in self._hosts[start.host]:
            if each is start:
                break
            before += each.begun is None or now - each.begun < LONGEST
        if before < self._at_once:
            start.begun = now
            return 0.0
        return POLL * (before // self._at_once)

    def end(self, start: Start) -> None:
        """End the start; twice is fine."""
        line = self._hosts.get(start.host, [])
        if start in line:
            line.remove(start)
            if not line:
                del self._hosts[start.host]
