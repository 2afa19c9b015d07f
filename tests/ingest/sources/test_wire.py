"""Frames on the pipe of a demuxer."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraState, TlsSpec
from common.errors import CameraError, ProtocolError
from ingest.sources.wire import (
    MAX_BODY,
    MAX_DETAIL,
    FrameKind,
    Order,
    PipeFrame,
    PipeFrames,
    encode,
    encode_failure,
    read_failure,
)

FRAMES = st.lists(st.builds(PipeFrame, st.sampled_from(FrameKind), st.integers(0, 255), st.binary(max_size=300)))


@given(FRAMES, st.integers(1, 400))
def test_frames_arrive_as_they_were_sent_however_they_are_cut(sent: list[PipeFrame], size: int) -> None:
    data = b"".join(encode(frame.kind, frame.body, frame.section) for frame in sent)
    frames, read = PipeFrames(), []
    for at in range(0, len(data), size):
        read += frames.push(data[at : at + size])
    assert read == sent


@given(st.binary(max_size=200))
def test_garbage_is_a_protocol_error_or_waits_for_more(data: bytes) -> None:
    with suppress(ProtocolError):
        for frame in PipeFrames().push(data):
            assert len(frame.body) <= len(data)


def test_an_order_arrives_as_it_was_given() -> None:
    order = Order("http://u:p@h/", TlsSpec(False, "ab" * 32, True), 100, ("192.0.2.0/24",), 8)
    assert Order.parse(bytes(order)) == order
    assert "u:p" not in repr(order)


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        PipeFrames().push((MAX_BODY + 1).to_bytes(4, "big") + b"\1\0")


def test_a_failure_keeps_its_state_and_what_was_seen() -> None:
    (frame,) = PipeFrames().push(encode_failure(CameraError(CameraState.NOT_FOUND, "404 größer\nmore")))
    error = read_failure(frame.body)
    assert (error.state, error.detail) == (CameraState.NOT_FOUND, "404 größer\nmore")


def test_a_failure_is_cut_and_one_of_no_known_state_refused() -> None:
    (frame,) = PipeFrames().push(encode_failure(CameraError(CameraState.CLOSED, "x" * 10_000)))
    assert len(read_failure(frame.body).detail) == MAX_DETAIL
    for body in (b"burnt\nno", b"\xff\n", b""):
        with pytest.raises(ProtocolError):
            read_failure(body)
