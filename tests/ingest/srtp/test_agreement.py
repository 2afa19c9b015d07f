"""Keys as they are told, and what SETUP says of them."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from ingest import sdp
from ingest.rtsp.message import Headers, Response
from ingest.rtsp.session import SessionState
from ingest.srtp import agreement, mikey, sdes
from ingest.srtp.keys import SUITES, USUAL, Keys
from tests.fakes.talk import Talk

MASTER = bytes(range(30))
INLINE = b64encode(MASTER).decode()
# As GStreamer's RTSP server and MediaMTX write it, whose policy names a size of the tag.
GSTREAMER = (
    "AQAFAAKohK4BAACl8PzAAAAAAAsA7rgc4iDynUAKEMx/m0QzD/bScYQvlTIaG0IBAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIAIAAe3GI0"
    "M1axNttlRqChA2I/a2XymNh7FFryHP2PGjYuAA=="
)
MEDIAMTX = (
    "AQAFAOZB04kBAAD9KOJUAAAAAAsA7rgc5WIsZycKEFGwF86uv1BOSMZR+EJE4JoBAAAAGAABAQEBEAIBAQMBFAcBAQgBAQoBAQsBCgAAACIAIAAe"
    "t0EnkdJ3KfY4l1JuEj4it7sj7tfJ3aKNaZ2JeeNzAA=="
)


@pytest.mark.parametrize(
    ("attribute", "suite", "mki"),
    [
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}", "AES_CM_128_HMAC_SHA1_80", b""),
        (f"1 AES_CM_128_HMAC_SHA1_32 inline:{INLINE}|2^20", "AES_CM_128_HMAC_SHA1_32", b""),
        (f"2 aes_cm_128_hmac_sha1_80 inline:{INLINE}|2^20|1:4", "AES_CM_128_HMAC_SHA1_80", b"\0\0\0\1"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|258:2 WSH=64 KDR=0", "AES_CM_128_HMAC_SHA1_80", b"\1\2"),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|258:1", None, b""),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} UNENCRYPTED_SRTP", None, b""),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE} KDR=3", None, b""),
        (f"1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}|2^20|1:4;inline:{INLINE}|2^20|2:4", None, b""),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:AAAA", None, b""),
        ("1 AES_CM_128_HMAC_SHA1_80 inline:-", None, b""),
        (f"1 F8_128_HMAC_SHA1_80 inline:{INLINE}", None, b""),
        ("", None, b""),
    ],
)
def test_keys_of_sdes(attribute: str, suite: str | None, mki: bytes) -> None:
    assert sdes.read(["nonsense", attribute]) == (Keys(SUITES[suite], MASTER, mki) if suite else None)


def test_padding_that_is_left_out_is_not_missed() -> None:
    master = bytes(range(44))
    text = b64encode(master).decode().rstrip("=")
    assert sdes.read([f"1 AEAD_AES_256_GCM inline:{text}"]) == Keys(SUITES["AEAD_AES_256_GCM"], master)


@pytest.mark.parametrize(
    ("message", "ssrc"), [(GSTREAMER, 0xA5F0FCC0), (MEDIAMTX, 0xFD28E254)], ids=["GStreamer", "MediaMTX"]
)
def test_keys_of_mikey_as_peers_write_it(message: str, ssrc: int) -> None:
    found = mikey.read(b64decode(message))
    assert (found.suite, len(found.master), found.mki, found.rollovers) == (USUAL, 30, b"", {ssrc: 0})
    with pytest.raises(ProtocolError):
        mikey.read(b64decode(message)[:-34])


@pytest.mark.parametrize("mki", [b"", b"\1\2\3\4"])
def test_what_we_write_is_read(mki: bytes) -> None:
    keys = Keys(USUAL, MASTER, mki, {7: 0})
    message = mikey.write(keys, (7,), unix=1_700_000_000.5, unique=1)
    assert mikey.read(message) == keys
    assert int.from_bytes(message[21:25]) == 1_700_000_000 + mikey.NTP_EPOCH


def _message(kind: int, key: bytes, policy: bytes) -> bytes:
    data = bytes((0, kind << 4)) + key
    kemac = bytes((0, 0)) + len(data).to_bytes(2) + data + b"\0"
    return b"\1\0\x0a\0\0\0\0\1\0\0" + b"\1\0\0" + len(policy).to_bytes(2) + policy + kemac


@pytest.mark.parametrize(
    ("message", "suite"),
    [
        (_message(2, b"\0\x1e" + MASTER, b""), "AES_CM_128_HMAC_SHA1_80"),
        (_message(3, b"\0\x10" + MASTER[:16] + b"\0\x0e" + MASTER[16:], b""), "AES_CM_128_HMAC_SHA1_80"),
        (_message(2, b"\0\x1e" + MASTER, b"\x0b\1\4"), "AES_CM_128_HMAC_SHA1_32"),
        (_message(2, b"\0\x1e" + MASTER, b"\x0b\1\x50"), "AES_CM_128_HMAC_SHA1_80"),
        (_message(2, b"\0\x1c" + MASTER[:28], b"\0\1\6\1\1\x10\x0a\1\0"), "AEAD_AES_128_GCM"),
    ],
)
def test_other_keys_of_mikey(message: bytes, suite: str) -> None:
    found = mikey.read(message)
    assert (found.suite, found.master) == (SUITES[suite], MASTER[: SUITES[suite].master_size])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\2" + bytes(9),
        b"\1\0\x63" + bytes(60),
        _message(0, b"\0\x1e" + MASTER, b""),  # to generate others from
        _message(2, b"\0\x1e" + MASTER, b"\7\1\0"),  # not encrypted
        _message(2, b"\0\x1e" + MASTER, b"\0\1\2"),  # F8
        _message(2, b"\0\x05" + MASTER[:5], b""),
    ],
)
def test_mikey_that_is_not_understood(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        mikey.read(message)


@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    for message in (data, b"\1\0\1" + data):
        try:
            found = mikey.read(message)
        except ProtocolError:
            continue
        assert len(found.master) == found.suite.master_size
    sdes.read([data.decode("latin-1"), f"1 AES_CM_128_HMAC_SHA1_80 inline:{data.decode('latin-1')}"])


# A conversation

SECURE = b"v=0\r\nm=video 0 RTP/SAVP 96\r\na=rtpmap:96 H264/90000\r\n"


def talk(attribute: str = "") -> Talk:
    found = Talk()
    found.sdp = SECURE + attribute.encode()
    return found


def told(message: str) -> Response:
    answer = [("Session", "1"), ("Transport", "RTP/SAVP/TCP;unicast;interleaved=0-1")]
    return Response(200, "OK", Headers([*answer, ("KeyMgmt", f'prot=mikey;uri="";data="{message}"')]))


def ours(conversation: Talk) -> Keys:
    match = re.search('data="(.*)"', conversation.last.headers.get("KeyMgmt") or "")
    assert match
    return mikey.read(b64decode(match[1]))


def test_with_sdes_the_description_has_the_keys() -> None:
    conversation = talk(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}").until(SessionState.SETUP)
    assert conversation.last.headers.get("Transport") == "RTP/SAVP/TCP;unicast;interleaved=0-1"
    assert "KeyMgmt" not in conversation.last.headers
    conversation.until(SessionState.PLAYING)
    assert conversation.session.setups[0].keys == (Keys(USUAL, MASTER),) * 2
    assert INLINE not in repr(conversation.session.setups) + repr(sdp.parse(conversation.sdp))


def test_servers_with_sdes_that_know_no_other_profile_are_asked_for_the_usual_one() -> None:
    conversation = talk(f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{INLINE}")
    conversation.answers["SETUP"] = [Response(461, "Unsupported Transport")]
    conversation.until(SessionState.PLAYING)
    asked = [each.headers.get("Transport") for each in conversation.sent if each.method == "SETUP"]
    assert asked == ["RTP/SAVP/TCP;unicast;interleaved=0-1", "RTP/AVP/TCP;unicast;interleaved=0-1"]
    assert conversation.session.setups[0].keys == (Keys(USUAL, MASTER),) * 2


@pytest.mark.parametrize(
    ("protocol", "asked"),
    [
        ("RTP/AVPF", ["RTP/AVP/TCP", "RTP/AVPF/TCP"]),
        ("RTP/SAVPF", ["RTP/SAVPF/TCP", "RTP/SAVP/TCP"]),
        ("RTP/AVP", ["RTP/AVP/TCP"]),
    ],
)
def test_the_profile_of_the_description_is_asked_for_where_another_is_refused(protocol: str, asked: list[str]) -> None:
    conversation = Talk()
    conversation.sdp = SECURE.replace(b"RTP/SAVP", protocol.encode())
    conversation.answers["SETUP"] = [Response(461, "Unsupported Transport")] * (len(asked) - 1)
    conversation.until(SessionState.PLAYING)
    specs = [each.headers.get("Transport") or "" for each in conversation.sent if each.method == "SETUP"]
    assert [spec.partition(";")[0] for spec in specs] == asked


@pytest.mark.parametrize("place", ["answer", "section", "session", "nowhere"])
def test_with_mikey_the_keys_of_the_camera_are_where_it_tells_them(place: str) -> None:
    attribute = f"a=key-mgmt:mikey {GSTREAMER}\r\n"
    conversation = talk(attribute if place == "section" else "")
    if place == "session":
        conversation.sdp = SECURE.replace(b"v=0\r\n", b"v=0\r\n" + attribute.encode())
    if place == "answer":
        conversation.answers["SETUP"] = [told(MEDIAMTX)]
    own = ours(conversation.until(SessionState.SETUP))
    conversation.until(SessionState.PLAYING)
    theirs = {"answer": mikey.read(b64decode(MEDIAMTX)), "nowhere": own}.get(place, mikey.read(b64decode(GSTREAMER)))
    found = conversation.session.setups[0].keys
    assert found
    assert [each.master for each in found] == [theirs.master, own.master]


def test_an_axis_camera_that_wants_the_key_from_us_is_given_one_with_a_name() -> None:
    conversation = talk(f"a=key-mgmt:mikey {GSTREAMER}\r\n")
    conversation.answers["SETUP"] = [Response(463, "Key management failure")]
    conversation.until(SessionState.SETUP).step()
    own = ours(conversation)
    assert len(own.mki) == 4
    conversation.until(SessionState.PLAYING)
    found = conversation.session.setups[0].keys
    assert found
    assert [(each.master, each.mki) for each in found] == [(own.master, own.mki)] * 2


def test_keys_that_cannot_be_read_are_named() -> None:
    conversation = talk()
    conversation.answers["SETUP"] = [told("AQAB")]
    with pytest.raises(CameraError, match=r"encrypted \(SRTP\), and a MIKEY message is cut short") as caught:
        conversation.until(SessionState.PLAYING)
    assert caught.value.state is CameraState.REJECTED


@pytest.mark.parametrize(
    ("protocol", "attribute", "words"),
    [
        ("UDP/TLS/RTP/SAVP", "", "keys of DTLS"),
        ("RTP/SAVP", f"a=crypto:1 F8_128_HMAC_SHA1_80 inline:{INLINE}", "set the camera's SRTP to AES_CM_128"),
        ("RTP/SAVPF", f"a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:{INLINE}", ""),
        ("RTP/SAVP", "", ""),
        ("RTP/AVP", "", ""),
    ],
)
def test_what_cannot_be_decrypted_is_said(protocol: str, attribute: str, words: str) -> None:
    (section,) = sdp.parse(f"v=0\nm=video 0 {protocol} 96\n{attribute}".encode()).media
    assert words in agreement.problem(section)
    assert bool(words) == bool(agreement.problem(section))
