"""Parameter sets of one kind by id, whatever the codec."""

from __future__ import annotations

import base64

from ingest.payload.parameter_sets import MAX_ANNOUNCED, ParameterSetStore, announced


def test_the_newest_of_an_id_counts_and_the_size_is_that_of_all() -> None:
    store: ParameterSetStore[str] = ParameterSetStore()
    store.add(1, b"one", "first")
    store.add(2, b"two!", "second")
    store.add(1, b"other", "third")
    assert store[1] == (b"other", "third")
    assert (len(store), store.size) == (2, 9)
    assert [identifier for identifier, _ in store.items()] == [2, 1]
    store.drop_oldest()
    assert (2 in store, store.size) == (False, 5)


def test_one_that_comes_again_is_the_newest() -> None:
    store: ParameterSetStore[None] = ParameterSetStore()
    store.add(1, b"a", None)
    store.add(2, b"b", None)
    assert store.renew(b"a")
    assert not store.renew(b"c")
    assert [identifier for identifier, _ in store.items()] == [2, 1]


def test_the_first_in_the_stream_replaces_those_that_were_announced_and_the_second_does_not() -> None:
    store: ParameterSetStore[None] = ParameterSetStore()
    for identifier in range(3):
        store.add(identifier, b"announced%d" % identifier, None)
    store.add(7, b"in band", None)
    store.came_in_band(b"in band")
    assert [identifier for identifier, _ in store.items()] == [7]
    assert store.size == 7
    store.add(8, b"another", None)
    store.came_in_band(b"another")
    assert len(store) == 2


def test_a_session_description_announces_nal_units_and_what_is_none_is_passed_over() -> None:
    text = ",".join(base64.b64encode(nal).decode() for nal in (b"\x67abc", b"\0\0\0\1\x68d\0\0\1\x68e"))
    assert list(announced(f"!!,{text},A")) == [b"\x67abc", b"\x68d", b"\x68e"]
    assert len(list(announced(",".join(["Z0I="] * 100)))) == MAX_ANNOUNCED
