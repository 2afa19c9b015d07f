"""NAL units in fragments of equal size, and several of them in one packet."""

from __future__ import annotations

import pytest

from common.media import MAX_PAYLOAD
from common.payload.fragmentation import aggregate, cut, end

H264 = (b"\x7c\x85", b"\x7c\x05", b"\x7c\x45")  # RFC 6184 5.8
H265 = (b"\x62\x01\x93", b"\x62\x01\x13", b"\x62\x01\x53")  # RFC 7798 4.4.3: one byte more


@pytest.mark.parametrize("headers", [H264, H265])
@pytest.mark.parametrize("size", [1, MAX_PAYLOAD - 3, MAX_PAYLOAD, 2 * MAX_PAYLOAD - 4, 10_000])
def test_all_fragments_but_the_last_are_as_large_as_a_payload_may_be(
    headers: tuple[bytes, bytes, bytes], size: int
) -> None:
    data = bytes(range(250)) * 40
    payloads: list[bytes] = []
    end(payloads, headers, data[:size], False)
    *before, last = payloads
    assert {len(payload) for payload in before} <= {MAX_PAYLOAD}
    assert len(last) <= MAX_PAYLOAD
    assert b"".join(payload[len(headers[0]) :] for payload in payloads) == data[:size]
    assert [payload[: len(headers[0])] for payload in before[:2]] == list(headers[: len(before[:2])])
    assert last.startswith(headers[2])


def test_what_is_to_be_kept_is_not_cut_off() -> None:
    payloads: list[bytes] = []
    full = MAX_PAYLOAD - 2
    assert cut(payloads, H264[0], H264[1], bytes(full + 2), 3) == 0
    assert cut(payloads, H264[0], H264[1], bytes(full + 3), 3) == full
    assert [len(payload) for payload in payloads] == [MAX_PAYLOAD]


def test_a_nal_unit_whose_bytes_have_all_been_sent_ends_with_a_fragment_all_the_same() -> None:
    payloads: list[bytes] = []
    end(payloads, H264, b"", True)
    assert payloads == [H264[2] + b"\0"]


def test_an_aggregation_packet_names_the_size_of_each_unit() -> None:
    assert aggregate(b"\x78", [b"\x67ab", b"\x68"]) == b"\x78\x00\x03\x67ab\x00\x01\x68"
