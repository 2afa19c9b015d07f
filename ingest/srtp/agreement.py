"""The keys of one media section as they are agreed on, from DESCRIBE to SETUP (RFC 4567 4.2, RFC 4568)."""

from __future__ import annotations

import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from common.errors import ProtocolError
from ingest.sdp import MediaSection
from ingest.srtp import mikey, sdes
from ingest.srtp.keys import USUAL, Keys

_MKI_SIZE = 4  # bytes
_KEY_MANAGEMENT_FAILURE = 463  # RFC 4567 4.2
_ANOTHER_PROFILE = {400, 406, 415, 461, 501}  # answers that may mean the profile
_DATA = re.compile(r'(?i)(?:^|[;,\s])data\s*=\s*"?([A-Za-z0-9+/=]{1,8192})')


def is_secure(section: MediaSection) -> bool:
    """Whether what comes of it is SRTP."""
    return "SAVP" in section.protocol


def problem(section: MediaSection) -> str:
    """Why its packets cannot be decrypted; empty if they can, or are not encrypted."""
    if not is_secure(section):
        return ""
    if "DTLS" in section.protocol or section.protocol.startswith("UDP/TLS"):
        return "the track is encrypted with keys of DTLS, which is not supported; switch SRTP off in the camera"
    if section.crypto and sdes.read(section.crypto) is None:
        return (
            "the track is encrypted (SRTP) in a way that is not known; set the camera's SRTP to AES_CM_128_HMAC_SHA1_80"
        )
    return ""


@dataclass(slots=True, eq=False)
class Agreement:
    """The agreement on one section's keys. ``ssrc`` is that of our reports."""

    section: MediaSection
    ssrc: int
    unix: Callable[[], float] = time.time  # seconds
    secure: bool = field(init=False)
    profile: str = field(init=False)  # of RTP, that SETUP asks for
    _profiles: list[str] = field(init=False)  # to ask for if that is refused
    _ours: Keys = field(init=False, repr=False)
    _dictated: bool = field(default=False, init=False)  # what comes has our keys

    def __post_init__(self) -> None:
        self.secure = is_secure(self.section)
        self.profile, *self._profiles = _profiles(self.section)
        self._ours = sdes.read(self.section.crypto) or Keys(USUAL, secrets.token_bytes(USUAL.master_size))

    def headers(self, url: str) -> list[tuple[str, str]]:
        """The headers of SETUP that tell our keys."""
        if not self.secure or self.section.crypto:
            return []
        message = mikey.write(self._ours, (self.ssrc,), unix=self.unix(), unique=secrets.randbits(32))
        uri = url.replace('"', "%22")
        return [("KeyMgmt", f'prot=mikey; uri="{uri}"; data="{b64encode(message).decode()}"')]

    def again(self, status: int) -> bool:
        """Whether SETUP, refused with ``status``, is to be asked in another way."""
        if status == _KEY_MANAGEMENT_FAILURE and self.secure and not self.section.crypto and not self._dictated:
            self._dictated = True  # Axis, set so that the client makes the key: it has to have a name then
            self._ours = Keys(USUAL, secrets.token_bytes(USUAL.master_size), secrets.token_bytes(_MKI_SIZE))
            return True
        if status in _ANOTHER_PROFILE and self._profiles:
            self.profile = self._profiles.pop(0)
            return True
        return False

    def agreed(self, key_mgmt: str | None) -> tuple[Keys, Keys] | None:
        """The camera's keys and ours, by the ``KeyMgmt`` of the answer to SETUP; ``None`` where nothing is encrypted.

        Raises ``ProtocolError``.
        """
        if not self.secure:
            return None
        if self._dictated or self.section.crypto:
            return self._ours, self._ours
        data = match[1] if key_mgmt and (match := _DATA.search(key_mgmt)) else _of_description(self.section)
        return (mikey.read(_decoded(data)) if data else self._ours), self._ours


def _profiles(section: MediaSection) -> list[str]:
    """The profiles to ask for, in turn. Most servers know RTP/AVP alone, whatever they describe; GStreamer's
    that sends AVPF knows nothing else."""
    plain = [] if is_secure(section) and not section.crypto else ["AVP"]
    if "SAVPF" in section.protocol:
        return ["SAVPF", "SAVP", *plain]
    if is_secure(section):
        return ["SAVP", *plain]
    return [*plain, "AVPF"] if "AVPF" in section.protocol else plain


def _of_description(section: MediaSection) -> str:
    """The first message of ``a=key-mgmt:mikey …``, empty without one."""
    found = (text.split(maxsplit=1) for text in section.key_mgmt)
    return next((rest[0] for name, *rest in found if name.lower() == "mikey" and rest), "")


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text)
    except ValueError:
        raise ProtocolError("a MIKEY message is no Base64") from None
