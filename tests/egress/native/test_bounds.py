"""Bounds of what C is given: nothing is read beyond an end, and nothing that fits is refused."""

from __future__ import annotations

import errno

import pytest

from egress import native
from egress.media.group import GCM_TAG_SIZE, HEADER_SIZE
from egress.wire.port import MediaSocket
from tests.fakes.native import Viewer, needs_native

pytestmark = needs_native


@pytest.mark.parametrize(
    "payloads",
    [[bytes(1_200)] * 200, [bytes(900)] * 129, [bytes(33_000)] * 4, [bytes(65_600), b"1"], [bytes(65_508), b"1"]],
    ids=["bytes", "packets", "scratch", "datagram", "a-byte"],
)
def test_no_run_is_too_long_for_it(payloads: list[bytes]) -> None:
    """Nor has it a datagram whose size does not go into the 16 bits by which the kernel is told."""
    with pytest.raises(ValueError, match="longer"):
        native.Audience([], []).send(native.PackedParcel([([bytes(12)] * len(payloads), payloads)]), 0, 0, 0)


def test_a_run_of_nothing_is_none() -> None:
    """Python makes none; in C it would have as many packets as a number can say."""
    run, nobody = native.ffi.new("struct camshaft_run *", (0, 12, 1, 1)), native.ffi.NULL
    assert native.lib.camshaft_fan_out(b"", b"", run, 1, 0, nobody, nobody, nobody, nobody, 0) == -1


def test_the_longest_runs_are_not_too_long_for_it() -> None:
    for payloads in ([bytes(900)] * 128, [bytes(65_507), b"1"], [bytes(65_600)]):
        assert (
            native.Audience([], []).send(native.PackedParcel([([bytes(12)] * len(payloads), payloads)]), 0, 0, 0) == []
        )


def test_runs_may_fill_what_is_reserved_for_them_to_the_last_byte(ipv4: MediaSocket) -> None:
    viewer = Viewer(ipv4)
    whole = [bytes(65_536 - HEADER_SIZE - GCM_TAG_SIZE)]  # more than UDP takes, and half of what is reserved
    parcel = native.PackedParcel([([bytes(12)], whole), ([bytes(12)], whole)])
    refused = native.Audience([viewer.lane.compiled], [viewer.target.route]).send(parcel, 0, 0, 1)
    assert refused == [(0, 2, errno.EMSGSIZE)]
    viewer.received(0)


@pytest.mark.parametrize(
    ("headers", "payloads"),
    [([bytes(12)] * 3, [b"12", b"1", b"12"]), ([bytes(12)] * 2, [b"1"] * 3), ([bytes(12), bytes(20)], [b"1"] * 2)],
)
def test_what_would_make_c_read_beyond_the_end_is_refused(headers: list[bytes], payloads: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"same size|first one's size"):
        native.PackedParcel([(headers, payloads)])


@pytest.mark.parametrize(("start", "stop"), [(-1, 0), (0, 2), (1, 0)])
def test_nobody_is_beyond_the_ends_of_an_audience(ipv4: MediaSocket, start: int, stop: int) -> None:
    viewer = Viewer(ipv4)
    audience, parcel = (
        native.Audience([viewer.lane.compiled], [viewer.target.route]),
        native.PackedParcel([([bytes(12)], [b"1"])]),
    )
    with pytest.raises(ValueError, match="at that place"):
        audience.send(parcel, 0, start, stop)
    with pytest.raises(ValueError, match="a route"):
        native.Audience([viewer.lane.compiled], [])
