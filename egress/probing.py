"""Asks a viewer that loses much which sizes of datagrams it gets: checks of ours, padded, where its media goes; pure.

Every ICE agent answers a check, whatever attributes it does not know (RFC 8489 6.3.1), so the answer to a padded one is
a proof that needs no help of its player. It costs two rounds of some ten checks a second, while the search goes on.
"""

from __future__ import annotations

from egress.feedback import Feedback
from egress.path.quality import PathQuality
from egress.path.sizes import BARE, Sizes
from egress.wire.ice import IceAgent, Pair, Path
from egress.wire.stun import BindingResponse

UNREPORTED = 3.0  # seconds with media in which every receiver reports that something has arrived
ROUND = 0.5  # seconds for the answers to checks, and more where two round trips take longer


class Probing:
    """The search on one viewer's path, whose findings are its ``quality.sizes``. Times are monotonic seconds."""

    def __init__(self, agent: IceAgent, quality: PathQuality, feedback: Feedback) -> None:
        self._agent, self._quality, self._feedback = agent, quality, feedback
        self._unreported_since: float | None = None
        self._pair: Pair | None = None  # that is asked
        self._asked: dict[bytes, int] = {}  # sizes by transaction that were not answered yet
        self._asked_at = float("-inf")

    def checks(self, now: float) -> list[bytes]:
        """The checks to be sent on the selected pair now: none while little is lost, or answers are waited for."""
        pair = self._agent.selected_pair
        if pair is not self._pair:
            self._begin_anew(pair)
        if not self._loses(now) or pair is None or not self._agent.answers or not pair.consents(now):
            self._asked.clear()
            return []
        if self._asked:
            if now - self._asked_at < max(ROUND, 2 * (pair.round_trip or 0.0)):
                return []
            self._missed(now)
        sizes = self._quality.sizes.wanted(now)
        checks = [self._agent.padded_check(pair, size) for size in (BARE, *sizes)] if sizes else []
        self._asked = {check.transaction: size for check, size in zip(checks, (BARE, *sizes), strict=False)}
        self._asked_at = now
        return [check.datagram for check in checks]

    @property
    def waits(self) -> bool:
        """Whether answers are waited for: the next round is due soon."""
        return bool(self._asked)

    def answered(self, response: BindingResponse, path: Path, now: float) -> bool:
        """Take a response: ``True`` if it answers one of these checks."""
        pair = self._pair
        if pair is None or path.remote != pair.path.remote or response.transaction not in self._asked:
            return False
        if not response.verify(pair.generation.remote.password):
            return False
        self._quality.sizes.arrived(self._asked.pop(response.transaction), now)
        return True

    def _loses(self, now: float) -> bool:
        """Whether much of what it is sent does not arrive: by its reports, or as it never sends one."""
        feedback = self._feedback
        if not feedback.unreported:
            self._unreported_since = None
        elif self._unreported_since is None:
            self._unreported_since = now
        silent = self._unreported_since is not None and now - self._unreported_since > UNREPORTED
        return not self._quality.reliable and (silent or feedback.flooded(now))

    def _begin_anew(self, pair: Pair | None) -> None:
        """Forget what is known: media goes another way."""
        if self._pair is not None:
            self._quality.sizes = Sizes()
        self._pair = pair
        self._asked.clear()

    def _missed(self, now: float) -> None:
        missed, self._asked = [*self._asked.values()], {}
        if BARE not in missed:  # else nothing arrived, and that says nothing of sizes
            self._quality.sizes.missed(missed, now)
