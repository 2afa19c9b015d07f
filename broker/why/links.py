"""The links of the chain from a camera to a screen, and a verdict on them. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BrokenLink(StrEnum):
    """The links of the chain."""

    OFFER = "offer"  # refused by a limit, a right, or for want of an egress
    CAMERA = "camera"
    CODEC = "codec"
    ADDRESSES = "addresses"  # those that we offer lead nowhere
    WAY_IN = "way_in"  # nothing gets from the viewer to us
    WAY_OUT = "way_out"  # our answers do not arrive
    HANDSHAKE = "handshake"
    PATH = "path"  # media goes out, and does not arrive
    BROWSER = "browser"
    SERVER = "server"  # a process of ours has ended or says nothing
    NONE = "none"  # nothing is broken, as far as is known


@dataclass(frozen=True, slots=True)
class Verdict:
    """The broken link, as a word, a sentence, and a sentence that says what to do."""

    link: BrokenLink
    sentence: str
    advice: str = ""


def listed(addresses: tuple[str, ...]) -> str:
    """Addresses as a sentence has them."""
    return ", ".join(addresses) or "nowhere"
