"""All that is known of one session, and the part of it that the viewer's page tells. No I/O.

A page may say anything, so what is taken of it is bounded in number and length, and stands in answers as text alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from common.cameras import CameraState
from common.control import ViewerReport

MAX_PAIRS = 16  # of a page's; a browser with four addresses and one of ours by UDP and TCP has eight
MAX_WORD = 100  # characters of an address, a state, an error
MAX_COUNT = 1 << 53  # what a page's number is bounded by: JavaScript's own integers


@dataclass(frozen=True, slots=True)
class Pair:
    """Two addresses between which a browser tried to get through, as it calls them."""

    local: str
    remote: str
    state: str  # RTCStatsIceCandidatePairState: frozen, waiting, in-progress, failed, succeeded

    def __str__(self) -> str:
        return f"{self.local} → {self.remote}: {self.state}"


@dataclass(frozen=True, slots=True)
class PageReport:
    """The browser's side, as the page tells it."""

    state: str = ""  # RTCPeerConnectionState
    host: str = ""  # where it was loaded from: a name, or an address as URLs have it
    local: tuple[str, ...] = ()  # candidates of its own: type and protocol
    pairs: tuple[Pair, ...] = ()
    errors: tuple[str, ...] = ()  # of STUN and TURN servers
    octets: int = 0  # of media that came
    received: int = 0  # pictures that came whole, and …
    decoded: int = 0  # … that were decoded

    @property
    def size(self) -> int:
        """Bytes of text in it."""
        texts = [self.state, self.host, *self.local, *self.errors]
        texts += [text for pair in self.pairs for text in (pair.local, pair.remote, pair.state)]
        return sum(map(len, texts))

    @classmethod
    def parse(cls, message: dict[str, Any]) -> PageReport:
        """From the fields of a message; what is not as it should be is left out."""
        pairs = [each for each in _list(message.get("pairs")) if isinstance(each, dict)]
        return cls(
            state=_word(message.get("state")),
            host=_word(message.get("host")),
            local=_words(message.get("local")),
            pairs=tuple(Pair(*(_word(each.get(key)) for key in ("local", "remote", "state"))) for each in pairs),
            errors=_words(message.get("errors")),
            octets=_count(message.get("bytes")),
            received=_count(message.get("received")),
            decoded=_count(message.get("decoded")),
        )


@dataclass(frozen=True, slots=True)
class CameraEvidence:
    """The camera, at the time."""

    state: CameraState
    sentence: str
    detail: str = ""
    video: str = ""  # the codec of its picture


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that is known of a session, which may be over."""

    session: str  # its public name
    camera: str
    at: float  # Unix time at which this was so
    since: float = 0.0  # Unix time of the answer, if it is known
    node: str = ""
    address: str = ""  # from which the offer came; empty for this machine
    seen: CameraEvidence | None = None  # None: there is no such camera
    report: ViewerReport | None = None  # the egress's last
    page: PageReport | None = None
    over: bool = False
    code: str = ""  # why it is over, or why its offer was refused: a word …
    reason: str = ""  # … and a sentence
    refused: bool = False  # there never was an answer
    times: int = 1  # that offers were refused alike, of which this is the last


def _list(value: object) -> list[Any]:
    return value[:MAX_PAIRS] if isinstance(value, list) else []


def _words(value: object) -> tuple[str, ...]:
    return tuple(filter(None, map(_word, _list(value))))


def _word(value: object) -> str:
    text = value[:MAX_WORD] if isinstance(value, str) else ""
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)


def _count(value: object) -> int:
    return min(max(value, 0), MAX_COUNT) if isinstance(value, int) and not isinstance(value, bool) else 0
