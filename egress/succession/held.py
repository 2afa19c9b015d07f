"""Offers that wait while all is handed over; no I/O.

The successor answers them if it gets all: the broker sends it those that nobody has answered. If nothing comes of it,
this process answers those that somebody still waits for. What strangers send is kept within bounds meanwhile; an offer
beyond them is refused, and another egress asked.
"""

from __future__ import annotations

from collections import OrderedDict

from common.control import Offer
from common.sessions import SessionName

MAX_OFFERS = 1_000  # as many as a rush of viewers has …
MAX_CHARACTERS = 8 << 20  # … with a browser's SDP
PATIENCE = 5.0  # seconds for which the broker waits for an answer; then its viewer has been refused


class HeldOffers:
    """All of one process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._offers: OrderedDict[SessionName, tuple[Offer, float]] = OrderedDict()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._offers)

    def add(self, offer: Offer, now: float) -> bool:
        """Keep an offer; ``False`` if there is no room for it. One that comes again is kept once."""
        while self._offers and now - next(iter(self._offers.values()))[1] > PATIENCE:
            self.drop(next(iter(self._offers)))
        self.drop(offer.session)
        if len(self._offers) >= MAX_OFFERS or self._characters + len(offer.sdp) > MAX_CHARACTERS:
            return False
        self._offers[offer.session] = offer, now
        self._characters += len(offer.sdp)
        return True

    def drop(self, session: SessionName) -> None:
        """Forget an answer that nobody waits for any more."""
        held = self._offers.pop(session, None)
        if held is not None:
            self._characters -= len(held[0].sdp)

    def take(self, now: float) -> list[Offer]:
        """All offers that somebody still waits for; none is kept any longer."""
        waiting = [offer for offer, since in self._offers.values() if now - since <= PATIENCE]
        self._offers.clear()
        self._characters = 0
        return waiting
