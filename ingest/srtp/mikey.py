"""MIKEY (RFC 3830) with keys that are neither encrypted nor authenticated, as RTSP has it (RFC 4567 4.1).

A message has a header and payloads, each of which names the type of the next. What is read is the policy of SRTP (SP)
and the first key (KEMAC); what is written is the same with one key. RTSP's peers all send the key that encrypts packets
(TEK), and not one from which it is generated (TGK).
"""

from __future__ import annotations

import secrets
from struct import Struct, error

from common.errors import ProtocolError
from ingest.srtp.keys import SUITES, USUAL, Keys, Suite

NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
MAX_PAYLOADS = 32

_HEADER = Struct("!BBBBIBB")  # version, data type, next payload, V and PRF, CSB ID, number of crypto sessions, map type
_SESSION = Struct("!BII")  # policy, SSRC, rollover counter (6.1.1)
_LAST, _KEMAC, _T, _SP, _RAND = 0, 1, 5, 10, 11  # 6.1, table b
_TEK, _TEK_SALT = 2, 3  # 6.13
_SPI = 1  # 6.13: a key with an MKI
_ENCRYPTION, _KEY_SIZE, _TAG_SIZE = 0, 1, 11  # 6.10.1
_ON = {7: "RTP is not encrypted", 8: "RTCP is not encrypted", 10: "RTP is not authenticated"}
_AES_CM, _AES_GCM = 1, 6
_SUITES = {(suite.gcm, suite.key_size, suite.tag_size): suite for suite in SUITES.values()}


def read(message: bytes) -> Keys:
    """The keys in a message. Raises ``ProtocolError`` for what is not understood."""
    try:
        return _read(message)
    except (IndexError, error):
        raise ProtocolError("a MIKEY message is cut short") from None


def write(keys: Keys, ssrcs: tuple[int, ...], *, unix: float, unique: int) -> bytes:
    """A message with keys of the usual suite, for those SSRCs, at a Unix time in seconds; ``unique`` has 32 bits."""
    sessions = b"".join(_SESSION.pack(0, ssrc, 0) for ssrc in ssrcs)
    header = _HEADER.pack(1, 0, _T, 0, unique, len(ssrcs), 0) + sessions
    time = bytes((_RAND, 0)) + int((unix + NTP_EPOCH) * (1 << 32)).to_bytes(8)
    random = bytes((_SP, 16)) + secrets.token_bytes(16)
    values = {_ENCRYPTION: _AES_CM, _KEY_SIZE: 16, 2: 1, 3: 20, 7: 1, 8: 1, 10: 1, _TAG_SIZE: 10}
    policy = b"".join(bytes((name, 1, value)) for name, value in values.items())
    mki = bytes((len(keys.mki),)) + keys.mki if keys.mki else b""
    key = bytes((_LAST, _TEK << 4 | (_SPI if mki else 0))) + len(keys.master).to_bytes(2) + keys.master + mki
    kemac = bytes((_LAST, 0)) + len(key).to_bytes(2) + key + bytes(1)
    return header + time + random + bytes((_KEMAC, 0, 0)) + len(policy).to_bytes(2) + policy + kemac


def _read(data: bytes) -> Keys:
    version, _, kind, _, _, count, mapping = _HEADER.unpack_from(data)
    if version != 1 or mapping:
        raise ProtocolError("a MIKEY message is of another version, or not for SRTP")
    at = _HEADER.size
    rollovers = {}
    for _ in range(count):
        _, ssrc, rollovers_so_far = _SESSION.unpack_from(data, at)
        rollovers[ssrc] = rollovers_so_far
        at += _SESSION.size
    suite, master, mki = USUAL, b"", b""
    policy: dict[int, bytes] = {}
    for _ in range(MAX_PAYLOADS):
        if kind == _LAST:
            break
        following = data[at]
        if kind == _KEMAC:
            if data[at + 1]:
                raise ProtocolError("the key in a MIKEY message is encrypted")
            size = int.from_bytes(data[at + 2 : at + 4])
            master, mki = _key(data[at + 4 : at + 4 + size])
            at += 4 + size + 1 + (20 if data[at + 4 + size] else 0)  # 6.2: a MAC may be there
        elif kind == _T:
            at += 2 + (4 if data[at + 1] == 2 else 8)  # 6.6
        elif kind == _SP:
            size = int.from_bytes(data[at + 3 : at + 5])
            policy = policy or _policy(data[at + 5 : at + 5 + size])
            at += 5 + size
        elif kind == _RAND:
            at += 2 + data[at + 1]
        elif kind == 21:  # general extension (6.15)
            at += 4 + int.from_bytes(data[at + 2 : at + 4])
        else:
            raise ProtocolError(f"a MIKEY message has a payload of type {kind}, which is not understood")
        kind = following
    suite = _suite(policy, len(master))
    if len(master) != suite.master_size:
        raise ProtocolError("the key in a MIKEY message has another size than its policy")
    return Keys(suite, master, mki, rollovers)


def _key(data: bytes) -> tuple[bytes, bytes]:
    """Master key with salt, and MKI, of a key data payload (6.13)."""
    kind, validity = data[1] >> 4, data[1] & 0x0F
    size = int.from_bytes(data[2:4])
    master, at = data[4 : 4 + size], 4 + size
    if kind not in (_TEK, _TEK_SALT):
        raise ProtocolError("the key in a MIKEY message is one to generate others from")
    if kind == _TEK_SALT:
        size = int.from_bytes(data[at : at + 2])
        master += data[at + 2 : at + 2 + size]
        at += 2 + size
    return master, data[at + 1 : at + 1 + data[at]] if validity == _SPI else b""


def _policy(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        found.setdefault(data[at], data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found


def _suite(policy: dict[int, bytes], master_size: int) -> Suite:
    values = {name: int.from_bytes(value) for name, value in policy.items()}
    encryption = values.get(_ENCRYPTION, _AES_CM)
    for name, problem in _ON.items():
        if not values.get(name, 1) and not (name == 10 and encryption == _AES_GCM):  # GCM needs no tag beside its own
            raise ProtocolError(f"{problem}, which is not supported")
    tag = values.get(_TAG_SIZE, 16 if encryption == _AES_GCM else 10)
    tag = tag // 8 if tag >= 32 else tag  # some count bits
    salt = 12 if encryption == _AES_GCM else 14
    key_size = values.get(_KEY_SIZE, master_size - salt)
    key_size = key_size // 8 if key_size >= 128 else key_size
    suite = _SUITES.get((encryption == _AES_GCM, key_size, 16 if encryption == _AES_GCM else tag))
    if suite is None or encryption not in (_AES_CM, _AES_GCM):
        raise ProtocolError("a MIKEY message has a policy that is not supported")
    return suite
