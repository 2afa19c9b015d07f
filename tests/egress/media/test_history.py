from hypothesis import given
from hypothesis import strategies as st

from common.media import MAX_GOP_BYTES, MAX_PAYLOAD
from egress.media.history import (
    KEEP_BYTES,
    KEEP_PACKETS,
    KEEP_TIME,
    LOOK_TIME,
    NOBODY,
    PACKET_BYTES,
    Histories,
    History,
    Packet,
    Unit,
)

MARKER = 0x80


def packets(count: int, size: int = 1) -> Unit:
    return Unit([bytes(size)] * count, 7, MARKER, probe=NOBODY, size=count * size)


def test_indexes_grow_without_gaps() -> None:
    history = History()
    assert history.append(packets(3), 0.0, keyframe=True) == 0
    assert history.append(packets(2), 0.0, keyframe=False) == 3
    assert history.end == 5
    assert history.keyframe == 0
    assert [p.marker for p in history.slice(1, 4)] == [0, MARKER, 0, MARKER]
    assert history.get(3) == Packet(b"\0", 7, 0)
    assert history.get(4) == Packet(b"\0", 7, MARKER)
    assert history.slice(5, 9) == []
    assert history.get(5) is None
    assert history.get(-1) is None


def test_the_last_group_of_pictures_stays_however_many_packets_it_has() -> None:
    history = History()
    history.append(packets(10), 0.0, keyframe=True)
    for _ in range(4 * KEEP_PACKETS):
        history.append(packets(1), 0.0, keyframe=False)
    assert history.keyframe == 0
    assert history.start == 0


def test_what_is_older_than_both_limits_goes() -> None:
    history = History()
    for _ in range(3 * KEEP_PACKETS):
        history.append(packets(1), 0.0, keyframe=True)
    assert history.end - history.start >= KEEP_PACKETS
    assert history.end - history.start <= 2 * KEEP_PACKETS + 1
    assert history.get(history.start - 1) is None
    assert history.get(history.start) is not None


def test_what_nobody_asks_for_any_more_goes() -> None:
    """Ten seconds of 25 pictures a second, in groups of one second: the last two seconds stay, and a moment more."""
    history = History()
    for n in range(250):
        history.append(packets(2), n / 25, keyframe=n % 25 == 0)
        kept = (history.end - history.start) / 2 / 25
        assert min((n + 1) / 25, KEEP_TIME) <= kept <= KEEP_TIME + 2 * LOOK_TIME
    assert history.keyframe == 225 * 2


def test_a_group_of_pictures_stays_however_long_it_takes() -> None:
    history = History()
    for n in range(250):
        history.append(packets(2), n / 25, keyframe=n == 100)
    assert history.start <= history.keyframe == 200
    assert history.start >= 200 - 2 * 25 * (KEEP_TIME + LOOK_TIME)


def test_an_endless_group_of_pictures_is_bounded_and_no_longer_a_start() -> None:
    history = History()
    history.append(packets(1, 1_000_000), 0.0, keyframe=True)
    for _ in range(50):
        history.append(packets(1, 1_000_000), 0.0, keyframe=False)
    assert history.size <= 2 * KEEP_BYTES
    assert history.keyframe is None


@given(st.lists(st.tuples(st.integers(1, 900), st.booleans()), max_size=40))
def test_it_is_always_a_window_on_the_newest(batches: list[tuple[int, bool]]) -> None:
    history, total, keyframe = History(), 0, None
    for count, is_keyframe in batches:
        assert history.append(packets(count), 0.0, keyframe=is_keyframe) == total
        keyframe = total if is_keyframe else keyframe
        total += count
        assert history.end == total
        assert len(history.slice(history.start, total)) == total - history.start
        assert history.size == (1 + PACKET_BYTES) * (total - history.start)
        assert history.keyframe == keyframe
        assert total - history.start >= min(total, KEEP_PACKETS)


def test_no_number_of_tiny_packets_takes_more_memory_than_large_ones() -> None:
    history = History()
    history.append(packets(1), 0.0, keyframe=True)
    for _ in range(300):
        history.append(packets(1_000), 0.0, keyframe=False)
    assert history.end - history.start <= 2 * KEEP_BYTES // PACKET_BYTES + 1_000
    assert history.size <= 2 * KEEP_BYTES


def test_a_group_of_pictures_that_ingest_keeps_stays_whole() -> None:
    history = History()
    history.append(packets(1, MAX_PAYLOAD), 0.0, keyframe=True)
    for _ in range(MAX_GOP_BYTES // MAX_PAYLOAD):
        history.append(packets(1, MAX_PAYLOAD), 0.0, keyframe=False)
    history.append(packets(1), LOOK_TIME, keyframe=False)  # which looks what is too much
    assert history.keyframe == 0


def test_all_histories_together_are_bounded_and_the_largest_gives_way() -> None:
    histories = Histories(1_000_000)
    small, large = History(histories), History(histories)
    small.append(packets(10, 1_000), 0.0, keyframe=True)
    for _ in range(50):
        large.append(packets(100, 1_000), 0.0, keyframe=True)
        assert small.size + large.size <= 1_000_000
    assert small.keyframe == 0
    assert large.end == 5_000
    assert large.slice(large.start, 9_999)[-1] == packets(100, 1_000).packets[-1]
    assert histories.counters["histories_cut"] > 0


def test_a_history_that_is_gone_takes_no_room() -> None:
    histories = Histories(1_000_000)
    for _ in range(20):
        history = History(histories)
        history.append(packets(100, 4_000), 0.0, keyframe=True)
        assert history.start == 0
    assert not histories.counters
