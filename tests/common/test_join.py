"""Words of a worker and the broker on the join socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.control import Role
from common.errors import ProtocolError
from common.join import MAX_JOIN_BYTES, Join, Verdict, decode_join, decode_verdict, encode

JOIN = Join("abcdefgh", b"secret of twenty byte", Role.EGRESS, "out-1")


def test_messages_come_back_as_they_were() -> None:
    assert decode_join(encode(JOIN)) == JOIN
    for verdict in (Verdict(True), Verdict(False, "because", passing=True)):
        assert decode_verdict(encode(verdict)) == verdict


def test_the_secret_is_not_in_its_repr() -> None:
    assert "secret of" not in repr(JOIN)


def test_the_longest_names_fit_and_longer_ones_are_refused() -> None:
    longest = Join("a" * 16, bytes(64), Role.INGEST, "n" * 64)
    assert decode_join(encode(longest)) == longest
    for wrong in (
        Join("a" * 17, b"", Role.INGEST, "n"),
        Join("a", bytes(65), Role.INGEST, "n"),
        Join("a", b"", Role.INGEST, "n" * 65),
        Join("a", b"", Role.INGEST, "in 1\n"),
        Join("a", b"", "admin", "n"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ProtocolError):
            decode_join(encode(wrong))


@given(st.binary(max_size=2 * MAX_JOIN_BYTES))
@pytest.mark.parametrize("decode", [decode_join, decode_verdict])
def test_garbage_is_a_protocol_error(decode, frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(frame)


def test_nothing_beyond_the_bound_is_even_unpacked() -> None:
    with pytest.raises(ProtocolError):
        decode_join(encode(JOIN) + bytes(MAX_JOIN_BYTES))
