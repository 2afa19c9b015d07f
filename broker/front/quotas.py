"""How much one address, one camera and everybody together may have of the front door. No I/O.

A limit of 0 is none. The address is the TCP peer's: an IPv4 address, or the /64 of an IPv6 address, which one person
commands. Peers on the loopback and those named as ``limits.proxies`` speak for many people, so what holds for each
address does not hold for them; what holds for all does.

An address that asks often cannot use up what all have in common: a reserve is kept for addresses that ask seldom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from common.address import network_of
from common.bucket import TokenBuckets
from common.config_limits import LimitsConfig
from common.errors import RequestError
from common.sessions import SessionName

SELDOM = 0.2  # offers a second of an address that asks seldom: two at once, and then one in five seconds
RESERVE = 0.25  # part of ``limits.offer_rate`` that is kept for such addresses on top, whatever all others ask for
REMEMBERED = 10_000  # addresses or cameras whose rate is kept; those that have been quiet longest are forgotten


def over(setting: str, limit: float, sentence: str) -> RequestError:
    """The refusal of what is beyond ``limits.setting``, with a ``code`` of the same name."""
    return RequestError(503, f"limit_{setting}", f"{sentence} (limits.{setting} is {limit:g}); try again in a moment.")


class Counted:
    """A count of what is open at this moment: in all, and by address."""

    def __init__(self, what: str, setting: str, total: int, each: int) -> None:
        self.total = 0
        self._what = what
        self._setting = setting
        self._most = total
        self._most_each = each
        self._by_address: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether the limit on all of them is reached."""
        return 0 < self._most <= self.total

    def check(self, address: str | None) -> None:
        """Raises ``RequestError`` if ``address`` may not have one more. ``None`` is a peer that speaks for many."""
        if self.full:
            raise over(self._setting, self._most, f"No more {self._what} can be open at once")
        self.check_each(address)

    def check_each(self, address: str | None) -> None:
        """Raises ``RequestError`` if ``address`` has as many as one address may have, whatever there is in all."""
        if address is not None and 0 < self._most_each <= self._by_address[address]:
            raise over(
                f"{self._setting}_per_address", self._most_each, f"Your address can have no more {self._what} at once"
            )

    def limit(self, total: int, each: int) -> None:
        """Have other limits. What is open beyond them stays open."""
        self._most, self._most_each = total, each

    def open(self, address: str | None) -> None:
        """Count one more that is open."""
        self.total += 1
        if address is not None:
            self._by_address[address] += 1

    def close(self, address: str | None) -> None:
        """Count one less that is open."""
        self.total -= 1
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


class Rate(TokenBuckets):
    """At most ``rate`` a second for each key, and ``BURST_SECONDS`` worth of them at once, but one in any case."""

    BURST_SECONDS = 10.0  # a wall of cameras opens, or a broker restarts and everybody comes back

    def __init__(self, rate: float) -> None:
        super().__init__(max(1.0, rate * self.BURST_SECONDS), rate, REMEMBERED)
        self.rate = rate
        self._limited = rate > 0

    def take(self, key: str, now: float) -> bool:
        """Whether one more is within the rate; then it is counted."""
        return not self._limited or super().take(key, now)


class Quotas:
    """Everything that the front door counts. ``alive`` tells whether a session still exists."""

    def __init__(self, limits: LimitsConfig, alive: Callable[[SessionName], bool]) -> None:
        self.connections = Counted("connections", "connections", limits.connections, limits.connections_per_address)
        self.sockets = Counted("WebSockets", "sockets", limits.sockets, limits.sockets_per_address)
        self.offers = Counted("unanswered offers", "offers", limits.offers, limits.offers_per_address)
        self.limits = limits
        self._alive = alive
        self._rate = self._rate_each = self._rate_user = self._rate_camera = Rate(0.0)
        self._rate_still = self._rate_still_each = self._reserve = Rate(0.0)
        self._seldom = Rate(SELDOM)
        self.limit(limits)
        self._sessions: dict[str, set[SessionName]] = {}  # by address, and by user: no name is one of both

    def limit(self, limits: LimitsConfig) -> None:
        """Have these limits from now on. Of a rate that stays as it is, what was used up stays used up."""
        self.limits = limits
        self._proxies = frozenset(limits.proxies)
        self.connections.limit(limits.connections, limits.connections_per_address)
        self.sockets.limit(limits.sockets, limits.sockets_per_address)
        self.offers.limit(limits.offers, limits.offers_per_address)
        self._rate = _at(self._rate, limits.offer_rate)
        self._rate_each = _at(self._rate_each, limits.offer_rate_per_address)
        self._rate_user = _at(self._rate_user, limits.offer_rate_per_user)
        self._rate_camera = _at(self._rate_camera, limits.offer_rate_per_camera)
        self._rate_still = _at(self._rate_still, limits.still_rate)
        self._rate_still_each = _at(self._rate_still_each, limits.still_rate_per_address)
        self._reserve = _at(self._reserve, (limits.offer_rate or limits.offer_rate_per_camera) * RESERVE)

    def address(self, peer: str | None) -> str | None:
        """The name that ``peer``, a TCP peer's address, is counted by; ``None`` if it speaks for many."""
        return None if peer is None or peer in self._proxies else network_of(peer)

    def check_offer(
        self, address: str | None, camera: str, viewers: int, sessions: int, now: float, user: str = ""
    ) -> None:
        """Check one more offer, for a camera that ``viewers`` watch while there are ``sessions`` in all.

        ``user`` is by whose right it is; empty where nobody signs in. Raises ``RequestError``.
        """
        limits = self.limits
        self.offers.check(address)
        if 0 < limits.sessions <= sessions:
            raise over("sessions", limits.sessions, "No more viewers can watch at once")
        if 0 < limits.sessions_per_camera <= viewers:
            raise over(
                "sessions_per_camera", limits.sessions_per_camera, "No more viewers can watch this camera at once"
            )
        if user and 0 < limits.sessions_per_user <= len(self._sessions_of(user, limits.sessions_per_user)):
            message = "Your user or token can have no more viewers at once"
            raise over("sessions_per_user", limits.sessions_per_user, message)
        most = limits.sessions_per_address
        if address is not None and 0 < most <= len(self._sessions_of(address, most)):
            message = "Your address can have no more viewers at once"
            raise over("sessions_per_address", limits.sessions_per_address, message)
        if address is not None and not self._rate_each.take(address, now):
            message = "Your address has sent too many offers per second"
            raise _too_fast("offer_rate_per_address", limits.offer_rate_per_address, message)
        if user and not self._rate_user.take(user, now):
            message = "Your user or token has sent too many offers per second"
            raise _too_fast("offer_rate_per_user", limits.offer_rate_per_user, message)
        seldom = address is not None and self._seldom.take(address, now)
        within_camera = self._rate_camera.take(camera, now)
        if (within_camera and self._rate.take("", now)) or (seldom and self._reserve.take("", now)):
            return
        if not within_camera:
            message = "Too many viewers per second ask for this camera"
            raise _too_fast("offer_rate_per_camera", limits.offer_rate_per_camera, message)
        raise over("offer_rate", limits.offer_rate, "Too many viewers per second are joining")

    def check_still(self, address: str | None, now: float) -> None:
        """Check whether one more still may be asked for. Raises ``RequestError``."""
        limits = self.limits
        if address is not None and not self._rate_still_each.take(address, now):
            message = "Your address has asked for too many stills per second"
            raise _too_fast("still_rate_per_address", limits.still_rate_per_address, message)
        if not self._rate_still.take("", now):
            raise over("still_rate", limits.still_rate, "Too many stills per second are requested")

    def joined(self, address: str | None, session: SessionName, user: str = "") -> None:
        """Count an offer that was answered."""
        for key in filter(None, (address, user)):
            self._sessions.setdefault(key, set()).add(session)

    def sweep(self) -> None:
        """Forget sessions that are over."""
        for key in list(self._sessions):
            self._prune(key)

    def _sessions_of(self, key: str, most: int) -> set[SessionName]:
        found = self._sessions.get(key, set())
        if len(found) >= most:
            self._prune(key)
            found = self._sessions.get(key, set())
        return found

    def _prune(self, key: str) -> None:
        left = {session for session in self._sessions[key] if self._alive(session)}
        if left:
            self._sessions[key] = left
        else:
            del self._sessions[key]


def _at(rate: Rate, wanted: float) -> Rate:
    """``rate`` if it is that already, else another one."""
    return rate if rate.rate == wanted else Rate(wanted)


def _too_fast(setting: str, rate: float, sentence: str) -> RequestError:
    """RFC 6585 4."""
    return RequestError(429, f"limit_{setting}", f"{sentence} (limits.{setting} is {rate:g}); try again in a moment.")
