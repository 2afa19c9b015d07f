"""The media wire format: what goes in comes out, and nothing else gets in."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import MAIN, SUB, split_stream, stream_of
from common.errors import ProtocolError
from common.media import (
    BATCH_VERSION,
    CLOCK_RATES,
    MAX_BATCHES,
    MAX_PACKETS,
    MAX_PAYLOAD,
    Batch,
    Flags,
    Frame,
    Kind,
    Track,
    as_it_came,
    camera_of,
    converted,
    converted_kind,
    decode_frame,
    encode_batch,
    encode_replay,
    first_epoch,
    live_topic,
    parse_taken,
    parse_topic,
    replay_topic,
    taken_topic,
)

counts = st.integers(0, 2**48 - 1)
times = st.integers(0, 2**63 - 1)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
batches = st.builds(
    lambda codec, *rest: Batch("video" if CLOCK_RATES[codec] == 90_000 else "audio", codec, *rest),
    st.sampled_from(sorted(CLOCK_RATES)),
    counts,
    counts,
    st.integers(-(2**62), 2**62 - 1),
    times,
    times,
    st.integers(0, 3),
    st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4),
)
BATCH = Batch("video", "H264", 1_700_000_000_000, 0, 90_000, 5, 6, 1, [b"\x65abc"])


@given(names, batches)
def test_live_frame_round_trip(camera: str, batch: Batch) -> None:
    assert decode_frame(live_topic(camera) + encode_batch(batch)) == Frame(camera, None, [batch])


@given(names, names, st.lists(batches, max_size=4))
def test_replay_frame_round_trip(camera: str, egress: str, group: list[Batch]) -> None:
    frame = replay_topic(camera, egress) + encode_replay(map(encode_batch, group))
    assert decode_frame(frame) == Frame(camera, egress, group)


def test_no_topic_is_a_prefix_of_another() -> None:
    assert not live_topic("cam-1").startswith(live_topic("cam"))
    assert not replay_topic("cam", "egress-10").startswith(replay_topic("cam", "egress-1"))
    assert not replay_topic("cam", "egress").startswith(live_topic("cam"))


def test_the_only_rendition_of_a_camera_has_the_topic_that_older_peers_know() -> None:
    assert live_topic(as_it_came("yard")) == b"yard\0"


@given(names, st.sampled_from([MAIN, SUB]), st.sampled_from(Kind))
def test_a_rendition_with_parts_shows_its_stream_and_is_taken_for_no_other(name: str, stream: str, kind: Kind) -> None:
    camera = stream_of(name, stream)
    assert split_stream(camera) == (name, stream)
    made = converted(camera, kind)
    assert (camera_of(made), converted_kind(made)) == (camera, kind)
    assert (camera_of(as_it_came(camera)), converted_kind(as_it_came(camera))) == (camera, None)
    assert parse_topic(replay_topic(made, "egress-0")) == (made, "egress-0")
    assert not live_topic(made).startswith(live_topic(as_it_came(camera)))


def test_parse_topic() -> None:
    assert parse_topic(live_topic("yard")) == ("yard", None)
    assert parse_topic(replay_topic("yard", "egress-0")) == ("yard", "egress-0")


@pytest.mark.parametrize("topic", [b"", b"yard", b"y\xe4rd\0", b"\0yard"])
def test_parse_topic_refuses(topic: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_topic(topic)


def test_an_epoch_that_is_taken_is_told_by_a_topic_that_no_frame_has() -> None:
    topic = taken_topic("yard", first_epoch(1_900_000_000_000))
    assert parse_taken(topic) == ("yard", first_epoch(1_900_000_000_000))
    assert not (live_topic("yard") + encode_batch(BATCH)).startswith(topic[: len(live_topic("yard")) + 1])
    assert parse_taken(live_topic("yard")) is None
    assert parse_taken(b"yard") is None
    with pytest.raises(ProtocolError):  # an earlier release
        parse_topic(topic)


@pytest.mark.parametrize("topic", [b"yard\0x", b"yard\0-1", b"yard\0" + b"1" * 30, b"y\xe4rd\x001", b"\0yard"])
def test_parse_taken_refuses(topic: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_taken(topic)


def test_properties_of_a_batch() -> None:
    batch = BATCH._replace(flags=Flags.KEYFRAME | Flags.UNIT_END, payloads=[b"ab", b"c"])
    assert (batch.keyframe, batch.unit_end, batch.size) == (True, True, 3)
    assert not BATCH._replace(flags=0).keyframe


def test_flags_travel_as_a_plain_integer() -> None:
    frame = live_topic("a") + encode_batch(BATCH._replace(flags=Flags.KEYFRAME))
    assert type(decode_frame(frame).batches[0].flags) is int


def test_track_with_a_problem_is_not_playable() -> None:
    assert Track(Kind.VIDEO, "H264", 90_000).playable
    assert not Track(Kind.VIDEO, "H265", 90_000, problem="not yet").playable


def fields(**changes: object) -> bytes:
    packed: bytes = msgpack.packb([BATCH_VERSION, *{**BATCH._asdict(), **changes}.values()])
    return packed


@pytest.mark.parametrize(
    "body",
    [
        b"",
        encode_batch(BATCH)[:-1],
        encode_batch(BATCH) + b"\0",
        msgpack.packb([BATCH_VERSION + 1, *BATCH]),
        msgpack.packb([BATCH_VERSION, *BATCH[:-1]]),
        msgpack.packb({"kind": "video"}),
        msgpack.packb(7),
        fields(kind=b"video"),
        fields(sequence="0"),
        fields(sequence=1.0),
        fields(timestamp=None),
        fields(flags=True),
        fields(payloads=[]),
        fields(payloads=["text"]),
        fields(payloads=[b"x", None]),
        fields(payloads=[[b"x"]]),
        fields(payloads=b"x"),
        fields(payloads=[b"x", b""]),
        fields(payloads=[b"x" * (MAX_PAYLOAD + 1)]),
        fields(payloads=[b"x"] * (MAX_PACKETS + 1)),
        fields(payloads=[[b"x"] * 100] * 100),
        fields(kind="smell"),
        fields(codec="H266"),
        fields(codec="c" * 100),
        fields(codec="opus"),
        fields(kind="audio"),
        fields(epoch=-1),
        fields(epoch=1 << 62),
        fields(sequence=-1),
        fields(sequence=1 << 63),
        fields(timestamp=1 << 63),
        fields(timestamp=-(1 << 63)),
        fields(capture_ns=-1),
        fields(capture_ns=1 << 63),
        fields(arrival_ns=1 << 63),
        fields(flags=256),
        fields(flags=-1),
        b"\xdd\xff\xff\xff\xff",  # an array of four billion
        b"\xc6\xff\xff\xff\xff",  # as many bytes
        b"\x91" * 100_000,  # nested without end
        b"\x81\x91\x01\x01",  # a map whose key is an array
        b"\xc1",  # the one byte that msgpack never uses
        b"\xc7\x0c\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0",  # a time stamp of too many nanoseconds
    ],
)
@pytest.mark.parametrize("topic", [live_topic("cam"), replay_topic("cam", "egress")])
def test_damaged_body_is_a_protocol_error(topic: bytes, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(topic + body)


def test_what_a_newer_release_adds_to_a_batch_is_ignored() -> None:
    batch = Batch("video", "H264", first_epoch(1_900_000_000_000), 1, 2, 3, 4, 3, [b"payload"])
    told = [*msgpack.unpackb(encode_batch(batch)), "more", 7]
    told[8] |= 4  # a flag
    assert decode_frame(live_topic("cam") + msgpack.packb(told)).batches == [batch]


def test_a_later_assignment_has_the_newer_epoch_however_often_the_camera_was_connected_to() -> None:
    assert first_epoch(8) > first_epoch(7) + 100
    assert first_epoch(2_100_000_000_000) < 1 << 48  # in the year 2036; an earlier release believes no more
    assert first_epoch(1_700_000_000_000) > 1_900_000_000_000  # those of a release that counted milliseconds alone


def test_replay_of_more_batches_than_there_can_be_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decode_frame(replay_topic("cam", "egress") + encode_replay([b"\xc0"] * (MAX_BATCHES + 1)))


def test_replay_with_one_damaged_batch_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        decode_frame(replay_topic("cam", "egress") + encode_replay([encode_batch(BATCH), fields(codec=1)]))


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(frame)


@given(st.binary(max_size=80))
def test_garbage_after_a_topic_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(live_topic("cam") + body)


@given(st.integers(0, 60), st.integers(0, 255))
def test_one_wrong_byte_never_raises_anything_else(position: int, byte: int) -> None:
    frame = bytearray(live_topic("cam") + encode_batch(BATCH))
    frame[position % len(frame)] = byte
    with contextlib.suppress(ProtocolError):
        decode_frame(bytes(frame))


def test_codecs_have_the_names_that_people_give_them() -> None:
    names = [Track(Kind.VIDEO, codec, 90_000).name for codec in ("H264", "JPEG", "AV1", "AAL2-G726-32", "")]
    assert names == ["H.264", "Motion JPEG", "AV1", "G.726", ""]
