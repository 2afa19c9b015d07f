"""Passwords: how they are kept (Argon2id, RFC 9106), and how often somebody may guess. No I/O; the hashing takes 30 ms.

Who guesses wrong has to wait, ever longer: each address, and each account. So that nobody locks an owner out by
guessing, a browser in which that user has signed in before is counted by itself alone.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from common.errors import RequestError

MIN_LENGTH = 8  # characters, as NIST SP 800-63B 5.1.1.2 has it
MAX_LENGTH = 1_000  # characters: nobody types more, and each costs time to read
FREE = {"address": 5, "account": 20, "device": 10}  # wrong guesses before the first wait
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; each wrong guess doubles it
FORGOTTEN_AFTER = 900.0  # seconds without a wrong guess
REMEMBERED = 20_000  # addresses, accounts and devices; those that were quiet longest are forgotten

# OWASP's least for Argon2id, 19 MiB: a server that carries video has no 64 to spare for each stranger.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1)
# Of what nobody knows. To make one here would take 40 ms of every start.
_nobodys = "$argon2id$v=19$m=19456,t=2,p=1$fu7g0fqut6130TYUw4vn/A$6ZhJK+gI+lQhDNuGyDa4eVxuZqV/yWBbMVpUP+cxK3Y"


def check_length(password: str) -> None:
    """Raises ``RequestError`` for a password that is too short or too long to be one."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        sentence = f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."
        raise RequestError(422, "invalid_password", sentence)


def hashed(password: str) -> str:
    """The password as it is kept."""
    return _hasher.hash(password.encode(errors="surrogatepass"))


def is_right(password: str, hash: str | None) -> bool:
    """Whether this is the password that was hashed; ``None``, of a user that there is not, takes as long and is not."""
    if len(password) > MAX_LENGTH:
        return False
    try:
        right = _hasher.verify(hash or _nobodys, password.encode(errors="surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return right and hash is not None


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    until: float = 0.0  # no further guess before that
    last: float = 0.0


class Guesses:
    """How often was guessed wrong. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def wait(self, keys: tuple[tuple[str, str], ...], now: float) -> float:
        """Seconds until the next guess may be made; 0 if it may be made now."""
        return max((max(0.0, self._count(key, now).until - now) for key in keys), default=0.0)

    def wrong(self, keys: tuple[tuple[str, str], ...], now: float) -> None:
        """Count a guess as wrong: before it is looked at, or of many at once each would be free."""
        for key in keys:
            count = self._count(key, now)
            count.wrong += 1
            count.last = now
            beyond = count.wrong - FREE[key[0]]
            if beyond >= 0:
                count.until = now + min(FIRST_WAIT * 2 ** min(beyond, 10), LONGEST_WAIT)
            self._counts[key] = count
            self._counts.move_to_end(key)
        while len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)

    def right(self, keys: tuple[tuple[str, str], ...]) -> None:
        """Count a guess that was right no more. Those before it do, but for a device's: who has an account could
        else guess at others for ever."""
        for key in keys:
            if key[0] == "device":
                self._counts.pop(key, None)
            elif (count := self._counts.get(key)) is not None:
                count.wrong -= 1
                count.until = 0.0

    def _count(self, key: tuple[str, str], now: float) -> _Count:
        count = self._counts.get(key)
        return count if count is not None and now - count.last < FORGOTTEN_AFTER else _Count()


def keys_of(address: str | None, account: str, device: str) -> tuple[tuple[str, str], ...]:
    """The counts that one guess goes by. ``device`` is empty where the user has not signed in before."""
    if device:
        return (("device", device),)
    return (*keys_of_address(address), ("account", account))


def keys_of_address(address: str | None) -> tuple[tuple[str, str], ...]:
    """The counts of a guess at what belongs to no account; ``None`` is an address that speaks for many."""
    return (("address", address),) if address is not None else ()
