"""A track's packets in order become batches of what they are taken for; here without socket, order and source."""

from __future__ import annotations

from dataclasses import replace

from common.media import Batch
from common.payload.output import GATHER_NS
from ingest import sdp
from ingest.payload.registry import Choice, choice_by_type, choose
from ingest.rtp.clock import CameraClock
from ingest.rtp.unpacking import TRIALS, Unpacking
from rigs.codecs import pictures
from rigs.rtp import rtp, rtp_all
from rigs.tracks import mpeg2_track
from rigs.video import TICKS, encode, packetise, units_of

NOW = 1_700_000_000 * 10**9
FRAME_NS = 40_000_000
UNITS = encode()
PACKETS = rtp_all(packetise(UNITS))
[VIDEO] = choose(sdp.parse(b"m=video 0 RTP/AVP 96 98\na=rtpmap:96 H264/90000\na=rtpmap:98 VP8/90000\n"))[0]


class Track:
    """One track, what came of it, and how often it turned out to be of another codec."""

    def __init__(self, choice: Choice = VIDEO) -> None:
        self.changes = 0
        self.unpacking = Unpacking(choice, CameraClock(), epoch=7, changed=self._changed)
        self.batches: list[Batch] = []
        self.now_ns = NOW

    def _changed(self) -> None:
        self.changes += 1

    def deliver(self, *packets: bytes) -> Track:
        for packet in packets:
            self.unpacking.deliver(packet, packet[0], packet[1], int.from_bytes(packet[4:8]), self.now_ns)
            self.batches += self.unpacking.take(self.now_ns + GATHER_NS)
        return self


def test_packets_become_the_units_that_were_sent() -> None:
    track = Track().deliver(*PACKETS)
    assert units_of(track.batches) == [list(unit) for unit in UNITS]
    assert {batch.epoch for batch in track.batches} == {7}
    assert (track.changes, track.unpacking.dropped, track.unpacking.hindrance) == (0, 0, "")


def test_after_a_gap_nothing_is_published_until_a_keyframe() -> None:
    first, second = (next(i for i, p in enumerate(PACKETS) if int.from_bytes(p[4:8]) == n * TICKS) for n in (4, 5))
    track = Track().deliver(*PACKETS[:first])
    held: list[tuple[bytes, int, int, int, int] | None] = [None]
    held += [(p, p[0], p[1], int.from_bytes(p[4:8]), NOW) for p in PACKETS[second:]]
    track.unpacking.deliver_all(held)
    track.batches += track.unpacking.take(NOW + GATHER_NS)
    assert [batch.timestamp // TICKS for batch in track.batches if batch.unit_end] == [*range(4), *range(10, 30)]


def test_padding_alone_is_no_payload() -> None:
    track = Track().deliver(rtp(b"\0\0\x03", 1, 1, first=0xA0))
    assert (track.unpacking.dropped, track.batches) == (0, [])


def test_a_bit_of_padding_without_padding_is_seen_by_numbers_that_cannot_be() -> None:
    track = Track().deliver(*(bytes((packet[0] | 0x20,)) + packet[1:] for packet in PACKETS))
    assert units_of(track.batches) == [list(unit) for unit in UNITS]
    track.unpacking.restart(0, 0)
    track.deliver(*(bytes((packet[0] | 0x20,)) + packet[1:] + b"\0\2" for packet in PACKETS))  # another has it
    assert units_of(track.batches) == [list(unit) for unit in UNITS] * 2


def test_another_payload_type_of_the_same_format_goes_on_as_it_was() -> None:
    track = Track().deliver(*PACKETS[:4])
    other = choice_by_type(VIDEO, 97)
    assert other is not None
    assert not track.unpacking.adopt(other, 4, 0)
    track.deliver(*PACKETS[4:])
    assert units_of(track.batches) == [list(unit) for unit in UNITS]
    assert track.unpacking.choice.format.payload_type == 97


def test_another_payload_type_of_another_format_begins_anew_in_the_same_epoch() -> None:
    track = Track().deliver(*PACKETS)
    other = choice_by_type(VIDEO, 98)
    assert other is not None
    assert track.unpacking.adopt(other, len(PACKETS), 0)
    assert (track.unpacking.track.codec, track.unpacking.raw) == ("VP8", -1)
    track.unpacking.renew(8)
    assert track.changes == 0  # whoever adopts says so
    assert track.unpacking.announces(98)
    assert not track.unpacking.announces(97)


def test_a_codec_that_shows_itself_is_taken_and_doubted_for_some_reviews() -> None:
    units = mpeg2_track(pictures("mpeg2video")).units
    stamped = [[replace(packet, timestamp=n * TICKS) for packet in unit] for n, unit in enumerate(units)]
    track = Track().deliver(*rtp_all([packet for unit in stamped for packet in unit]))
    unpacking = track.unpacking
    assert (unpacking.track.codec, track.changes) == ("MPV", 1)
    for _ in range(TRIALS + 1):
        unpacking.review(len(units), 0)
    assert unpacking.track.codec == "MPV"


def test_a_restart_wants_a_keyframe_and_forgets_the_timestamp() -> None:
    track = Track().deliver(*PACKETS[:4])
    track.unpacking.restart(4, 0)
    assert track.unpacking.raw == -1
    track.batches.clear()
    track.deliver(*PACKETS)
    assert units_of(track.batches) == [list(unit) for unit in UNITS]


def test_where_nothing_is_published_because_most_never_comes_that_is_said() -> None:
    track = Track()
    track.unpacking.review(0, 0)
    track.unpacking.review(10, 10)
    assert track.unpacking.hindrance.startswith("50% of its packets never arrive")
    assert track.unpacking.unseen
    track.deliver(*PACKETS)
    track.unpacking.review(20, 20)
    assert not track.unpacking.hindrance
