"""When to try a camera again, and over what; no I/O, time is an argument.

Failures of the network are tried again soon and then ever more rarely, at random moments, so that two hundred cameras
that come back together do not come all at once. A refused password is another matter: cameras lock an account after
about five wrong ones in half an hour. It is tried at most four times in that time, by all cameras of the account that
this process has; other processes know nothing of it and try as often. While the account plays elsewhere, a refusal is
a matter of the one camera (a recorder's channel may be forbidden), and counts for that camera alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import random

from common.cameras import CameraSpec, CameraState, Transport

SETTLED_AFTER = 3.0  # seconds of media after which a camera's next failure is its first: a keyframe or two were seen
SUSPICIONS = 2  # failures that may be the password's, after which the whole account waits
MOST_LOGINS = 1_000  # accounts that are remembered; beyond those that are in use the one tried longest ago is forgotten
EAGER_TRIES = 2  # more tries within a second, for a camera that had played: it restarts, or its switch does


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts grow from ``first`` by doubling to ``last``; chance takes some of it off."""

    first: float  # seconds
    last: float
    chance: float  # the part of what exceeds ``floor`` that chance may take off
    floor: float

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after so many failures in a row, at least one; ``chance`` is from 0 to 1."""
        ceiling = min(self.first * 2.0 ** min(failures - 1, 32), self.last)
        return ceiling - (ceiling - self.floor) * self.chance * chance


NETWORK = Backoff(1.0, 30.0, chance=1.0, floor=0.5)
SETTINGS = Backoff(10.0, 60.0, chance=0.5, floor=5.0)  # somebody has to change something: no hurry
LOGIN = Backoff(120.0, 1_800.0, chance=0.0, floor=120.0)

_BACKOFFS = {
    CameraState.UNAUTHORIZED: LOGIN,
    CameraState.NO_PLAYABLE_TRACK: SETTINGS,
    CameraState.NOT_FOUND: SETTINGS,
    CameraState.NOT_RTSP: SETTINGS,
    CameraState.NOT_MEDIA: SETTINGS,
    CameraState.TLS_FAILED: SETTINGS,
    CameraState.OVER_LIMIT: SETTINGS,
    CameraState.NOT_ALLOWED: SETTINGS,
}


class Attempts:
    """One camera's attempts."""

    def __init__(self, chance: Callable[[], float] = random) -> None:
        self._failures: dict[Backoff, int] = {}
        self._eager = 0  # failures to come that count as the first
        self._chance = chance

    def failed(self, state: CameraState) -> float:
        """Seconds to wait after an attempt, or a session that was just begun, that ended in ``state``."""
        backoff = _BACKOFFS.get(state, NETWORK)
        if backoff is NETWORK and self._eager:
            self._eager -= 1
            return backoff.delay(1, self._chance())
        self._failures[backoff] = failures = self._failures.get(backoff, 0) + 1
        return backoff.delay(failures, self._chance())

    @property
    def failing(self) -> bool:
        """Whether the last attempt, or a session that was just begun, failed."""
        return bool(self._failures)

    def settled(self) -> None:
        """Forget failures: media came for a while, so all is well."""
        self._failures.clear()
        self._eager = EAGER_TRIES


@dataclass(frozen=True, slots=True)
class Account:
    """One password at one address. A recorder has one for all of its cameras; another port may be another device."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)


@dataclass(slots=True)
class _Login:
    """One account as the cameras of the process found it.

    unknown ──plays──▶ good ──refused──▶ doubted ──plays──▶ good; ``refusals`` in a row say how long that waits.
    While it plays somewhere a refusal is a matter of the one camera; while it does not, one camera at a time tries it.
    """

    trying: int = 0
    playing: int = 0
    good: bool = False  # it has played, and was not refused since
    refusals: int = 0  # in a row
    refused_until: float = 0.0


class Logins:
    """The accounts of all cameras of a process.

    While no camera plays with an account its password may be wrong, and only one camera at a time tries it.
    """

    def __init__(self) -> None:
        self._logins: dict[Account, _Login] = {}  # the one that was tried last stands last

    def refusal(self, account: Account, now: float) -> float:
        """Seconds for which the password is not to be tried."""
        login = self._logins.get(account)
        return max(login.refused_until - now, 0.0) if login else 0.0

    def begin(self, account: Account) -> bool:
        """Whether to try now, and ``end`` it later. ``False`` while another camera is trying."""
        login = self._logins.pop(account, None) or _Login()
        self._logins[account] = login
        if login.trying and not login.playing:
            return False
        login.trying += 1
        if len(self._logins) > MOST_LOGINS:
            idle = (each for each, its in self._logins.items() if not (its.trying or its.playing))
            if (longest_ago := next(idle, None)) is not None:
                del self._logins[longest_ago]
        return True

    @contextmanager
    def playing(self, account: Account | None) -> Iterator[None]:
        """Hold this around a session that the camera let in."""
        if account is None:
            yield
            return
        login = self._logins[account]
        login.playing += 1
        login.good, login.refusals, login.refused_until = True, 0, 0.0
        try:
            yield
        finally:
            login.playing -= 1

    def refused(self, account: Account, now: float) -> float | None:
        """The password was refused to what was begun. Seconds for which nobody is to try it again; ``None`` if it is
        good, so that only the camera has to wait."""
        login = self._logins[account]
        if login.playing:
            return None
        if login.good:  # for the last time: it may have been changed
            login.good, login.refusals = False, 2  # two are tried within a moment, so the next pause is the third
            return None
        login.refusals += 1
        delay = LOGIN.delay(login.refusals, 0.0)
        login.refused_until = now + delay
        return delay

    def suspected(self, account: Account, now: float, *, hung_up: bool) -> float | None:
        """The attempt that was begun failed as it does with some cameras when the password is wrong. Seconds for which
        the camera is to wait; ``None`` if that is no matter of the password.

        Nobody knows: a wrong path is answered so as well, and a camera that is starting hangs up. So the first hang-up
        counts for nothing, and the account is left alone only when it goes on like that.
        """
        login = self._logins[account]
        if login.playing or login.good:
            return None
        login.refusals += 1
        if hung_up and login.refusals == 1:
            return None
        delay = LOGIN.delay(login.refusals + hung_up, 0.0)
        if hung_up or login.refusals > SUSPICIONS:
            login.refused_until = now + delay
        return delay

    def end(self, account: Account) -> None:
        """Close the attempt that was begun."""
        login = self._logins[account]
        login.trying -= 1
        if not (login.trying or login.good or login.refusals):
            del self._logins[account]


class Transports:
    """Which transport to ask a camera for.

    ``auto`` begins with TCP: it repairs losses on the camera's link and passes NATs, firewalls and container networks,
    while UDP that is swallowed costs three seconds at each start. Multicast comes last. What has worked is tried first
    the next time. Of an encrypted camera it never asks for UDP, whose packets are not encrypted; nor of one that is
    reached by its web server's port alone, whatever is wanted.
    """

    def __init__(self, wanted: Transport, *, encrypted: bool = False, tcp_alone: bool = False) -> None:
        self._order: tuple[Transport, ...] = {
            Transport.AUTO: (Transport.TCP,) if encrypted else (Transport.TCP, Transport.UDP, Transport.MULTICAST),
            Transport.UDP: (Transport.UDP, Transport.TCP),
            Transport.TCP: (Transport.TCP,),
            Transport.MULTICAST: (Transport.MULTICAST,),
        }[Transport.TCP if tcp_alone else wanted]

    @classmethod
    def of(cls, spec: CameraSpec) -> Transports:
        """The order for a camera."""
        return cls(spec.transport, encrypted=spec.encrypted, tcp_alone=spec.tcp_alone)

    def __iter__(self) -> Iterator[Transport]:
        """In the order to be tried."""
        return iter(self._order)

    def worked(self, transport: Transport) -> None:
        """Begin with this transport the next time: media came over it."""
        self._order = (transport, *(other for other in self._order if other is not transport))
