"""Which request keeps a camera's sessions alive, learnt from those it ended; no I/O, time is an argument.

One ``Keepalive`` a camera, for all of its sessions. GW Security and Hipcam cameras announce GET_PARAMETER and close the
connection when it comes; others stop sending, or let a session end that only got OPTIONS. So a request that is followed
by the end of a session is not used again, and the next one is; the last resorts are GET_PARAMETER though it was not
announced, and to say nothing but RTCP. A request
that has kept a session alive once needs two such ends, because cameras also end for other reasons.
"""

from __future__ import annotations

METHODS = ("GET_PARAMETER", "OPTIONS", "SET_PARAMETER")  # in the order they are tried; the last resort is none
AFTERMATH = 7.0  # seconds: a session that ends so soon after a request may have ended of it; silence shows after 5
LIFETIME = (0.9, 1.5)  # parts of the session's timeout after which an end means that nothing kept it alive
DOUBTS = 2  # ends in a row after which a request that was good is not used any more


class Keepalive:
    """See the module's text. The session calls ``begin``, then ``sent`` and ``answered``; ``ended`` when it broke."""

    def __init__(self) -> None:
        self._public: tuple[str, ...] = ()  # of ``METHODS``: it is remembered for long, and cameras name any number
        self._harmful: set[str] = set()
        self._refused: set[str] = set()  # in this session
        self._good: set[str] = set()
        self._doubts = 0  # ends in a row that came after the present method, which had been good
        self._began = 0.0
        self._asked = ""  # the last request of this session …
        self._sent_at: float | None = None  # … and when that was

    @property
    def method(self) -> str:
        """The method to ask next; empty for none."""
        possible = [method for method in METHODS if method == "OPTIONS" or method in self._public]
        if "GET_PARAMETER" not in possible:  # EvoStream wants nothing else, and does not announce it
            possible.append("GET_PARAMETER")
        return next((method for method in possible if method not in self._harmful | self._refused), "")

    def begin(self, public: frozenset[str], now: float) -> None:
        """Choose the request that keeps a session alive; ``public`` is what the camera says it understands."""
        self._public, self._began = tuple(method for method in METHODS if method in public), now
        self._refused.clear()
        self._sent_at = None

    def sent(self, now: float) -> None:
        """Note that the interval has passed, and ``method`` is asked if there is one."""
        if self._sent_at is not None:
            self._good.add(self._asked)
        self._asked, self._sent_at = self.method, now

    def refused(self, method: str) -> None:
        """Note an error as the answer. OPTIONS is asked all the same: its errors keep sessions alive too."""
        if method in ("GET_PARAMETER", "SET_PARAMETER"):
            self._refused.add(method)

    def ended(self, now: float, timeout: float) -> None:
        """Learn from a session that broke. By the camera's word it lives ``timeout`` seconds without a request."""
        method, sent_at, self._sent_at = self._asked, self._sent_at, None
        if sent_at is None:
            return
        least, most = (part * timeout for part in LIFETIME)
        if now - sent_at > AFTERMATH and not least <= now - self._began <= most:
            self._doubts = 0
            return
        if method in self._good:
            self._doubts += 1
            if self._doubts < DOUBTS:
                return
        self._doubts = 0
        self._harmful.add(method)
        if "" in self._harmful:  # nothing helps: perhaps it was never the keepalive
            self._harmful.clear()
            self._good.clear()
