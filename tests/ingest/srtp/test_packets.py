"""Packets that libsrtp protected, in clear; and ours, which libsrtp reads."""

from __future__ import annotations

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.srtp.keys import SUITES, Keys
from ingest.srtp.packets import MAX_SSRCS, Protector, Unprotector

SSRC = 0x0A0B0C0D
PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
REPORT = b"\x80\xc8\x00\x06" + SSRC.to_bytes(4) + bytes(range(20))


def keys(name: str) -> Keys:
    return Keys(SUITES[name], bytes(range(SUITES[name].master_size)))


def libsrtp(name: str, kind: int = pylibsrtp.Policy.SSRC_ANY_OUTBOUND) -> pylibsrtp.Session:
    return pylibsrtp.Session(pylibsrtp.Policy(keys(name).master, kind, srtp_profile=PROFILES[name]))


def rtp(sequence: int, *, ssrc: int = SSRC, payload: bytes = b"picture") -> bytes:
    return b"\x80\x60" + (sequence & 0xFFFF).to_bytes(2) + bytes(4) + ssrc.to_bytes(4) + payload


@pytest.mark.parametrize("name", PROFILES)
def test_what_libsrtp_protects_is_read(name: str) -> None:
    theirs, ours = libsrtp(name), Unprotector(keys(name))
    extended = (
        b"\xb2\x60\0\x03" + bytes(4) + SSRC.to_bytes(4) + bytes(8) + b"\xbe\xde\0\x01abcd" + b"picture" + b"\0\0\3"
    )
    for packet in (rtp(1), rtp(2, payload=b""), extended, rtp(4, ssrc=1), rtp(5, payload=bytes(1_200))):
        assert ours.rtp(theirs.protect(packet)) == packet
    assert ours.rtcp(theirs.protect_rtcp(REPORT)) == REPORT
    assert (ours.taken, ours.refused) == (5, 0)


@pytest.mark.parametrize("name", PROFILES)
def test_our_reports_are_read_by_libsrtp(name: str) -> None:
    ours, theirs = Protector(keys(name)), libsrtp(name, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    for _ in range(3):
        assert theirs.unprotect_rtcp(ours.rtcp(REPORT)) == REPORT


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_not_authentic_is_dropped(name: str) -> None:
    theirs, ours = libsrtp(name), Unprotector(keys(name))
    packet, report = theirs.protect(rtp(1)), theirs.protect_rtcp(REPORT)
    for at in range(len(packet)):
        assert ours.rtp(packet[:at] + bytes((packet[at] ^ 1,)) + packet[at + 1 :]) is None
    for at in range(len(report)):
        assert ours.rtcp(report[:at] + bytes((report[at] ^ 1,)) + report[at + 1 :]) is None
    assert Unprotector(Keys(SUITES[name], bytes(SUITES[name].master_size))).rtp(packet) is None
    assert ours.rtp(packet) == rtp(1)


def test_numbers_roll_over_and_come_late() -> None:
    name = "AES_CM_128_HMAC_SHA1_80"
    theirs, ours = libsrtp(name), Unprotector(keys(name))
    order = [theirs.protect(rtp(number)) for number in range(65_530, 65_545)]
    for at in (0, 2, 1, 8, 3, 4, 14, 5):
        assert ours.rtp(order[at]) == rtp(65_530 + at)


@pytest.mark.parametrize(("announced", "meanwhile"), [(0, 0), (2, 2), (1, 2), (3, 2)])
def test_who_comes_late_is_told_how_often_they_rolled_over(announced: int, meanwhile: int) -> None:
    name = "AES_CM_128_HMAC_SHA1_80"
    theirs = libsrtp(name)
    for number in range(0, meanwhile << 16, 0x7000):
        theirs.protect(rtp(number))
    packet = theirs.protect(rtp(5))
    told = Keys(SUITES[name], keys(name).master, rollovers={SSRC: announced})
    assert Unprotector(told).rtp(packet) == rtp(5)


def test_the_name_of_a_key_stands_in_each_packet() -> None:
    usual = keys("AES_CM_128_HMAC_SHA1_80")
    named = Keys(usual.suite, usual.master, mki=b"\1\2")
    packet = libsrtp("AES_CM_128_HMAC_SHA1_80").protect(rtp(1))
    marked = packet[:-10] + b"\1\2" + packet[-10:]  # RFC 3711 3.1
    assert Unprotector(named).rtp(marked) == rtp(1)
    assert Unprotector(named).rtp(packet) is None
    assert Unprotector(named).rtcp(Protector(named).rtcp(REPORT)) == REPORT
    assert Unprotector(usual).rtcp(Protector(named).rtcp(REPORT)) is None


def test_a_camera_with_an_ssrc_for_each_packet_costs_nothing() -> None:
    theirs, ours = libsrtp("AES_CM_128_HMAC_SHA1_80"), Unprotector(keys("AES_CM_128_HMAC_SHA1_80"))
    for ssrc in range(5 * MAX_SSRCS):
        assert ours.rtp(theirs.protect(rtp(1, ssrc=ssrc)))
    assert len(ours._highest) == MAX_SSRCS


@given(st.binary(max_size=60), st.sampled_from(sorted(SUITES)))
def test_anything(data: bytes, name: str) -> None:
    ours = Unprotector(keys(name))
    assert ours.rtp(data) is None
    assert ours.rtcp(data) is None
