"""Names of viewers' sessions: a secret one, and a public one.

To know a session's secret name is to own it: who has it may end the session. It stands in the answer to its viewer, and
between our processes. Lists and logs show the public name, which can be made from the secret one and not the other way.

The secret name also carries a mark of the offer's ICE user fragment, so that every broker, also one that started after
the session, can tell whether a PATCH belongs to this ICE session or asks for a new one.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from typing import NewType

SessionName = NewType("SessionName", str)
"""A session's secret name: between our processes and to its viewer alone."""

SECRET_BYTES = 24  # of randomness
_TOKEN = 32  # characters that they take
_MARK = 6  # characters

_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)


def new_session(offer: str) -> SessionName:
    """A secret name for the session of an SDP offer."""
    token = secrets.token_urlsafe(SECRET_BYTES)
    ufrag = _UFRAG.search(offer)
    return SessionName(token + _mark(token, ufrag[1] if ufrag else ""))


def ice_mark(session: str, ufrag: str) -> str:
    """The mark that a session's reports have of the peer's ICE user fragment after an ICE restart."""
    return _mark(session[:_TOKEN], ufrag)


def is_same_ice(session: str, fragment: str, mark: str = "") -> bool:
    """Whether a fragment of SDP has the session's ICE user fragment: of the ``mark``, or that its offer began with."""
    mark = mark or session[_TOKEN:]
    return any(ice_mark(session, ufrag) == mark for ufrag in _several(_UFRAG.findall(fragment)))


def names_ice(fragment: str) -> bool:
    """Whether a fragment of SDP has any ICE user fragment."""
    return _UFRAG.search(fragment) is not None


def public_name(session: str) -> str:
    """The name that lists and logs show."""
    return hashlib.sha256(f"public {session}".encode()).hexdigest()[:12]


def _mark(token: str, ufrag: str) -> str:
    digest = hashlib.sha256(f"{token} {ufrag}".encode(errors="replace")).digest()
    return urlsafe_b64encode(digest)[:_MARK].decode()


def _several(ufrags: Iterable[str]) -> list[str]:
    """Each once and not without end: one for each section, if the offer bundles none."""
    return list(dict.fromkeys(ufrags))[:16]
