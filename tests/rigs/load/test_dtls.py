from __future__ import annotations

import pytest

from rigs.load.dtls import Dtls, DtlsError, Identity

GCM, CM = "SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80"


def shake(client: Dtls, server: Dtls, *, lose: int = 0) -> None:
    """Pass datagrams to and fro; the first ``lose`` of them get lost and the rest waits for nothing."""
    to_server = client.start()
    for _ in range(8):
        to_client = [reply for datagram in to_server for reply in server.receive(datagram)]
        to_server = [reply for datagram in to_client for reply in client.receive(datagram)]


def pair(client_profiles: tuple[str, ...], server_profiles: tuple[str, ...]) -> tuple[Dtls, Dtls]:
    ours, theirs = Identity(client_profiles), Identity(server_profiles)
    client = Dtls(ours, ("sha-256", theirs.fingerprint), server=False)
    return client, Dtls(theirs, ("sha-256", ours.fingerprint), server=True)


def test_both_sides_get_the_same_keys_crosswise() -> None:
    client, server = pair((GCM, CM), (GCM, CM))
    shake(client, server)
    assert client.done
    assert server.done
    ours, theirs = client.keys(), server.keys()
    assert ours.profile == theirs.profile == GCM
    assert (ours.local, ours.remote) == (theirs.remote, theirs.local)
    assert len(ours.local) == 28


def test_the_server_chooses_the_profile() -> None:
    client, server = pair((GCM, CM), (CM, GCM))
    shake(client, server)
    assert client.keys().profile == CM
    assert len(client.keys().local) == 30


def test_no_profile_in_common() -> None:
    client, server = pair((GCM,), (CM,))
    shake(client, server)
    with pytest.raises(DtlsError, match="no common"):
        client.keys()


def test_a_peer_with_another_certificate_is_refused() -> None:
    ours, theirs = Identity((GCM,)), Identity((GCM,))
    client = Dtls(ours, ("sha-256", ours.fingerprint), server=False)
    with pytest.raises(DtlsError, match="fingerprint"):
        shake(client, Dtls(theirs, ("sha-256", ours.fingerprint), server=True))


def test_farewell() -> None:
    client, server = pair((GCM,), (GCM,))
    shake(client, server)
    for datagram in client.close():
        server.receive(datagram)
    assert server.closed
    assert client.close() == []


def test_garbage_does_not_end_an_association() -> None:
    client, server = pair((GCM,), (GCM,))
    shake(client, server)
    server.receive(b"\x17" + bytes(40))
    assert not server.closed
