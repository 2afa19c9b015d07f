import pytest

from common.control import TrackStats
from common.media import Kind
from ingest.rtp.garbled import Garbled


def looked(*looks: tuple[int, int, int]) -> bool:
    """After looks with so many bytes of packets, bytes of no use, and packets lost so far."""
    garbled = Garbled()
    for used, unused, lost in looks:
        garbled.look([TrackStats(Kind.VIDEO, bytes=used, lost=lost)], unused)
    return garbled.now


@pytest.mark.parametrize(
    ("looks", "garbled"),
    [
        ([(0, 0, 0)], False),
        ([(1_000, 0, 9)], False),  # the network's
        ([(1_000, 900, 0)], False),  # bytes that fill frames up
        ([(1_000, 60, 1)], True),
        ([(1_000, 50, 1)], False),
        ([(1_000, 900, 9), (2_000, 900, 9)], False),  # it is over
        ([(1_000, 0, 0), (2_000, 900, 9)], True),
    ],
)
def test_it_takes_both_bytes_of_no_use_and_a_loss(looks: list[tuple[int, int, int]], garbled: bool) -> None:
    assert looked(*looks) is garbled
