"""RTP, FU-A and sender reports, read back by an independent reader."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from camshaft.demo_camera.packets import MAX_PAYLOAD, rtp_packet, sender_report, split_nal_units, video_payloads
from rigs.rtsp_client import Rtp, access_units

nal_units = st.builds(
    lambda kind, size, fill: bytes([0x60 | kind]) + bytes([fill]) * size,
    st.sampled_from([1, 5, 7, 8]),
    st.integers(1, 4 * MAX_PAYLOAD),
    st.integers(1, 255),
)


@given(st.lists(nal_units, min_size=1, max_size=4))
def test_nal_units_come_out_as_they_went_in(units: list[bytes]) -> None:
    payloads = video_payloads(units)
    assert all(1 < len(payload) <= MAX_PAYLOAD for payload in payloads)
    last = len(payloads) - 1
    packets = [Rtp.parse(rtp_packet(96, n == last, n, 7, 9, payload)) for n, payload in enumerate(payloads)]
    assert access_units(packets) == [(7, b"".join(b"\0\0\0\1" + unit for unit in units))]


@given(st.lists(nal_units, min_size=1, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_byte_stream_is_split_at_either_start_code(units: list[bytes], long: list[bool]) -> None:
    stream = b"".join((b"\0\0\0\1" if four else b"\0\0\1") + unit for unit, four in zip(units, long, strict=False))
    assert split_nal_units(stream) == units


def test_sequence_and_timestamp_wrap() -> None:
    packet = Rtp.parse(rtp_packet(0, False, (1 << 16) + 5, (1 << 32) + 6, 0xDEADBEEF, b"x"))
    assert packet == Rtp(False, 0, 5, 6, 0xDEADBEEF, b"x")


def test_sender_report() -> None:
    report = sender_report(0xDEADBEEF, 1_700_000_000.25, (1 << 32) + 7, 3, 4, "camshaft")
    first, kind, words, ssrc, seconds, fraction, timestamp, packets, octets = struct.unpack_from("!BBHIIIIII", report)
    assert (first, kind, words, ssrc) == (0x80, 200, 6, 0xDEADBEEF)
    assert seconds - 2_208_988_800 + fraction / (1 << 32) == 1_700_000_000.25
    assert (timestamp, packets, octets) == (7, 3, 4)
    first, kind, words, ssrc = struct.unpack_from("!BBHI", report, 28)
    assert (first, kind, ssrc) == (0x81, 202, 0xDEADBEEF)
    assert len(report) == 28 + 4 * (words + 1)
    assert report[36:46] == b"\x01\x08camshaft"
    assert report[46] == 0
