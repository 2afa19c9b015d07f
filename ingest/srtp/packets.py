"""SRTP and SRTCP packets in clear, and our reports protected (RFC 3711 3.1, 3.3.1, 3.4; RFC 7714 8, 9).

pylibsrtp takes no packets above 1,500 bytes, no MKI, and no stream of which the first 65,536 packets were missed.
"""

from __future__ import annotations

import hmac
from functools import partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.srtp import AUTH_KEY_SIZE, RTCP_LABELS, RTP_LABELS, derive
from ingest.srtp.keys import Keys

MAX_SSRCS = 16  # of which we keep where they are; a track has one at a time
MAX_INDEX = (1 << 31) - 1  # RFC 3711 3.4
_E = 1 << 31  # an SRTCP packet is encrypted
_RTCP_TAG = 10  # bytes, whatever RTP's tag has (RFC 4568 6.2.2)
_HEADER = 12  # bytes of RTP
_CLEAR = 8  # bytes of SRTCP


class _Ciphers:
    """The session keys of RTP or RTCP."""

    def __init__(self, keys: Keys, labels: tuple[int, int, int]) -> None:
        suite = keys.suite
        key, salt = keys.master[: suite.key_size], keys.master[suite.key_size :]
        encryption, authentication, salting = (partial(derive, key, salt, label) for label in labels)
        self._aes = algorithms.AES(encryption(suite.key_size))
        self._aead = AESGCM(self._aes.key) if suite.gcm else None
        self._auth_key = authentication(AUTH_KEY_SIZE)
        self._salt = int.from_bytes(salting(suite.salt_size))

    @property
    def aead(self) -> AESGCM:
        assert self._aead is not None, "asked of suites with GCM alone"
        return self._aead

    def nonce(self, ssrc: int, index: int) -> bytes:
        """RFC 7714 8.1, 9.1."""
        return (self._salt ^ ssrc << 48 ^ index).to_bytes(12)

    def crypt(self, data: bytes, ssrc: int, index: int) -> bytes:
        """Encrypt or decrypt in counter mode (RFC 3711 4.1.1)."""
        counter = (self._salt << 16 ^ ssrc << 64 ^ index << 16).to_bytes(16)
        return Cipher(self._aes, modes.CTR(counter)).encryptor().update(data)

    def tag(self, data: bytes, size: int) -> bytes:
        return hmac.digest(self._auth_key, data, "sha1")[:size]


class Unprotector:
    """Takes the protection off one section's packets, which come by ``keys``. What is not authentic is dropped.

    A packet that comes twice is taken twice: their order is the receiver's business, which drops it.
    """

    def __init__(self, keys: Keys) -> None:
        self.refused = 0  # packets that were not authentic
        self.taken = 0
        self._keys, self._suite = keys, keys.suite
        self._rtp, self._rtcp = _Ciphers(keys, RTP_LABELS), _Ciphers(keys, RTCP_LABELS)
        self._highest: dict[int, int] = {}  # index by SSRC: rollovers << 16 | sequence number

    def rtp(self, packet: bytes) -> bytes | None:
        """The packet in clear; ``None`` for one that is not authentic."""
        if len(packet) < _HEADER:
            self.refused += 1
            return None
        sequence, ssrc = int.from_bytes(packet[2:4]), int.from_bytes(packet[8:_HEADER])
        for index in self._indices(ssrc, sequence):
            plain = self._rtp_at(packet, ssrc, index)
            if plain is not None:
                self.taken += 1
                self._note(ssrc, index)
                return plain
        self.refused += 1
        return None

    def rtcp(self, packet: bytes) -> bytes | None:
        """The compound packet in clear; ``None`` for one that is not authentic."""
        plain = self._rtcp_in_clear(packet)
        self.refused += plain is None
        return plain

    def _indices(self, ssrc: int, sequence: int) -> list[int]:
        """The indices that a packet may have: one as soon as its SSRC is known (RFC 3711 3.3.1)."""
        highest = self._highest.get(ssrc)
        if highest is None:  # what was announced is of a moment ago: the numbers may have rolled over since
            announced = self._keys.rollovers.get(ssrc, 0)
            return [
                rollover << 16 | sequence for rollover in (announced, announced + 1, announced - 1) if rollover >= 0
            ]
        distance = (sequence - highest + 0x8000 & 0xFFFF) - 0x8000
        return [highest + distance] if highest + distance >= 0 else []

    def _note(self, ssrc: int, index: int) -> None:
        if ssrc not in self._highest and len(self._highest) >= MAX_SSRCS:
            del self._highest[next(iter(self._highest))]
        self._highest[ssrc] = max(index, self._highest.get(ssrc, 0))

    def _rtp_at(self, packet: bytes, ssrc: int, index: int) -> bytes | None:
        mki, tag = len(self._keys.mki), 0 if self._suite.gcm else self._suite.tag_size
        end, start = len(packet) - mki - tag, _payload_at(packet)
        if end < start or packet[end : end + mki] != self._keys.mki:
            return None
        if self._suite.gcm:
            try:
                nonce = self._rtp.nonce(ssrc, index)
                return packet[:start] + self._rtp.aead.decrypt(nonce, packet[start:end], packet[:start])
            except InvalidTag:
                return None
        authenticated = packet[:end] + (index >> 16 & 0xFFFFFFFF).to_bytes(4)
        if not hmac.compare_digest(self._rtp.tag(authenticated, tag), packet[len(packet) - tag :]):
            return None
        return packet[:start] + self._rtp.crypt(packet[start:end], ssrc, index)

    def _rtcp_in_clear(self, packet: bytes) -> bytes | None:
        keys, tag = self._keys, 0 if self._suite.gcm else _RTCP_TAG
        end = len(packet) - tag - len(keys.mki) - 4  # of what is encrypted
        if end < _CLEAR or packet[end + 4 : len(packet) - tag] != keys.mki:
            return None
        clear, rest, trailer = packet[:_CLEAR], packet[_CLEAR:end], packet[end : end + 4]
        ssrc, word = int.from_bytes(clear[4:]), int.from_bytes(trailer)
        if self._suite.gcm:
            try:
                nonce = self._rtcp.nonce(ssrc, word & MAX_INDEX)
                return clear + self._rtcp.aead.decrypt(nonce, rest, clear + trailer) if word & _E else None
            except InvalidTag:
                return None
        if not hmac.compare_digest(self._rtcp.tag(packet[: end + 4], tag), packet[-tag:]):
            return None
        return clear + (self._rtcp.crypt(rest, ssrc, word & MAX_INDEX) if word & _E else rest)


class Protector:
    """Protects our reports with ``keys``; they have one SSRC."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._rtcp = _Ciphers(keys, RTCP_LABELS)
        self._index = 0

    def rtcp(self, packet: bytes) -> bytes:
        """SRTCP of a compound packet."""
        self._index = (self._index + 1) & MAX_INDEX  # a report in five seconds: for 340 years
        ssrc, trailer = int.from_bytes(packet[4:_CLEAR]), (_E | self._index).to_bytes(4)
        clear, rest = packet[:_CLEAR], packet[_CLEAR:]
        if self._keys.suite.gcm:
            nonce = self._rtcp.nonce(ssrc, self._index)
            return clear + self._rtcp.aead.encrypt(nonce, rest, clear + trailer) + trailer + self._keys.mki
        body = clear + self._rtcp.crypt(rest, ssrc, self._index) + trailer
        return body + self._keys.mki + self._rtcp.tag(body, _RTCP_TAG)


def _payload_at(packet: bytes) -> int:
    """The place of the payload, behind CSRCs and the header extension, which are in clear (RFC 3711 3.1)."""
    at = _HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4])
    return at
