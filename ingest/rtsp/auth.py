"""RTSP authentication (RFC 2326 section D.1.1 by way of RFC 7616 and RFC 7617), both ends; no I/O.

A client keeps one ``Authenticator`` a connection: it takes the strongest challenge it knows and answers it. A server
makes a ``Challenge`` and checks the ``Authorization`` that comes back.

The password itself is never sent (Basic) where its digest will do: not to a camera that has taken a digest before, and
without TLS not to one that offers both. Somebody on the line could ask for it otherwise.

Cameras lock an account after a few wrong passwords. A password that was refused is therefore never sent twice on one
connection; only a nonce that went stale, or that changed after the password had been accepted, is answered anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from ingest.rtsp.habits import Habits

MAX_CHALLENGES = 16  # looked at in one answer, of whatever scheme; real cameras send one to four
MAX_CHALLENGE = 4_096  # characters of one header; a challenge has 100 to 200
MAX_PARAMETERS = 32  # of one challenge; RFC 7616 knows ten

# Strongest first. RFC 7616 6.1 names the first three; "-sess" mixes the client's nonce into the key.
_HASHES = {"SHA-512-256": "sha512_256", "SHA-256": "sha256", "MD5": "md5"}
_DIGEST_STRENGTH = {name: len(_HASHES) - rank for rank, name in enumerate(_HASHES)}
_BASIC_STRENGTH = 0
_NO_NONCE_STRENGTH = -1  # firmware that is so odd may take no digest at all
_PROTECTIONS = ("auth", "auth-int")  # the first that is offered is taken

_SEPARATORS = re.compile(r"[\s,;]*")  # passed at once: what looks for more of them at each of them takes its square
_SCHEME = re.compile(r"[\s,]*([A-Za-z][\w-]*)(?:\s+|(?=,)|$)(?!=)")
_QUOTED = r'"((?:[^"\\]|\\.|"(?![ \t]*(?:[,;]|[\w-]+=|\Z)))*)"'  # some leave quotes in it as they are
_PARAMETER = re.compile(rf"[\s,;]*([\w-]+)\s*=\s*(?:{_QUOTED}|'([^',]*)'|([^\s,;\"]*))")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a ``WWW-Authenticate`` header. ``str()`` is the header's value."""

    scheme: str  # "Digest" or "Basic"
    realm: str
    nonce: str = ""  # empty as the server has it, too: RFC 7616 3.3 wants one, and firmware with none takes the answer
    algorithm: str = ""  # as the server spelled it, to be echoed; empty means MD5
    qop: tuple[str, ...] = ()
    opaque: str | None = None
    stale: bool = False

    @classmethod
    def parse_all(cls, values: Iterable[str]) -> list[Challenge]:
        """Every Digest and Basic challenge in the values of all ``WWW-Authenticate`` headers; others are skipped."""
        challenges = (challenge for value in values for challenge in _split(value[:MAX_CHALLENGE]))
        known = islice(challenges, MAX_CHALLENGES)
        return [cls._from(scheme, parameters) for scheme, parameters in known if scheme in ("digest", "basic")]

    @classmethod
    def _from(cls, scheme: str, parameters: dict[str, str]) -> Challenge:
        return cls(
            scheme.capitalize(),
            parameters.get("realm", ""),
            parameters.get("nonce", ""),
            parameters.get("algorithm", ""),
            tuple(part for part in re.split(r"[\s,]+", parameters.get("qop", "").lower()) if part),
            parameters.get("opaque"),
            parameters.get("stale", "").lower() == "true",
        )

    @classmethod
    def digest(cls, realm: str, *, algorithm: str = "MD5", qop: tuple[str, ...] = ("auth",)) -> Challenge:
        """A server's challenge with a new nonce. RFC 2617's predecessor, RFC 2069, has an empty ``qop``."""
        return cls("Digest", realm, secrets.token_hex(16), algorithm, qop)

    @classmethod
    def basic(cls, realm: str) -> Challenge:
        """A server's challenge that has the password sent as it is."""
        return cls("Basic", realm)

    def __str__(self) -> str:
        parts = [f"realm={_quote(self.realm)}"]
        if self.scheme == "Digest":
            parts.append(f"nonce={_quote(self.nonce)}")
            if self.algorithm:
                parts.append(f"algorithm={self.algorithm}")
            if self.qop:
                parts.append(f'qop="{",".join(self.qop)}"')
            if self.opaque is not None:
                parts.append(f"opaque={_quote(self.opaque)}")
            if self.stale:
                parts.append("stale=true")
        return f"{self.scheme} {', '.join(parts)}"

    @property
    def protection(self) -> str | None:
        """The quality of protection to answer with; ``None`` if the challenge names none that we know."""
        return next((each for each in _PROTECTIONS if each in self.qop), None)

    @property
    def strength(self) -> int | None:
        """A rank for choosing the strongest; ``None`` for a challenge that we cannot answer."""
        if self.scheme == "Basic":
            return _BASIC_STRENGTH
        if self.qop and self.protection is None:
            return None
        name, _ = _algorithm(self.algorithm)
        if _HASHES.get(name) not in hashlib.algorithms_available:
            return None
        return _DIGEST_STRENGTH[name] if self.nonce else _NO_NONCE_STRENGTH


@dataclass(slots=True)
class Pin:
    """A camera's habits that outlive its connections."""

    digest: bool = False  # it has taken a digest: it never gets the password itself any more
    challenge: Challenge | None = field(default=None, repr=False)  # it hung up after this one: the next request has the
    # answer, as some cameras end each connection with their 401
    habits: Habits = field(default_factory=Habits)


@dataclass(slots=True)
class Authenticator:
    """A client's side for one connection to one host."""

    username: str | None  # None: the URL has no credentials
    password: str = field(default="", repr=False)
    encrypted: bool = False
    pin: Pin = field(default_factory=Pin)
    withheld: bool = field(default=False, init=False)  # the password was asked for as it is, and not sent
    _challenge: Challenge | None = field(init=False, repr=False)
    _count: int = field(default=0, init=False, repr=False)  # requests answered with the present nonce: "nc"
    sent: bool = field(default=False, init=False, repr=False)  # the last request carried credentials
    _accepted: bool = field(default=False, init=False, repr=False)  # the server has taken them before
    _renewals: int = field(default=0, init=False, repr=False)  # of the nonce, since the last success

    def __post_init__(self) -> None:
        self._challenge = self.pin.challenge

    @property
    def realm(self) -> str:
        """The name by which the server asks for the password; empty while it has not asked."""
        return self._challenge.realm if self._challenge else ""

    def hung_up(self) -> None:
        """Note that the server hung up at a request with credentials that it had not accepted."""
        self.pin.challenge = self._challenge

    def challenged(self, values: Iterable[str]) -> bool:
        """A request was answered 401 with these ``WWW-Authenticate`` values. Whether to send it again.

        ``False`` is final: no credentials, no challenge that we know, or they were refused.
        """
        challenges = Challenge.parse_all(values)
        digest = any(challenge.nonce for challenge in challenges) and not self.encrypted  # Basic has none
        digest |= self.pin.digest or (self._challenge is not None and self._challenge.scheme == "Digest")
        known = [
            challenge
            for challenge in challenges
            if challenge.strength is not None and (challenge.scheme == "Digest" or not digest)
        ]
        self.withheld = bool(challenges) and not known
        if self.username is None or not known:
            return False
        best = max(known, key=lambda challenge: challenge.strength or _BASIC_STRENGTH)
        if self.sent:
            # Refused, unless it was only about the nonce: marked stale, or a new one for credentials that were good.
            renewed = self._challenge is not None and best.nonce != self._challenge.nonce
            earlier = self._challenge is self.pin.challenge  # of another connection
            if self._renewals or not (best.stale or ((self._accepted or earlier) and renewed)):
                return False
            self._renewals += 1
        self._challenge, self._count = best, 0
        return True

    def accepted(self) -> None:
        """Note that a request with the present credentials was answered with something other than 401."""
        if self.sent:
            self._accepted, self._renewals = True, 0
            self.pin.digest |= self._challenge is not None and self._challenge.scheme == "Digest"

    def header(self, method: str, uri: str) -> str | None:
        """``Authorization`` for a request; ``None`` while nobody has asked for one."""
        challenge = self._challenge
        if method == "OPTIONS" and challenge is self.pin.challenge:  # of another connection, and seldom asked for
            challenge = None
        self.sent = challenge is not None
        if challenge is None or self.username is None:
            return None
        if challenge.scheme == "Basic":
            return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        self._count += 1
        return _authorize(challenge, self.username, self.password, method, uri, self._count, secrets.token_hex(8))


@dataclass(frozen=True, slots=True)
class Authorization:
    """A server's view of an ``Authorization`` header."""

    scheme: str  # lower case
    parameters: dict[str, str] = field(repr=False)
    token: str = field(default="", repr=False)  # Basic: user and password in base64

    @classmethod
    def parse(cls, value: str) -> Authorization:
        """Never raises: what cannot be understood does not verify."""
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "basic":
            return cls("basic", {}, rest.strip())
        return cls(scheme.lower(), _parameters(rest[:MAX_CHALLENGE], 0)[0])

    @property
    def nonce(self) -> str:
        """The nonce that was answered, so that a server can tell a stale one."""
        return self.parameters.get("nonce", "")

    def verify(self, challenge: Challenge, method: str, username: str, password: str) -> bool:
        """Whether this answers ``challenge`` for a request with ``method`` by somebody who knows the password."""
        if self.scheme != challenge.scheme.lower():
            return False
        if self.scheme == "basic":
            try:
                given = base64.b64decode(self.token, validate=True)
            except (binascii.Error, ValueError):
                return False
            return hmac.compare_digest(given, f"{username}:{password}".encode())
        get = self.parameters.get
        if challenge.opaque is not None and get("opaque") != challenge.opaque:
            return False
        if challenge.algorithm and get("algorithm", "").lower() != challenge.algorithm.lower():
            return False
        if challenge.qop and (get("qop") not in challenge.qop or not get("nc") or not get("cnonce")):
            return False
        expected = digest_response(
            challenge.algorithm,
            username,
            password,
            challenge.realm,
            challenge.nonce,
            method,
            get("uri", ""),
            qop=get("qop", ""),
            nonce_count=get("nc", ""),
            client_nonce=get("cnonce", ""),
        )
        return hmac.compare_digest(get("response", "").lower().encode("utf-8", "surrogateescape"), expected.encode())


def digest_response(
    algorithm: str,
    username: str,
    password: str,
    realm: str,
    nonce: str,
    method: str,
    uri: str,
    *,
    qop: str = "",
    nonce_count: str = "",
    client_nonce: str = "",
) -> str:
    """The ``response`` of RFC 7616 3.4.1; without ``qop`` that of RFC 2069, which old cameras still ask for.

    By ``auth-int`` (3.4.3) it is that of a request without a body.
    """
    name, session = _algorithm(algorithm)

    def digest(text: str) -> str:
        return hashlib.new(_HASHES[name], text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()

    secret = digest(f"{username}:{realm}:{password}")
    if session:
        secret = digest(f"{secret}:{nonce}:{client_nonce}")
    request = digest(f"{method}:{uri}:{digest('')}" if qop == "auth-int" else f"{method}:{uri}")
    if qop:
        return digest(f"{secret}:{nonce}:{nonce_count}:{client_nonce}:{qop}:{request}")
    return digest(f"{secret}:{nonce}:{request}")


def _authorize(
    challenge: Challenge, username: str, password: str, method: str, uri: str, count: int, client_nonce: str
) -> str:
    qop = challenge.protection or ""
    nonce_count = f"{count:08x}" if qop else ""
    response = digest_response(
        challenge.algorithm,
        username,
        password,
        challenge.realm,
        challenge.nonce,
        method,
        uri,
        qop=qop,
        nonce_count=nonce_count,
        client_nonce=client_nonce,
    )
    quoted = {
        "username": username,
        "realm": challenge.realm,
        "nonce": challenge.nonce,
        "uri": uri,
        "response": response,
    }
    parts = [f"{name}={_quote(value)}" for name, value in quoted.items()]
    if challenge.algorithm:
        parts.append(f"algorithm={challenge.algorithm}")
    if challenge.opaque is not None:
        parts.append(f"opaque={_quote(challenge.opaque)}")
    if qop:
        parts.append(f"qop={qop}, nc={nonce_count}")
    if qop or _algorithm(challenge.algorithm)[1]:
        parts.append(f"cnonce={_quote(client_nonce)}")
    return f"Digest {', '.join(parts)}"


def _algorithm(text: str) -> tuple[str, bool]:
    """Name of the hash function, and whether it is the ``-sess`` variant."""
    name = text.upper().replace("/", "-").replace("SHA256", "SHA-256").replace("SHA512", "SHA-512") or "MD5"
    return name.removesuffix("-SESS"), name.endswith("-SESS")


def _split(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The challenges of one header, which may hold several: ``Digest realm="a", nonce="b", Basic realm="a"``."""
    position = 0
    while match := _SCHEME.match(value, position):
        parameters, position = _parameters(value, match.end())
        yield match[1].lower(), parameters


def _parameters(value: str, position: int) -> tuple[dict[str, str], int]:
    """Name and value pairs from ``position`` on, and where the next challenge begins. The first of a name counts.

    What is neither is passed over up to the next comma: tokens (RFC 7235 2.1), and what was not quoted but should be.
    """
    parameters: dict[str, str] = {}
    while len(parameters) < MAX_PARAMETERS:
        if match := _PARAMETER.match(value, position):
            quoted, plain = match[2], match[3] if match[3] is not None else match[4]
            text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters.setdefault(match[1].lower(), text)
            position = match.end()
        elif _SCHEME.match(value, position) or (comma := value.find(",", position)) < 0:
            return parameters, position
        else:
            separators = _SEPARATORS.match(value, comma)
            position = separators.end() if separators else comma
    return parameters, len(value)


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
