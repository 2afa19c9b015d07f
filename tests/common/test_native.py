"""The compiled reader makes of a frame what msgpack makes of it, or leaves it to that."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from unittest.mock import patch

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import native
from common.errors import ProtocolError
from common.media import BATCH_VERSION, MAX_PACKETS, MAX_PAYLOAD, Batch, decode_frame, encode_batch, live_topic
from common.packed import Packed

BATCH = Batch("video", "H264", 1_900_000_000_000 << 7, 70_000, 1 << 33, 1_900 * 10**15, 1_901 * 10**15, 2, [b"x"])
TOPIC = live_topic("yard")

needs_native = pytest.mark.skipif(not native.BUILT, reason="common.native was not built here")


def test_it_was_built_where_it_can_be(tmp_path: Path) -> None:
    """Its failure would not be noticed otherwise: the installation goes on without it."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()
    source = tmp_path / "headers.c"
    source.write_text("#include <Python.h>\n")
    command = [*compiler, "-E", "-I", sysconfig.get_path("include"), str(source)]
    if shutil.which(compiler[0]) is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    assert native.BUILT


def ordinary(sizes: list[int]) -> list[bytes]:
    return [bytes([65 + at % 26]) * size for at, size in enumerate(sizes)]


def both(frame: bytes) -> tuple[Batch | str, Batch | str]:
    """The batch that is read with it, and without it; of an error its sentence."""

    def read() -> Batch | str:
        try:
            return decode_frame(frame).batches[0]
        except ProtocolError as exc:
            return str(exc)

    with patch.object(native, "BUILT", False):
        plain = read()
    return read(), plain


@needs_native
@pytest.mark.parametrize(
    "sizes",
    [
        [1],
        [255],
        [256],
        [MAX_PAYLOAD],
        [MAX_PAYLOAD] * 15 + [700],
        [MAX_PAYLOAD] * 40 + [3],
        [256, 255],
        [300, 256],
        [255, 255],
        [9] * 15,
        [9] * 16,
        [2] * MAX_PACKETS,
    ],
)
def test_an_ordinary_batch_is_read_in_its_place(sizes: list[int]) -> None:
    batch = BATCH._replace(payloads=ordinary(sizes))
    frame = TOPIC + encode_batch(batch)
    read, plain = both(frame)
    assert read == plain == batch
    assert isinstance(read, Batch)
    payloads = read.payloads
    assert type(payloads) is Packed
    assert payloads.sizes == sizes
    assert len(payloads) == len(sizes)
    assert [payloads[0], payloads[-1], *payloads[1:3]] == [batch.payloads[0], batch.payloads[-1], *batch.payloads[1:3]]
    assert [*reversed(payloads)] == [*reversed(batch.payloads)]
    assert encode_batch(read) == encode_batch(batch)
    assert read.size == sum(sizes)
    with pytest.raises(IndexError):
        payloads[len(sizes)]


@needs_native
@pytest.mark.parametrize(
    "changes",
    [
        {"payloads": ordinary([30, 31])},
        {"payloads": ordinary([30, 29, 30])},
        {"payloads": ordinary([29, 30, 30])},
        {"payloads": ordinary([MAX_PAYLOAD + 1])},
        {"payloads": ordinary([2] * (MAX_PACKETS + 1))},
        {"payloads": [b""]},
        {"payloads": []},
        {"timestamp": -1},
        {"epoch": 1 << 62},
        {"sequence": 1 << 62},
        {"timestamp": 1 << 62},
        {"capture_ns": 1 << 63},
        {"flags": 4},
        {"flags": 256},
        {"codec": "X" * 16},
        {"codec": "opus"},
        {"kind": ""},
        {"kind": "x" * 32},
    ],
)
def test_all_else_is_left_to_msgpack(changes: dict[str, object]) -> None:
    read, plain = both(TOPIC + msgpack.packb([BATCH_VERSION, *BATCH._replace(**changes)]))  # type: ignore[arg-type]
    assert read == plain
    assert isinstance(read, str) or type(read.payloads) is list


@needs_native
@pytest.mark.parametrize("wasteful", [b"\xc5\x00\x01x", b"\xc6\x00\x00\x00\x01x"])
def test_a_size_that_is_written_with_more_bytes_than_it_needs_is_left_to_msgpack(wasteful: bytes) -> None:
    frame = TOPIC + encode_batch(BATCH)
    assert frame.endswith(b"\xc4\x01x")
    read, plain = both(frame[:-3] + wasteful)
    assert read == plain == BATCH
    assert isinstance(read, Batch)
    assert type(read.payloads) is list


@needs_native
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5) | st.builds(lambda n: [40] * n + [7], st.integers(0, 20)),
    st.lists(st.sampled_from([0, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, (1 << 62) - 1]), min_size=5, max_size=5),
    st.integers(0, 400),
    st.binary(max_size=3),
    st.integers(-6, 3),
)
def test_whatever_comes_is_read_alike(
    sizes: list[int], numbers: list[int], at: int, change: bytes, longer: int
) -> None:
    batch = Batch("video", "H264", *numbers, 3, ordinary(sizes))
    body = bytearray(encode_batch(batch))
    body[at : at + len(change)] = change
    frame = TOPIC + bytes(body)[:longer] if longer < 0 else TOPIC + bytes(body) + bytes(longer)
    read, plain = both(frame)
    assert read == plain


@needs_native
def test_nothing_is_read_where_nothing_is() -> None:
    frame = encode_batch(BATCH)
    for at in (len(frame) - 1, len(frame), len(frame) + 1):
        assert native.read_batch(frame, at, MAX_PAYLOAD, MAX_PACKETS) is None
    for end in range(len(frame)):
        assert native.read_batch(frame[:end], 0, MAX_PAYLOAD, MAX_PACKETS) is None
