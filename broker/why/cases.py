"""The sessions of which something is to be told: those that there are, and the last that were over. No I/O.

Bounded: of sessions that go on only what nobody else keeps (from where the offer came, what the page told), and of
those that are over, and of offers that limits refused, the newest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from broker.why.evidence import Evidence, PageReport
from common.sessions import SessionName

MAX_OPEN = 20_000  # sessions: twice what limits.sessions lets in; of more, the oldest have no page's side
MAX_TOLD = 16 << 20  # bytes of text of all pages together; beyond that the oldest sayings are forgotten
MAX_TURNED_AWAY = 100  # refusals of different kinds: apart, since a flood of offers is not to wash away what was over
MAX_OVER = 1_000  # that are over, 2 kB each: a person asks within the hour, and others come and go meanwhile


@dataclass(slots=True)
class Sight:
    """The parts of a session's evidence that the front door sees."""

    address: str = ""
    since: float = 0.0  # Unix time of the answer; 0 where an earlier broker passed it on
    page: PageReport | None = None


class Cases:
    """All of them."""

    def __init__(self) -> None:
        self._open: dict[SessionName, Sight] = {}
        self._told: dict[SessionName, int] = {}  # bytes that each one's page told, the latest last …
        self._bytes = 0  # … and of all
        self._over: dict[str, Evidence] = {}  # by public name, oldest first
        self._turned_away: dict[str, Evidence] = {}  # by a name for all that are alike, oldest first

    def asked(self, session: SessionName, address: str, now: float) -> None:
        """Open a case: an offer came from this address, and was answered. ``now`` is Unix time."""
        self._forget(session)
        self._open[session] = Sight(address, now)
        self._make_room()

    def told(self, session: SessionName, page: PageReport) -> None:
        """Note what the session's page tells of it. The last counts."""
        self._forget(session)
        self._open.setdefault(session, Sight()).page = page
        self._told[session] = page.size
        self._bytes += page.size
        self._make_room()

    def sight(self, session: SessionName) -> Sight:
        """The front door's part of the evidence of a session that goes on."""
        return self._open.get(session, Sight())

    def close(self, session: SessionName, evidence: Evidence) -> None:
        """Note that the session is over, or its offer refused. The first thing that is said of its end counts."""
        self._forget(session)
        self._open.pop(session, None)
        if evidence.session not in self._over:
            self._over[evidence.session] = evidence
            if len(self._over) > MAX_OVER:
                del self._over[next(iter(self._over))]

    def turned_away(self, evidence: Evidence) -> None:
        """Count an offer that a limit refused: those of one kind, by the name in ``evidence``, are one case."""
        before = self._turned_away.pop(evidence.session, None)
        times = 1 if before is None else before.times + 1
        self._turned_away[evidence.session] = replace(evidence, times=times)
        if len(self._turned_away) > MAX_TURNED_AWAY:
            del self._turned_away[next(iter(self._turned_away))]

    def _forget(self, session: SessionName) -> None:
        """The session's page has told nothing."""
        self._bytes -= self._told.pop(session, 0)
        if (sight := self._open.get(session)) is not None:
            sight.page = None

    def _make_room(self) -> None:
        while self._bytes > MAX_TOLD:
            self._forget(next(iter(self._told)))
        if len(self._open) > MAX_OPEN:
            oldest = next(iter(self._open))
            self._forget(oldest)
            del self._open[oldest]

    def find(self, name: str) -> Evidence | None:
        """The session of this public name, if it is one of the last that were over or refused."""
        return self._over.get(name) or self._turned_away.get(name)

    @property
    def over(self) -> Iterator[Evidence]:
        """The sessions that were over or refused last, newest first."""
        found = [*reversed(self._turned_away.values()), *reversed(self._over.values())]
        return iter(sorted(found, key=_at, reverse=True))  # others come while somebody goes through them


def _at(evidence: Evidence) -> float:
    return evidence.at
