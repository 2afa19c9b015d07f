"""Sound for a converter goes on as it came."""

from __future__ import annotations

from common.media import MAX_PAYLOAD, Kind, Track
from common.payload.output import Output
from ingest.payload.sound import Sound
from tests.fakes.clocks import ArrivalClock


def sound(*, header: int = 0) -> tuple[Sound, Output]:
    output = Output(Kind.AUDIO, "L16", ArrivalClock(), epoch=1)
    return Sound(Track(Kind.AUDIO, "L16", 44_100, 2), output, header=header), output


def test_a_packet_of_any_size_is_one_batch() -> None:
    track, output = sound()
    samples = bytes(range(250)) * 20
    track.receive(b"head" + samples, 4, 4 + len(samples), 9, False, 5)
    [batch] = output.take(0)
    assert b"".join(batch.payloads) == samples
    assert max(map(len, batch.payloads)) == MAX_PAYLOAD
    assert (batch.timestamp, batch.unit_end, track.frames) == (9, True, 1)


def test_the_payload_formats_header_is_left_out() -> None:
    track, output = sound(header=4)
    track.receive(b"\0\0\0\0frame", 0, 9, 9, False, 5)
    track.receive(b"\0\0\0\0", 0, 4, 19, False, 5)
    assert [batch.payloads for batch in output.take(0)] == [[b"frame"]]
    assert track.dropped == 1
