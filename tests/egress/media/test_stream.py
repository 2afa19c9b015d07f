from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from common.media import MAX_PACKETS, MAX_PAYLOAD, Batch, Kind, decode_frame, encode_batch, live_topic
from egress.media.stream import Stream
from tests.fakes.watcher import Watcher

extremes = st.sampled_from([0, 1, 2, 3, 2**31, 2**47, 2**48 - 1, 2**62 - 1])
payloads = st.one_of(
    st.binary(min_size=1, max_size=8),
    st.sampled_from([b"\x67", b"\x67\x42", b"\x78", b"\x78\0\1\x67", b"\x65", bytes(MAX_PAYLOAD)]),
)
poison = st.builds(
    Batch,
    st.sampled_from(["video", "audio", "smell"]),
    st.sampled_from(["H264", "H265", "VP8", "opus", "PCMU", "G722", "H266", ""]),
    extremes,
    extremes,
    st.one_of(extremes, extremes.map(int.__neg__)),
    extremes,
    extremes,
    st.integers(-1, 4),
    st.one_of(
        st.lists(payloads, max_size=4),
        st.builds(lambda one, n: [one] * n, payloads, st.sampled_from([200, MAX_PACKETS])),
    ),
)


@given(st.lists(st.tuples(poison, st.booleans(), st.sampled_from([0.0, 0.1, 3.0])), max_size=12))
def test_nothing_from_the_bus_raises_anything_else_than_a_protocol_error(
    said: list[tuple[Batch, bool, float]],
) -> None:
    stream = Stream("front-door", lambda: None)
    stream.incoming.start(0.0)
    watcher = Watcher(stream.feeds[Kind.VIDEO])
    now = 0.0
    watcher.sender.start(0.0)
    for batch, replayed, seconds in said:
        now += seconds
        try:
            [decoded] = decode_frame(live_topic("front-door") + encode_batch(batch)).batches
        except ProtocolError:
            continue
        if replayed:
            stream.incoming.receive_replay([decoded, decoded], now=now)
        else:
            stream.incoming.receive(decoded, now=now, unix_ns=decoded.arrival_ns)
        for _ in range(3):
            watcher.step()
        watcher.target.take()
    for feed in stream.feeds.values():
        assert feed.history.size < 64 << 20
        assert 0 <= feed.timeline.at(0) < 1 << 32
