"""Encrypted segments of HLS in clear, however they come in pieces."""

from __future__ import annotations

from io import BytesIO

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from common.errors import CameraError
from ingest.sources.encrypted import Decrypted

KEY, VECTOR = bytes(range(16)), bytes(range(16, 32))


def encrypted(plain: bytes) -> bytes:
    padding, cipher = PKCS7(128).padder(), Cipher(AES(KEY), CBC(VECTOR)).encryptor()
    return cipher.update(padding.update(plain) + padding.finalize()) + cipher.finalize()


@pytest.mark.parametrize("size", [1, 15, 16, 17, 1_000])
@pytest.mark.parametrize("plain", [b"", b"a", bytes(15), bytes(range(16)), bytes(range(100))])
def test_a_segment_is_decrypted_piece_by_piece(plain: bytes, size: int) -> None:
    body = BytesIO(encrypted(plain))
    segment, pieces = Decrypted(body, KEY, VECTOR), list[bytes]()
    while piece := segment.read(size):
        pieces.append(piece)
    assert b"".join(pieces) == plain
    assert segment.read(size) == b"", "it stays at its end"
    segment.close()
    assert body.closed


@pytest.mark.parametrize("body", [bytes(15), encrypted(b"segment")[:-1], encrypted(bytes(40))[:-16]])
def test_what_is_encrypted_otherwise_is_named(body: bytes) -> None:
    segment = Decrypted(BytesIO(body), KEY, VECTOR)
    with pytest.raises(CameraError, match="not encrypted as its playlist says"):
        list(iter(lambda: segment.read(100), b""))


@pytest.mark.parametrize(("key", "vector"), [(KEY[1:], VECTOR), (KEY, VECTOR[1:])])
def test_a_key_or_vector_that_is_none_is_an_error(key: bytes, vector: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Decrypted(BytesIO(), key, vector)
