import itertools

import pytest
from aiortc import rtp
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from egress.wire.certificate import Certificate, Fingerprint
from egress.wire.dtls import DTLS_MTU, DtlsServer, Identity
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, Profile
from egress.wire.srtp import MAX_SSRCS
from rigs.browser import Browser

IDENTITY = Identity(compiled=False)


def pair(browser: Browser, fingerprints: list[Fingerprint] | None = None) -> tuple[DtlsServer, list[bytes]]:
    out: list[bytes] = []
    prints = [browser.certificate.fingerprint()] if fingerprints is None else fingerprints
    return DtlsServer(IDENTITY, prints, out.append), out


def shake_hands(browser: Browser, server: DtlsServer, out: list[bytes]) -> None:
    browser.start_dtls()
    for _ in range(10):
        for datagram in browser.take():
            server.receive(datagram)
        for datagram in out:
            browser.receive(datagram)
        out.clear()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM, SRTP_AEAD_AES_128_GCM], SRTP_AEAD_AES_128_GCM),
        ([SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_256_GCM], SRTP_AEAD_AES_256_GCM),
        ([SRTP_AES128_CM_SHA1_80], SRTP_AES128_CM_SHA1_80),
    ],
)
def test_the_server_chooses_gcm_if_it_can(offered: list[Profile], chosen: Profile) -> None:
    browser = Browser(offered)
    server, out = pair(browser)
    shake_hands(browser, server, out)
    assert server.connected
    assert browser.connected
    assert server.srtp.profile is chosen
    assert (server.srtp.gcm_keys is None) == (chosen is SRTP_AES128_CM_SHA1_80)


def test_keys_fit_together_in_both_directions() -> None:
    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)
    browser.receive(
        server.srtp.protect_rtp(rtp.RtpPacket(payload_type=96, sequence_number=7, payload=b"x").serialize())
    )
    assert browser.packets[0].sequence_number == 7
    browser.receive(server.srtp.protect_rtcp(bytes(rtp.RtcpByePacket([1]))))
    assert browser.reports == [rtp.RtcpByePacket([1])]
    browser.send_rtcp(rtp.RtcpRrPacket(5))
    (datagram,) = browser.take()
    assert server.srtp.unprotect_rtcp(datagram) == bytes(rtp.RtcpRrPacket(5))
    assert server.srtp.unprotect_rtcp(datagram[:-1] + b"\0") is None, "tampered with"
    assert server.srtp.unprotect_rtcp(datagram) is None, "replayed"
    assert server.srtp.unprotect_rtcp(datagram + bytes(2_000)) is None, "longer than libsrtp takes"


def test_a_viewer_cannot_make_up_sources_without_end() -> None:
    """libsrtp keeps a state for each, and never gives one back."""
    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)

    def accepted(ssrc: int) -> bool:
        browser.send_rtcp(rtp.RtcpRrPacket(ssrc))
        (datagram,) = browser.take()
        return server.srtp.unprotect_rtcp(datagram) is not None

    forged = b"\x81\xc9\0\1" + bytes(40)
    for number in range(100):
        assert server.srtp.unprotect_rtcp(forged[:4] + number.to_bytes(4, "big") + forged[8:]) is None
    assert [accepted(ssrc) for ssrc in range(1, 100)].count(True) == MAX_SSRCS
    assert accepted(1), "what was there before is still heard"


def test_a_certificate_that_is_not_the_offers_is_refused() -> None:
    browser = Browser()
    server, out = pair(browser, [Certificate().fingerprint()])
    shake_hands(browser, server, out)
    assert server.over
    assert "certificate" in server.failure


def test_a_viewer_without_a_certificate_is_refused() -> None:
    browser = Browser()
    server, out = pair(browser)
    bare = SSL.Context(SSL.DTLS_METHOD)
    bare.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM")
    browser.ssl = SSL.Connection(bare)
    browser.ssl.set_connect_state()
    with pytest.raises(SSL.Error, match="alert handshake failure"):
        shake_hands(browser, server, out)
    assert server.over
    assert "handshake failed" in server.failure


def test_no_profile_in_common() -> None:
    browser = Browser([Profile("SRTP_AES128_CM_SHA1_32", libsrtp=2, key_size=16, salt_size=14, gcm=False)])
    server, out = pair(browser)
    shake_hands(browser, server, out)
    assert server.over
    assert server.failure == "no SRTP profile in common"


def test_close_notify_of_either_side() -> None:
    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)
    browser.close()
    server.receive(browser.take()[0])
    assert server.over

    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)
    server.close()
    browser.receive(out[0])
    assert browser.closed


def test_application_data_is_read_and_forgotten() -> None:
    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)
    ssl = browser.ssl
    for _ in range(10):
        for _ in range(50):
            ssl.send(b"x")
        server.receive(ssl.bio_read(65_536))
    with pytest.raises(SSL.WantReadError):
        server._connection.recv(DTLS_MTU)
    assert server.connected


def test_a_fatal_alert_ends_the_association() -> None:
    browser = Browser()
    server, out = pair(browser)
    shake_hands(browser, server, out)
    ssl = browser.ssl
    ssl.renegotiate()
    with pytest.raises(SSL.WantReadError):
        ssl.do_handshake()
    server.receive(ssl.bio_read(65_536))
    assert server.connected, "a refused renegotiation is nothing fatal yet"
    ssl.bio_write(out[0])
    with pytest.raises(SSL.Error, match="no renegotiation"):
        ssl.do_handshake()
    server.receive(ssl.bio_read(65_536))
    assert server.over
    assert "association failed" in server.failure


def test_datagrams_stay_within_the_mtu_and_end_at_records() -> None:
    browser = Browser()
    server, out = pair(browser)
    browser.start_dtls()
    server.receive(browser.take()[0])
    assert out
    for datagram in out:
        assert len(datagram) <= DTLS_MTU
        at = 0
        while at < len(datagram):
            at += 13 + int.from_bytes(datagram[at + 11 : at + 13], "big")
        assert at == len(datagram)


def fragments(record: bytes, size: int) -> list[bytes]:
    """A record with one handshake message, as several with a piece of it each (RFC 6347 4.2.3)."""
    kind_and_version, epoch_and_number, message = record[:3], record[3:11], record[13:]
    head, body = message[:6], message[12:]
    first = int.from_bytes(epoch_and_number, "big") + 20  # beyond what the browser itself goes on to use
    records = []
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        fragment = head + at.to_bytes(3, "big") + len(piece).to_bytes(3, "big") + piece
        number = (first + len(records)).to_bytes(8, "big")
        records.append(kind_and_version + number + len(fragment).to_bytes(2, "big") + fragment)
    return records


@pytest.mark.parametrize("order", [1, -1], ids=["in-order", "backwards"])
def test_a_hello_may_come_in_pieces(order: int) -> None:
    """As where a browser's key for post-quantum exchange does not fit into one datagram."""
    browser = Browser()
    server, out = pair(browser)
    browser.start_dtls()
    (hello,) = browser.take()
    pieces = fragments(hello, 50)[::order]
    answered = [server.receive(piece) for piece in pieces]
    assert answered == [False] * (len(pieces) - 1) + [True]
    for datagram in out:
        browser.receive(datagram)
    for datagram in browser.take():
        server.receive(datagram)
    assert server.connected


def test_a_lost_flight_is_sent_again_and_less_and_less_often() -> None:
    browser = Browser()
    server, out = pair(browser)
    server.retransmit(0.0)
    assert out == [], "there is nothing to repeat yet"
    browser.start_dtls()
    server.receive(browser.take()[0])
    flight = list(out)
    repeated = []
    for tick in range(40):  # a sweep every 0.1 s
        out.clear()
        server.retransmit(1.0 + tick / 10)
        if out:
            assert out == flight
            repeated.append(tick)
    gaps = [later - earlier for earlier, later in itertools.pairwise(repeated)]
    assert repeated[0] == 1
    assert gaps == [pytest.approx(2 << n, abs=1) for n in range(4)]
    for datagram in flight:
        browser.receive(datagram)
    for datagram in browser.take():
        server.receive(datagram)
    assert server.connected


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
def test_garbage_before_and_during_the_handshake(garbage: list[bytes]) -> None:
    browser = Browser()
    server, out = pair(browser)
    for datagram in garbage:
        server.receive(bytes([22]) + datagram)
    shake_hands(browser, server, out)
    assert server.connected or server.over
    for datagram in garbage:
        server.receive(bytes([23]) + datagram)
        if server.connected:
            server.srtp.unprotect_rtcp(datagram)
