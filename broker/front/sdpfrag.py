"""ICE fragments of SDP: the body of a WHEP ``PATCH``, ``application/trickle-ice-sdpfrag`` (RFC 8840). No I/O.

Candidates are checked, so that a client hears of its mistakes, and go no further: egress is a lite agent, which sends
no checks of its own to them (RFC 8445 2.5) and learns a viewer's addresses from the checks that come. Other credentials
than the session's ask for an ICE restart (RFC 9725 4.3.3). RFC 9725 tells the two apart by ``If-Match``, and players
do not: MediaMTX's trickles under ``*``, whip-whep without any. So it is the credentials that count, and a condition
counts where it is one. Of a fragment without either nobody can say to which ICE session it belongs: that is 428, as
RFC 9725 4.3.1 has it. Software Mansion's players (iOS, Android, React Native) send candidates as the JSON of
browsers (``RTCIceCandidateInit``) and give up where that is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from common.errors import RequestError
from common.sessions import is_same_ice, names_ice

_ENTITY_TAG = re.compile(r'(?:W/)?"[^"]*"')
_UNSAID = {"", "undefined", "null"}  # what scripts send for a tag that they could not read
_ICE_CHARS = "[A-Za-z0-9+/]"
_UFRAG = re.compile(rf"^a=ice-ufrag:({_ICE_CHARS}{{4,256}})[ \t]*\r?$", re.MULTILINE)  # RFC 8839 5.4
_PASSWORD = re.compile(rf"^a=ice-pwd:({_ICE_CHARS}{{22,256}})[ \t]*\r?$", re.MULTILINE)
_CANDIDATE_UFRAG = re.compile(rf"^a=candidate:[^\r\n]* ufrag ({_ICE_CHARS}{{4,256}})(?=[ \r\n]|\Z)", re.MULTILINE)
MAX_LINES = 1_000  # of one fragment
MAX_CANDIDATES = 100  # in one fragment: browsers send a handful for each network interface


class Patch(Enum):
    """The purpose of a fragment."""

    TRICKLE = auto()  # candidates of the ICE session that there is
    RESTART = auto()  # another one


class Ours(NamedTuple):
    """The ICE session that a fragment is held against: the session's name, and the mark and entity tag of its ICE."""

    session: str
    mark: str
    tag: str


def purpose(fragment: str, condition: str | None, ours: Ours) -> Patch:
    """The purpose of a fragment that came with the condition ``If-Match``. Raises ``RequestError``.

    RFC 9725 4.3.1: the entity tag says which ICE session it belongs to; 4.3.3: ``*`` goes with a restart.
    """
    if condition is not None and condition.strip() in _UNSAID:
        condition = None
    tagged = condition is not None and condition.strip() != "*"
    if tagged and condition is not None and not _names(condition, ours.tag):
        raise RequestError(412, "etag_mismatch", "If-Match does not name the session's ETag.")
    if is_same_ice(ours.session, "\n".join([fragment, *_named(fragment)]), ours.mark):
        return Patch.TRICKLE
    if _UFRAG.search(fragment) and _PASSWORD.search(fragment):
        return Patch.RESTART
    if condition is None:
        raise RequestError(428, "if_match_missing", "Send the session's ETag in an If-Match header.")
    if not tagged and names_ice(fragment):
        raise _malformed(_NO_CREDENTIALS)
    return Patch.TRICKLE


def _names(condition: str, tag: str) -> bool:
    """Whether a condition names an entity tag: also as a weak one, which proxies make of it (nginx does where it
    compresses), or without its quotes."""
    return condition.strip() == tag.strip('"') or tag in (
        each.removeprefix("W/") for each in _ENTITY_TAG.findall(condition)
    )


def read_fragment(text: str) -> str:
    """The fragment that a body is, or that candidates in JSON stand for. Raises ``RequestError``."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _malformed("it begins like JSON but is not JSON") from None
    each = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) and isinstance(one.get("candidate"), str) for one in each):
        raise _malformed("in JSON it has to be a candidate, or a list of them")
    return "\n".join(line for one in each for line in _lines(one))


def _lines(candidate: dict[str, object]) -> Iterator[str]:
    ufrag = candidate.get("usernameFragment")
    if isinstance(ufrag, str):
        yield f"a=ice-ufrag:{' '.join(ufrag.split())}"
    text = " ".join(str(candidate["candidate"]).split()).removeprefix("a=")
    yield f"a={text or 'end-of-candidates'}"


def _named(fragment: str) -> list[str]:
    """Lines for the ICE sessions that its candidates name: browsers write ``ufrag`` behind each."""
    return [f"a=ice-ufrag:{ufrag}" for ufrag in dict.fromkeys(_CANDIDATE_UFRAG.findall(fragment))]


def credentials_of(fragment: str) -> tuple[str, str]:
    """ICE user fragment and password of a fragment that asks for a restart. Raises ``RequestError``."""
    ufrag, password = _UFRAG.search(fragment), _PASSWORD.search(fragment)
    if ufrag is None or password is None:
        raise _malformed(_NO_CREDENTIALS)
    return ufrag[1], password[1]


_NO_CREDENTIALS = (
    "an ICE restart needs an a=ice-ufrag of at least 4 and an a=ice-pwd of at least 22 letters and digits, both new"
)


def check_fragment(fragment: str) -> None:
    """Raises ``RequestError`` if it is not a fragment, or has too much of them."""
    if fragment.count("\n") > MAX_LINES:
        raise _malformed(f"it has more than {MAX_LINES} lines")
    candidates = 0
    for line in fragment.split("\n"):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if len(name) != 1 or not equals:  # RFC 8866 5: <type>=<value>, the type is one character
            raise _malformed(f"{line[:40]!r} is not a line of SDP")
        candidates += name == "a" and (value.startswith("candidate:") or value == "end-of-candidates")
    if not fragment.strip():
        raise _malformed("it is empty")
    if candidates > MAX_CANDIDATES:
        raise RequestError(400, "too_many_candidates", f"No more than {MAX_CANDIDATES} candidates may come at once.")


def _malformed(problem: str) -> RequestError:
    return RequestError(400, "malformed_sdpfrag", f"The body is not an ICE fragment of SDP (RFC 8840): {problem}.")
