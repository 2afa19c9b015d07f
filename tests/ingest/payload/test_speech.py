"""Packets of speech become the frames that a decoder takes, and times say where there is silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.media import Kind, Track
from common.payload.output import Output
from ingest.payload.opus import MAX_CHANNELS, channel_mapping
from ingest.payload.speech import MAX_FRAMES, TICKS, Speech, unusual
from rigs.codecs import tone
from tests.fakes.clocks import ArrivalClock

MODES = (95, 103, 118, 134, 148, 159, 204, 244)  # bits, RFC 4867 table 1a


def speech(codec: str, **parameters: str) -> tuple[Speech, Output]:
    output = Output(Kind.AUDIO, codec, ArrivalClock(), epoch=1)
    named = {name.replace("_", "-"): value for name, value in parameters.items()}
    return Speech(Track(Kind.AUDIO, codec, 8_000), named, output), output


def receive(track: Speech, payload: bytes, timestamp: int = 0) -> None:
    track.receive(b"header" + payload + b"beyond", 6, 6 + len(payload), timestamp, False, 5)


def frames(output: Output) -> list[tuple[int, bytes]]:
    return [(batch.timestamp, b"".join(batch.payloads)) for batch in output.take(0)]


def packed(stored: list[bytes], *, aligned: bool) -> bytes:
    """RFC 4867 4.3.4 and 4.4.4: frames as files have them, in a packet."""
    bits = "1111" + "0000" * aligned
    for number, frame in enumerate(stored):
        bits += f"{int(number < len(stored) - 1)}{frame[0] >> 3 & 15:04b}{frame[0] >> 2 & 1}" + "00" * aligned
    for frame in stored:
        count = MODES[frame[0] >> 3] if frame[0] >> 3 < len(MODES) else 0
        whole = f"{int.from_bytes(frame[1:]):0{8 * len(frame[1:])}b}" if frame[1:] else ""
        bits += whole if aligned else whole[:count]
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("rate", [4750, 7950, 12200])
def test_amr_goes_on_as_files_have_it(rate: int, aligned: bool) -> None:
    stored = list(tone("libopencore_amrnb", 0.2, options=f"b={rate}").payloads)
    track, output = speech("AMR", **({"octet_align": "1"} if aligned else {}))
    receive(track, packed(stored[:1], aligned=aligned), 0)
    receive(track, packed(stored[1:5], aligned=aligned), 160)
    assert frames(output) == [(number * 160, frame) for number, frame in enumerate(stored[:5])]
    assert (track.frames, track.dropped) == (5, 0)


@pytest.mark.parametrize("payload", [bytes.fromhex("f0 60"), b"\xf0" + b"\xbc" * (MAX_FRAMES + 1)])
def test_amr_of_an_unknown_mode_or_without_end_is_dropped(payload: bytes) -> None:
    track, output = speech("AMR", octet_align="1")
    receive(track, payload)
    assert (track.dropped, frames(output)) == (1, [])


def test_frames_of_silence_are_left_out() -> None:
    track, output = speech("AMR", octet_align="1")
    silence, nothing, frame = 8 << 3 | 4, 15 << 3 | 4, bytes((0x3C,)) + bytes(31)
    receive(track, bytes((0xF0, silence | 0x80, nothing | 0x80, 0x3C)) + bytes(5) + bytes(31), 0)
    assert frames(output) == [(320, frame)]


@pytest.mark.parametrize(
    ("codec", "payload", "expected"),
    [
        ("GSM", b"\xd0" * 66, [(0, b"\xd0" * 33), (160, b"\xd0" * 33)]),
        ("GSM", b"\xd0" * 40, [(0, b"\xd0" * 33)]),
        ("G729", b"a" * 20 + b"sd", [(0, b"a" * 10), (80, b"a" * 10)]),
        ("G723", b"\x04" * 24 + b"\x02" * 4 + b"\x01" * 20, [(0, b"\x04" * 24), (480, b"\x01" * 20)]),
    ],
)
def test_frames_of_known_sizes(codec: str, payload: bytes, expected: list[tuple[int, bytes]]) -> None:
    track, output = speech(codec)
    receive(track, payload)
    assert frames(output) == expected


@pytest.mark.parametrize("codec", TICKS)
@pytest.mark.parametrize("aligned", ["0", "1"])
@given(payload=st.binary(min_size=1, max_size=200))
def test_any_bytes_are_frames_or_dropped(codec: str, aligned: str, payload: bytes) -> None:
    track, output = speech(codec, octet_align=aligned)
    receive(track, payload)
    assert len(frames(output)) == track.frames <= MAX_FRAMES
    assert track.dropped <= 1


@pytest.mark.parametrize(
    ("parameters", "name"),
    [({}, ""), ({"crc": "0", "octet-align": "1"}, ""), ({"crc": "1"}, "crc"), ({"interleaving": "30"}, "interleaving")],
)
def test_unusual_packets_of_amr_are_known_by_their_parameters(parameters: dict[str, str], name: str) -> None:
    assert unusual(parameters) == name


@pytest.mark.parametrize(
    ("streams", "coupled", "mapping", "expected"),
    [
        ("4", "2", "0,4,1,2,3,5", "4,2,0,4,1,2,3,5"),
        ("1", "1", "0,255", "1,1,0,255"),
        ("4", "2", "0,4,1,2,3,6", ""),
        ("1", "2", "0,1", ""),
        ("0", "0", "0", ""),
        ("4", "x", "0", ""),
        ("4", "2", "", ""),
        ("8", "0", ",".join("0" * (MAX_CHANNELS + 1)), ""),
    ],
)
def test_a_mapping_of_channels_is_taken_if_it_can_be(streams: str, coupled: str, mapping: str, expected: str) -> None:
    said = {"num_streams": streams, "coupled_streams": coupled, "channel_mapping": mapping}
    assert channel_mapping(said) == expected
