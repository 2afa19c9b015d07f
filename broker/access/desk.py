"""The one place that knows by whom a request is, and whether a right that was given still holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from broker.access.groups import Groups
from broker.access.keys import FetchedKeys, StaticKey
from broker.access.people import People
from broker.access.principal import EVERYBODY, GRACE, Kind, Principal
from broker.access.signed import key_name, looks_signed, plain_name, principal_of, verified
from broker.access.tokens import StaticTokens
from common.cameras import CameraName
from common.config_access import AuthConfig, JwtConfig
from common.errors import RequestError

_AND = ","  # between groups; a proxy's header has it between them as well, so that no name has one
MAX_PROOF = 800  # characters: of who holds a session reports cut off what is beyond a thousand
_RUN_OUT = "Your right to watch has expired; sign in again."


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that came with a request: a token, or the cookie of a browser in which somebody signed in."""

    token: str = field(default="", repr=False)
    cookie: str = field(default="", repr=False)
    user: str = ""  # that a proxy which is believed has signed in …
    groups: tuple[str, ...] = ()  # … and its groups


@dataclass(frozen=True, slots=True)
class SignedTokens:
    """Tokens that another program signs, and the keys that they are verified with."""

    config: JwtConfig
    keys: StaticKey | FetchedKeys

    async def principal(self, token: str) -> Principal:
        """The principal that a token is for. Raises ``RequestError``."""
        key = await self.keys.find(key_name(token))
        return principal_of(verified(token, key, self.config), self.config)


class Desk:
    """``local``: the front door is for this machine alone, see ``broker.access.policy``. ``clock`` gives Unix time.

    ``people`` is ``None`` where nobody may have a password. ``sign_on``: people may sign in at a provider.
    """

    def __init__(
        self,
        auth: AuthConfig,
        people: People | None,
        clock: Callable[[], float],
        *,
        local: bool,
        signed: SignedTokens | None = None,
        sign_on: bool = False,
    ) -> None:
        self.people = people
        self._local = local
        self._signed = signed
        self._elsewhere = sign_on
        self._by_proxy = bool(auth.user_header)
        self._clock = clock
        self._shut = False  # whether somebody was ever known other than by a password
        self.take(auth)

    def take(self, auth: AuthConfig) -> None:
        """Know these tokens and groups from now on. Whoever has lost a right by that is told by ``hindrance``."""
        self._mode = auth.mode
        self._tokens = StaticTokens(auth.tokens)
        # For as long as we run: who takes back the only token does not mean to let everybody in.
        self._shut = self._shut or bool(self._tokens or self._signed or self._by_proxy or self._elsewhere)
        self._groups = Groups(auth.groups)
        self._login_seconds = auth.session_hours * 3_600
        if self.people is not None:
            self.people.take(auth)

    def reached(self, *, local: bool) -> None:
        """Note that others reach the door, unless ``local``; once they did, they do for as long as we run."""
        self._local = self._local and local

    @property
    def required(self) -> bool:
        """Whether everybody has to show who it is; see the setting ``auth.mode``."""
        if self._mode == "auto":
            return not self._local or self._shut or bool(self.people and self.people.users)
        return self._mode == "required"

    @property
    def local_only(self) -> bool:
        """Whether nobody has to show who it is because only who uses this machine is thought to reach the door."""
        return self._mode == "auto" and not self.required

    @property
    def now(self) -> float:
        """Unix time."""
        return self._clock()

    @property
    def login_seconds(self) -> float:
        """Seconds for which a browser stays signed in."""
        return self._login_seconds

    @property
    def ownerless(self) -> bool:
        """Whether everybody has to show who it is and nobody is known yet who could be an admin."""
        in_group = self._groups.has_admin and (self._by_proxy or self._elsewhere)
        known = self._tokens.has_admin or self._signed or in_group or (self.people and self.people.has_admin)
        return self.required and not known

    async def identify(self, shown: Credentials) -> Principal | None:
        """By whom a request with these credentials is; ``None`` if it has none.

        Raises ``RequestError`` (401) for a token that is not good. A cookie that is not good any more is none.
        """
        if not self.required:
            return EVERYBODY
        if shown.token:
            return await self._by_token(shown.token)
        if shown.user:
            until = self._clock() + self._login_seconds
            return self._by_groups(plain_name(shown.user), self._groups.known(shown.groups), until)
        return self.people.find(shown.cookie, now=self._clock()) if self.people and shown.cookie else None

    async def _by_token(self, token: str) -> Principal:
        if self._signed is not None and looks_signed(token):
            return await self._signed.principal(token)
        principal = self._tokens.find(token)
        if principal is None:
            raise RequestError(401, "invalid_token", "This token is unknown here; it may have been revoked.")
        if principal.expires is not None and self._clock() >= principal.expires:
            raise RequestError(401, "expired_token", "This token has expired; ask for a new one.")
        return principal

    def _by_groups(self, name: str, groups: tuple[str, ...], expires: float | None) -> Principal:
        """Somebody whom a proxy has signed in. The groups go along as the proof: what they give may change.

        More of them than there is room for are none: their right lasts until it runs out.
        """
        proof = _AND.join(groups)
        proof = proof if len(proof) <= MAX_PROOF else ""
        return Principal(Kind.PROXY, name, *self._groups.rights(groups), expires, proof)

    def still(self, principal: Principal) -> bool:
        """Whether the principal has the rights yet that it had when it was identified."""
        if not self.required:
            return True
        if self._has_run_out(principal.expires):
            return False
        return self._lasts(principal.holder) or self._now(principal.holder, principal.expires) == principal

    def hindrance(self, holder: str, expires: float | None, camera: CameraName) -> str:
        """Why a session of this holder may not go on, as a sentence; empty if it may.

        ``expires`` is the Unix time at which its right runs out.
        """
        if not self.required:
            return ""
        if self._has_run_out(expires):
            return _RUN_OUT
        if self._lasts(holder):
            return ""
        principal = self._now(holder, expires)
        if principal is None:
            return "Your right to watch was revoked, or you signed out; sign in again."
        if self._has_run_out(principal.expires):
            return _RUN_OUT
        return "" if principal.may_watch(camera) else "Your right to watch this camera was revoked."

    def _has_run_out(self, expires: float | None) -> bool:
        return expires is not None and self._clock() >= expires + GRACE

    def _lasts(self, holder: str) -> bool:
        """Whether somebody else has given the right, which so stays what it is until it runs out.

        So it is where no groups were noted of whom a proxy signed in: too many, or by a release before this one.
        """
        kind = holder.partition(":")[0]
        return (self._signed is not None and kind == Kind.JWT) or (
            self._by_proxy and kind == Kind.PROXY and "#" not in holder
        )

    def _now(self, holder: str, expires: float | None) -> Principal | None:
        """Somebody's rights as of now, ``None`` if there are none any more. ``expires`` is as a proxy's word had it."""
        label, _, proof = holder.partition("#")
        kind, _, name = label.partition(":")
        if kind == Kind.PROXY and self._by_proxy:
            return self._by_groups(name, tuple(proof.split(_AND)), expires)
        if kind == Kind.TOKEN:
            return self._tokens.named(name, proof)
        return self.people.named(name, proof) if kind in (Kind.USER, Kind.OIDC) and self.people else None
