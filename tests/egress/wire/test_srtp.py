import os

import pylibsrtp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress.media.group import GCM_TAG_SIZE, HEADER_SIZE
from egress.wire.profiles import (
    SRTP_AEAD_AES_128_GCM,
    SRTP_AEAD_AES_256_GCM,
    SRTP_AES128_CM_SHA1_80,
    Profile,
    masters,
)
from egress.wire.srtp import REPEAT_WINDOW, GcmKeys, Srtp


def test_each_side_has_its_own_key_and_salt() -> None:
    """RFC 5764 4.2: both keys, and then both salts, the client's before the server's."""
    profile = Profile("", libsrtp=0, key_size=3, salt_size=2, gcm=False)
    assert masters(profile, b"CCCSSSccss") == (b"CCCcc", b"SSSss")


def test_a_packet_may_be_protected_again_for_a_while() -> None:
    profile = SRTP_AES128_CM_SHA1_80
    srtp = Srtp(profile, os.urandom(profile.master_size), os.urandom(profile.master_size), compiled=False)
    packets = [bytes([0x80, 96]) + number.to_bytes(2, "big") + bytes(9) for number in range(REPEAT_WINDOW + 1)]
    protected = [srtp.protect_rtp(packet) for packet in packets]
    assert srtp.protect_rtp(packets[1]) == protected[1]
    with pytest.raises(pylibsrtp.Error):
        srtp.protect_rtp(packets[0])


@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM], ids=["128", "256"])
@given(payload=st.binary(min_size=1, max_size=1_200), first=st.integers(0, 0xFFFE), ssrc=st.integers(0, 2**32 - 1))
def test_byte_identical_to_libsrtp(profile: Profile, payload: bytes, first: int, ssrc: int) -> None:
    master = os.urandom(profile.master_size)
    policy = pylibsrtp.Policy(key=master, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.libsrtp)
    libsrtp, keys = pylibsrtp.Session(policy), GcmKeys(profile, master, compiled=False)
    # Over the wrap of the sequence number, so that the ROC is exercised; libsrtp starts it at 0.
    for index in sorted({first, first + 1, 0xFFFF, 0x10000, 0x10001}):
        header = bytes([0x80, 96]) + (index & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
        out = bytearray(len(payload) + GCM_TAG_SIZE)
        keys.encrypt_into((keys.iv(ssrc) ^ index).to_bytes(12, "big"), payload, header, memoryview(out))
        if index == 0xFFFF and first < 0x8000:
            return  # a jump of more than half the space, which libsrtp rightly takes for a late packet
        assert libsrtp.protect(header + payload) == header + out
        assert len(header) == HEADER_SIZE


ALL = [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80]


@pytest.mark.parametrize("profile", ALL, ids=["128", "256", "cm"])
def test_reports_are_byte_identical_to_libsrtp_and_their_indices_go_on(profile: Profile) -> None:
    master = os.urandom(profile.master_size)
    policy = pylibsrtp.Policy(key=master, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile.libsrtp)
    libsrtp, ours = pylibsrtp.Session(policy), Srtp(profile, master, master, compiled=False)
    for number in range(3):
        for ssrc in (b"one.", b"two."):
            packet = b"\x80\xc8\0\6" + ssrc + os.urandom(20 + 24 * number)
            assert ours.protect_rtcp(packet) == libsrtp.protect_rtcp(packet)
    heir = Srtp(profile, master, master, compiled=False, sent=ours.sent.indices.items())
    assert heir.protect_rtcp(packet) == libsrtp.protect_rtcp(packet)


@pytest.mark.parametrize("following", [1, 2, 0x4001, 0x1_8001])
def test_packets_of_another_process_are_counted_where_libsrtp_counts(following: int) -> None:
    profile = SRTP_AES128_CM_SHA1_80
    master = os.urandom(profile.master_size)
    before, after = (Srtp(profile, master, master, compiled=False) for _ in range(2))

    def packet(number: int) -> bytes:
        return b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + b"ssrc" + b"picture"

    for number in range(following):
        before.protect_rtp(packet(number))
    after.go_on(int.from_bytes(b"ssrc", "big"), following)
    assert after.protect_rtp(packet(following)) == before.protect_rtp(packet(following))


def test_feedback_that_another_process_took_is_not_taken_again() -> None:
    profile = SRTP_AEAD_AES_128_GCM
    master = os.urandom(profile.master_size)
    peer, before = (Srtp(profile, master, master, compiled=False) for _ in range(2))
    packets = [peer.protect_rtcp(b"\x80\xc9\0\1peer" + bytes(4)) for _ in range(3)]
    assert before.unprotect_rtcp(packets[1])
    after = Srtp(profile, master, master, compiled=False, heard=before.heard.items())
    assert [after.unprotect_rtcp(packet) is not None for packet in packets] == [False, False, True]
