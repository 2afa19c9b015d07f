"""The networks that cameras may be in, as the operator lists them (``sources.networks``); no I/O.

Asked of numeric addresses, by those who are about to use just these: after a name was resolved, at every connection,
and wherever a camera leads. So a name cannot be one address when it is looked at and another when it is used.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp.zone import numeric

_SHOWN = 4  # networks that a sentence names


@dataclass(frozen=True, slots=True)
class Networks:
    """``listed`` are networks (RFC 4632, RFC 4291 2.3); none: every address is allowed."""

    listed: Sequence[str] = ()

    def allows(self, address: str) -> bool:
        """Whether a camera may be at a numeric address."""
        if not self.listed:
            return True
        parsed = numeric(address)
        return any(parsed in ipaddress.ip_network(each) for each in self.listed)

    def __str__(self) -> str:
        more = len(self.listed) - _SHOWN
        return ", ".join(self.listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


class OutsideNetworksError(CameraError):
    """An address that we were to speak to is in none of the networks."""

    def __init__(self, what: str, networks: Networks) -> None:
        super().__init__(CameraState.NOT_ALLOWED, f"{what}; sources.networks allows {networks}")
