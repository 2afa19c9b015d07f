"""All viewers by WebRTC of a process: who comes, who is looked at when, and how each of them ends.

An offer costs a stranger nothing, so what an answer leaves behind is bounded: of the viewers that nothing was heard of
yet the oldest gives way to a new one. An honest viewer is heard of within a second, however many only ask.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from common import clock
from common.control import Ended, ViewerReport
from common.worker.link import Link
from egress.journal import Journal, tried_by
from egress.mux import Mux
from egress.probing import ROUND
from egress.viewer import RTCP_INTERVAL, Viewer
from egress.wire.addresses import Advertised
from egress.wire.ports import Ports

EARLY = 0.04  # seconds before a viewer is due in which a sweep is for it as well: the next may be half a second later
ENDS = 20  # sessions that a sweep ends, of a crowd that is gone at once: one takes 0.5 ms; the next one has the others
GAVE_WAY = "it never sent anything, and newer viewers needed its place (limits.unheard_viewers)"


class Viewers:
    """The viewers of a process that talk to its ``ports``. ``hurry`` is called when one of them is to be swept soon."""

    def __init__(
        self,
        link: Link,
        ports: Ports,
        addresses: Advertised,
        journal: Journal,
        hurry: Callable[[], object] = lambda: None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.mux = Mux(ports.hang_up)
        self._link = link
        self._ports = ports
        self._addresses = addresses
        self._journal = journal
        self._hurry = hurry
        self._viewers: dict[str, Viewer] = {}
        self._unheard: dict[str, Viewer] = {}  # those that no check has come from, as far as is known; oldest first
        self._restless: set[str] = set()  # those that were due again soon after their last sweep
        # As of their last sweep, of those with media and of those never heard of: all at once would take long.
        self._reports: dict[str, ViewerReport] = {}
        self._ends = 0  # sessions that were found to be over in this sweep
        self._silenced: set[str] = set()  # those that are over, and wait for a later one
        self._dropped = 0  # datagrams to the port, at the last sweep

    def __len__(self) -> int:
        return len(self._viewers)

    def __contains__(self, session: str) -> bool:
        return session in self._viewers

    def get(self, session: str) -> Viewer | None:
        """The viewer of a session."""
        return self._viewers.get(session)

    @property
    def settled(self) -> bool:
        """Whether each of them is looked at once in ``RTCP_INTERVAL``, and hurries where more is called for."""
        return not self._restless

    def add(self, viewer: Viewer, *, unheard: int) -> None:
        """Take a viewer, which nothing was heard of yet, and be left with ``unheard`` of that kind at most."""
        self._make_room(unheard)
        self._take(viewer)
        self._unheard[viewer.session] = viewer
        self.mux.add(viewer)
        self._journal.begin(viewer)

    def __iter__(self) -> Iterator[Viewer]:
        return iter(tuple(self._viewers.values()))

    def adopt(self, viewer: Viewer, now: float) -> None:
        """Take a viewer that another process had."""
        self._take(viewer)
        self.mux.adopt(viewer, now)
        self._journal.inherit(viewer, now)
        self.counters["viewers_inherited"] += 1

    def release(self, viewer: Viewer) -> None:
        """Let a viewer go that another process has now, and say nothing to it."""
        self._journal.look(viewer)
        self._forget(viewer)
        self.mux.release(viewer)

    def restarted(self, viewer: Viewer) -> None:
        """Take note of a viewer's new credentials."""
        self.mux.restarted(viewer)
        self._reports.pop(viewer.session, None)  # which is of before
        self.counters["ice_restarts"] += 1

    def remove(self, viewer: Viewer, reason: str) -> None:
        """End a viewer that the broker knows to be over."""
        self._journal.end(viewer, reason, self._offered, asyncio.get_running_loop().time())
        self._forget(viewer)
        viewer.close(unix_ns=clock.unix_ns())
        self.mux.remove(viewer)  # which closes its connections, after its last words

    def close(self) -> None:
        """End all viewers, as the process stops."""
        for viewer in tuple(self._viewers.values()):
            self.remove(viewer, "this process stops")

    def sweep(self, now: float) -> None:
        """To be called some times a second."""
        dropped, self._dropped = self._dropped, self._ports.dropped
        if dropped != self._dropped:
            for viewer in self._viewers.values():
                viewer.deaf_until(now)
        self._ends = 0
        for viewer in tuple(self._viewers.values()):
            if now + EARLY >= viewer.due and (self._ends < ENDS or viewer.session not in self._silenced):
                self._look(viewer, now)

    def reports(self, now: float) -> tuple[ViewerReport, ...]:
        """Each viewer as the control plane is told of it."""
        return tuple(
            self._reports.get(session) or self._report(viewer, now) for session, viewer in self._viewers.items()
        )

    def count(self, counters: Counter[str], reports: tuple[ViewerReport, ...]) -> None:
        """Add what is counted of them; ``reports`` are those of now."""
        counters.update(self.counters)
        counters.update(self.mux.counters)
        counters.update(self._journal.counters(self._viewers.values(), reports))

    def _look(self, viewer: Viewer, now: float) -> None:
        if not viewer.ended:
            viewer.sweep(now=now, unix_ns=clock.unix_ns())
        self._journal.look(viewer)
        if viewer.heard and self._unheard.pop(viewer.session, None) is not None:
            self._reports.pop(viewer.session, None)  # which says that nothing was heard
        if viewer.ended:
            if self._ends < ENDS:
                self._ends += 1
                self._end(viewer, viewer.ended)
            else:
                viewer.due = now
                self._silence(viewer)
            return
        self.mux.keep_consent(viewer, now)
        self.mux.probe(viewer, now)
        if viewer.due - now >= RTCP_INTERVAL:
            self._reports[viewer.session] = self._report(viewer, now)
            if viewer.feedback.alarming:
                self._link.report_soon()
        viewer.feedback.alarming = False
        if viewer.probing.waits:
            viewer.due = min(viewer.due, now + ROUND)
        (self._restless.add if viewer.due - now < RTCP_INTERVAL else self._restless.discard)(viewer.session)

    def _silence(self, viewer: Viewer) -> None:
        """Send nothing more to one that is over and waits for its end: its consent may be gone (RFC 7675 5.1)."""
        self._silenced.add(viewer.session)
        for sender in viewer.senders.values():
            sender.stop()

    def _report(self, viewer: Viewer, now: float) -> ViewerReport:
        report = viewer.report(now)
        return report if viewer.joined_at is not None else replace(report, tried=tried_by(viewer, self._offered))

    def _take(self, viewer: Viewer) -> None:
        self._viewers[viewer.session] = viewer
        self._restless.add(viewer.session)
        viewer.hurry = self._hurry

    def _forget(self, viewer: Viewer) -> None:
        del self._viewers[viewer.session]
        self._unheard.pop(viewer.session, None)
        self._reports.pop(viewer.session, None)
        self._restless.discard(viewer.session)
        self._silenced.discard(viewer.session)

    def _make_room(self, unheard: int) -> None:
        """Let the oldest viewer that was never heard of give way, if there are as many as may be."""
        while len(self._unheard) >= unheard:
            session, viewer = next(iter(self._unheard.items()))
            if viewer.heard:
                del self._unheard[session]
            else:
                self.counters["gave_way"] += 1
                self._end(viewer, GAVE_WAY)

    def _end(self, viewer: Viewer, reason: str) -> None:
        tried = tried_by(viewer, self._offered)
        self.remove(viewer, reason)
        self._link.send(Ended(viewer.session, reason, tried))

    @property
    def _offered(self) -> list[str]:
        return self._ports.offered(self._addresses.now)
