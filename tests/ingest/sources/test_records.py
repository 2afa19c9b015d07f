"""NAL units out of containers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from ingest.sources.records import Record, avc_record, byte_stream_units, hevc_record
from tests.fakes.records import AVC, HEVC, PPS, SETS, SPS


def test_a_record_of_h264_has_its_sets_and_the_size_of_lengths() -> None:
    assert avc_record(AVC) == Record(4, (SPS, PPS))


def test_a_record_of_h265_has_its_sets_and_the_size_of_lengths() -> None:
    assert hevc_record(HEVC) == Record(4, tuple(SETS.values()))


@pytest.mark.parametrize("read", [avc_record, hevc_record])
def test_what_is_no_record_is_a_byte_stream(read: object) -> None:
    assert read(b"") == Record()  # type: ignore[operator]
    assert read(b"\0\0\0\1" + SPS + b"\0\0\1" + PPS) == Record(0, (SPS, PPS))  # type: ignore[operator]


def test_units_with_lengths_and_in_a_byte_stream() -> None:
    units = [b"\x65abc", b"\x41d"]
    lengths = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    assert Record(2).units(lengths + b"\0\0") == units
    assert Record().units(b"junk\0\0\0\1\x65abc\0\0\0\1\x41d\0\0\0") == units
    assert byte_stream_units(b"no start code") == []


def test_a_unit_that_is_longer_than_its_access_unit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="longer"):
        Record(4).units(b"\0\0\0\x10abc")


@pytest.mark.parametrize("end", range(7, len(AVC)))
def test_a_record_that_was_cut_is_refused(end: int) -> None:
    with pytest.raises(ProtocolError):
        avc_record(AVC[:end])


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_a_protocol_error(data: bytes) -> None:
    for read in (avc_record, hevc_record):
        try:
            record = read(b"\1" + data)
            record.units(data)
        except ProtocolError:
            continue
        assert all(record.sets)
