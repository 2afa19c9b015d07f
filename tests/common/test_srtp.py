from __future__ import annotations

from common.srtp import RTP_LABELS, derive


def test_key_derivation_is_the_rfcs() -> None:
    # RFC 3711 B.3, test vectors
    key = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
    salt = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")
    encryption, authentication, salting = RTP_LABELS
    assert derive(key, salt, encryption, 16) == bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    assert derive(key, salt, salting, 14) == bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    assert derive(key, salt, authentication, 94).startswith(bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A15"))
