"""From packets to batches, over paths that lose, repeat and shuffle."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from aiortc.rtp import RtcpPacket, RtcpRrPacket
from hypothesis import given
from hypothesis import strategies as st

from common.media import Batch
from common.payload.output import GATHER_NS
from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.reorder import HOLD_NS
from ingest.rtp.rtcp import receiver_report
from ingest.rtp.strays import ADOPT_LATER
from ingest.rtp.stream import CameraStream
from rigs.codecs import pictures
from rigs.rtp import goodbye, rtp, rtp_all, sender_report
from rigs.tracks import X265, h265_track
from rigs.video import TICKS, encode, packetise, units_of

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]
NOW = 1_700_000_000 * 10**9
FRAME_NS = 40_000_000
DESCRIPTION = sdp.parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 0\n")


class Session:
    """Both tracks of a session, and what came of them."""

    def __init__(self, *, udp: bool = True) -> None:
        self.stream = CameraStream(choose(DESCRIPTION)[0], udp=udp, epoch=1_000)
        self.video, self.audio = self.stream.receivers
        self.batches: list[Batch] = []
        self.now_ns = NOW

    def feed(self, packets: list[bytes], *, spacing_ns: int = 0) -> Session:
        for packet in packets:
            self.video.receive(packet, self.now_ns)
            self.batches += self.stream.take(self.now_ns + GATHER_NS)
            self.now_ns += spacing_ns
        return self

    def feed_audio(self, packets: list[bytes]) -> Session:
        for packet in packets:
            self.audio.receive(packet, self.now_ns)
            self.batches += self.stream.take(self.now_ns + GATHER_NS)
        return self

    def of(self, kind: str) -> list[Batch]:
        return [batch for batch in self.batches if batch.kind == kind]


def sound(count: int, *, sequence: int = 0, timestamp: int = 0, ssrc: int = 9) -> list[bytes]:
    return [rtp(bytes(160), sequence + n, timestamp + 160 * n, payload_type=0, ssrc=ssrc) for n in range(count)]


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("sequence", [0, 65_500])
def test_clean(udp: bool, sequence: int) -> None:
    packets = rtp_all(packetise(UNITS), sequence=sequence)
    session = Session(udp=udp).feed(packets)
    assert units_of(session.batches) == WANTED
    stats = session.video.stats
    assert (stats.packets, stats.bytes) == (len(packets), sum(map(len, packets)))
    assert (stats.lost, stats.duplicates, stats.reordered, stats.dropped) == (0, 0, 0, 0)
    assert (stats.frames, stats.keyframes) == (30, 3)


def test_shuffled_and_repeated() -> None:
    packets = rtp_all(packetise(UNITS))
    noise = random.Random(2)
    shuffled = packets[:1] + sorted(packets[1:] * 2, key=lambda p: packets.index(p) + noise.random() * 10)
    session = Session().feed(shuffled)
    assert units_of(session.batches) == WANTED
    stats = session.video.stats
    assert (stats.lost, stats.duplicates) == (0, len(packets) - 1)
    assert stats.reordered > 10


def test_a_lost_packet_costs_the_rest_of_its_group() -> None:
    packets = rtp_all(packetise(UNITS))
    first = next(i for i, packet in enumerate(packets) if packet[4:8] == struct.pack("!I", 13 * TICKS))
    session = Session().feed(packets[:first] + packets[first + 1 :], spacing_ns=FRAME_NS // 2)
    ended = [batch.timestamp // TICKS for batch in session.batches if batch.unit_end]
    assert ended == [*range(13), *range(20, 30)]
    assert session.video.stats.lost == 1
    assert session.video.stats.dropped > 7


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("sample", [b"\xff", b""], ids=["silence", "noise"])
@pytest.mark.parametrize("number", [lambda n: 7, lambda n: n // 2, lambda n: -n, lambda n: n << 8 & 0xFF00 | n >> 8])
def test_sound_is_heard_whatever_its_numbers_count(number: Callable[[int], int], sample: bytes, udp: bool) -> None:
    session, chance = Session(udp=udp), random.Random(1)
    for n in range(200):
        payload = sample * 160 or chance.randbytes(160)
        session.feed_audio([rtp(payload, number(n) & 0xFFFF, 160 * n, payload_type=0, ssrc=9)])
        session.now_ns += FRAME_NS // 2
        session.stream.expire(session.now_ns)
    assert sum(batch.arrival_ns >= NOW + 100 * FRAME_NS // 2 for batch in session.of("audio")) == 100


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("number", [lambda n: 7, lambda n: 2 * n, lambda n: n % 256], ids=["one", "twos", "a byte"])
def test_a_picture_is_seen_whatever_its_numbers_count(number: Callable[[int], int], udp: bool) -> None:
    packets = rtp_all(packetise([*UNITS, *UNITS, *UNITS], size=300))
    packets = [packet[:2] + struct.pack("!H", number(n)) + packet[4:] for n, packet in enumerate(packets)]
    session = Session(udp=udp)
    for packet in packets:
        session.feed([packet], spacing_ns=FRAME_NS // 12)
        session.stream.expire(session.now_ns)
    ended = [batch.timestamp // TICKS for batch in session.batches if batch.unit_end]
    assert ended[-40:] == [*range(50, 90)]


def test_a_path_that_loses_repeats_and_shuffles_at_once_does_not_make_numbers_meaningless() -> None:
    chance = random.Random(3)
    sent = [(n, packet) for n, packet in enumerate(rtp_all(packetise(UNITS * 8, size=300))) if chance.random() > 0.2]
    copies = [(n + chance.choice([0, 0, 0, 3, 20, 70]), packet) for n, packet in sent for _ in range(3)]
    session = Session().feed([packet for _, packet in sorted(copies, key=lambda copy: copy[0])], spacing_ns=10**6)
    stats = session.video.stats
    assert stats.duplicates > len(sent)
    assert stats.packets - stats.duplicates - stats.dropped < len(sent)


def test_a_lost_packet_delays_nothing_for_long() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed([*packets[:20], *packets[21:23]])
    assert session.stream.deadline_ns == NOW + HOLD_NS
    session.stream.expire(NOW + HOLD_NS)
    assert session.stream.deadline_ns is None
    assert session.video.stats.lost == 1


def test_stream_that_restarts_its_numbers() -> None:
    session = Session().feed(rtp_all(packetise(UNITS), sequence=5_000))
    units = [*UNITS, *UNITS, *UNITS]
    session.feed(rtp_all(packetise(units, start=30 * TICKS), sequence=100))
    assert units_of(session.batches)[-60:] == WANTED * 2
    assert {batch.epoch for batch in session.batches} == {1_000}


def test_another_source_is_a_new_epoch() -> None:
    session = Session().feed_audio(sound(4)).feed(rtp_all(packetise(UNITS)))
    session.feed(rtp_all(packetise(UNITS)[4:], ssrc=77)).feed_audio(sound(4, sequence=4, timestamp=640))
    for kind in ("video", "audio"):
        epochs = [batch.epoch for batch in session.of(kind)]
        assert sorted(set(epochs)) == [1_000, 1_001]
        assert epochs == sorted(epochs)
        assert next(batch for batch in session.of(kind) if batch.epoch == 1_001).sequence == 0
    video = [batch for batch in session.of("video") if batch.epoch == 1_001]
    assert video[0].keyframe
    assert units_of(video) == WANTED[10:]
    stamps = [batch.timestamp for batch in session.of("video")]
    assert stamps == sorted(stamps)
    assert session.video.stats.lost == session.stream.repaired == 0


def test_late_packets_of_the_old_source_are_dropped() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed(packets[:50]).feed(rtp_all(packetise(UNITS), ssrc=77)[:8])
    session.feed(packets[50:52]).feed(rtp_all(packetise(UNITS), ssrc=77)[8:])
    assert units_of([batch for batch in session.batches if batch.epoch == 1_001]) == WANTED
    assert session.video.stats.dropped == 2


def test_stray_packets_of_other_sources_change_nothing() -> None:
    packets = rtp_all(packetise(UNITS))
    strays = rtp_all(packetise(UNITS), ssrc=77)
    session = Session().feed(packets[:50])
    for number in range(50, len(packets)):
        session.feed([strays[number], packets[number]])
    session.feed([rtp(b"x", 1, 1, ssrc=78), rtp(b"x", 2, 1, ssrc=79)])
    assert units_of(session.batches) == WANTED
    assert {batch.epoch for batch in session.batches} == {1_000}
    assert session.video.stats.dropped == len(packets) - 50 + 2


def test_nothing_of_a_new_source_is_lost() -> None:
    session = Session(udp=False).feed(rtp_all(packetise(UNITS)))
    session.feed(rtp_all(packetise(UNITS), sequence=500, ssrc=77))
    assert units_of(session.batches) == [*WANTED, *WANTED]
    stats = session.video.stats
    assert (stats.packets, stats.dropped, stats.lost) == (2 * len(packetise(UNITS)), 0, 0)


def test_new_sound_alone_leaves_the_picture_alone() -> None:
    session = Session().feed(rtp_all(packetise(UNITS)[:20])).feed_audio(sound(4))
    session.feed_audio(sound(4, ssrc=10, timestamp=3_000_000_000))
    session.feed(rtp_all(packetise(UNITS)[20:], sequence=20))
    assert units_of(session.of("video")) == WANTED
    assert {batch.epoch for batch in session.batches} == {1_000}
    stamps = [batch.timestamp for batch in session.of("audio")]
    assert len(stamps) == 8
    assert stamps == sorted(stamps)
    assert stamps[-1] < 10_000


def test_sources_extensions_and_padding() -> None:
    packets = []
    for number, packet in enumerate(packetise(UNITS)):
        head = bytes(4 * (number % 4))
        first = 0x80 | number % 4
        if number % 3 == 0:
            first |= 0x10
            head += b"\xbe\xde\0\x02" + bytes(8)
        tail = b""
        if number % 5 == 0:
            first |= 0x20
            tail = b"\0\0\x03"
        packets.append(rtp(head + packet.payload + tail, number, packet.timestamp, marker=packet.marker, first=first))
    assert units_of(Session().feed(packets).batches) == WANTED


@pytest.mark.parametrize(
    ("packet", "dropped"),
    [
        (b"", 1),
        (b"\x80\x60", 1),
        (rtp(b"x", 1, 1)[:11], 1),
        (rtp(b"x", 1, 1, first=0x40), 1),
        (rtp(b"x", 1, 1, first=0xC0), 1),
        (rtp(b"x", 1, 1, payload_type=97), 1),
        (rtp(b"", 1, 1), 0),
        (rtp(b"\0\0\x03", 1, 1, first=0xA0), 0),  # padding alone
        (rtp(b"x\xff", 1, 1, first=0xA0), 1),  # more padding than packet
        (rtp(b"x", 1, 1, first=0x8F), 1),  # more sources than packet
        (rtp(b"abcd\xff\xff", 1, 1, first=0x91), 1),  # an extension that does not end
    ],
)
def test_packets_of_no_use(packet: bytes, dropped: int) -> None:
    session = Session(udp=False).feed([packet, *rtp_all(packetise(UNITS))])
    assert units_of(session.batches) == WANTED
    assert session.video.stats.dropped == dropped


def test_unannounced_payload_type_is_remembered() -> None:
    session = Session().feed([rtp(b"x", 1, 1, payload_type=101)])
    assert session.video.unexpected_type == 101
    assert session.video.stats.packets == 0


def test_sender_reports_set_the_capture_clock() -> None:
    session = Session()
    ntp = (1_700_000_000 + 2_208_988_800) << 32  # the picture was taken at NOW
    session.now_ns = NOW + 80_000_000
    session.feed(rtp_all(packetise(UNITS))[:10])
    session.video.receive_rtcp(sender_report(0x1234, ntp, 0), session.now_ns)
    session.feed(rtp_all(packetise(UNITS))[10:], spacing_ns=FRAME_NS // 2)
    ends = [batch for batch in session.batches if batch.unit_end][8:]
    assert all(batch.capture_ns == pytest.approx(NOW + batch.timestamp // TICKS * FRAME_NS, abs=10) for batch in ends)


def test_rtcp_that_comes_among_the_rtp() -> None:
    session = Session()
    session.feed([*rtp_all(packetise(UNITS))[:5], sender_report(0x1234, 1 << 63, 0)])
    assert session.video.stats.dropped == 0
    assert session.stream.clock.distrusted == 1  # read, and a time in 1968


def test_goodbye() -> None:
    session = Session().feed(rtp_all(packetise(UNITS))[:5])
    session.video.receive_rtcp(goodbye(99), NOW)
    assert not session.video.said_goodbye
    session.video.receive_rtcp(goodbye(0x1234), NOW)
    assert session.video.said_goodbye
    session.feed(rtp_all(packetise(UNITS))[5:6])
    assert not session.video.said_goodbye


def test_report_block() -> None:
    session = Session()
    assert session.video.report_block(NOW) is None
    packets = rtp_all(packetise(UNITS), sequence=65_530)
    session.feed([*packets[:20], *packets[22:]])
    session.stream.expire(NOW + HOLD_NS)
    block = session.video.report_block(NOW)
    assert block is not None
    report = RtcpPacket.parse(receiver_report(1, "x", [block]))[0]
    assert isinstance(report, RtcpRrPacket)
    [info] = report.reports
    assert (info.ssrc, info.packets_lost, info.highest_sequence) == (0x1234, 2, 65_530 + len(packets) - 1)


def test_report_block_of_a_new_source_starts_anew() -> None:
    session = Session(udp=False)
    packets = rtp_all(packetise(UNITS))
    session.feed([*packets[:20], *packets[40:]])
    session.feed(rtp_all(packetise(UNITS), sequence=500, ssrc=77))
    block = session.video.report_block(NOW)
    assert block is not None
    report = RtcpPacket.parse(receiver_report(1, "x", [block]))[0]
    assert isinstance(report, RtcpRrPacket)
    [info] = report.reports
    assert (info.ssrc, info.packets_lost, info.fraction_lost) == (77, 0, 0)
    assert info.highest_sequence == 500 + len(packets) - 1


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda b: b"\x80\x60" + b), max_size=30))
def test_any_packets(packets: list[bytes]) -> None:
    session = Session().feed(packets, spacing_ns=10**7)
    for packet in packets:
        session.video.receive_rtcp(packet, session.now_ns)
    assert session.video.report_block(session.now_ns + 10**9) is None or session.video.packets


@given(st.data())
def test_any_path_gives_whole_groups(data: st.DataObject) -> None:
    noise = data.draw(st.randoms(use_true_random=False))
    loss = data.draw(st.floats(0, 0.1))
    packets = rtp_all(packetise(UNITS), sequence=data.draw(st.integers(0, 65_535)))
    arriving = [packet for packet in packets if noise.random() >= loss]
    arriving.sort(key=lambda p: packets.index(p) + noise.random() * 5)
    session = Session().feed(arriving, spacing_ns=FRAME_NS // 2)
    session.stream.expire(session.now_ns + HOLD_NS)
    session.batches += session.stream.take(session.now_ns + GATHER_NS)
    units: dict[int, list[Batch]] = {}
    for batch in session.batches:
        units.setdefault(batch.timestamp // TICKS, []).append(batch)
    sequence = 0
    for batch in session.batches:
        assert batch.sequence == sequence
        sequence += len(batch.payloads)
    assert not session.batches or session.batches[0].keyframe
    whole = [number for number, batches in units.items() if batches[-1].unit_end]
    assert [units_of(units[number])[0] for number in whole] == [WANTED[number] for number in whole]
    for number in whole:  # each one's references are there
        assert all(earlier in whole for earlier in range(number - number % 10, number))


# Payload types that were not announced.


def renumbered(packets: list[bytes], payload_type: int) -> list[bytes]:
    return [packet[:1] + bytes((packet[1] & 0x80 | payload_type,)) + packet[2:] for packet in packets]


@pytest.mark.parametrize("udp", [True, False])
def test_another_payload_type_than_announced_is_taken_from_its_first_packet_on(udp: bool) -> None:
    packets = renumbered(rtp_all(packetise(UNITS)), 97)
    session = Session(udp=udp).feed(packets)
    assert units_of(session.of("video")) == WANTED
    assert session.video.stats.dropped == 0


def test_what_comes_between_the_announced_packets_is_not_taken() -> None:
    packets = rtp_all(packetise(UNITS))
    mixed = []
    for number, packet in enumerate(packets):
        mixed += [packet, rtp(b"\x65repair", number, 1, payload_type=98)]
    session = Session().feed(mixed)
    assert units_of(session.of("video")) == WANTED
    assert session.video.stats.dropped == len(packets)


def test_the_announced_type_counts_as_soon_as_it_comes() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed([rtp(b"\x65x", number, 1, payload_type=98) for number in range(3)]).feed(packets)
    assert units_of(session.of("video"))[-20:] == WANTED[-20:]


def test_a_type_that_is_announced_as_well_is_what_it_was_announced_as() -> None:
    description = sdp.parse(b"m=audio 0 RTP/AVP 0 97\na=rtpmap:97 opus/48000/2\n")
    stream = CameraStream(choose(description)[0], udp=False, epoch=1)
    [audio] = stream.receivers
    for number in range(5):
        audio.receive(rtp(b"\xf8opus", number, 960 * number, payload_type=97), NOW)
    assert audio.track.codec == "opus"
    assert [batch.codec for batch in stream.take(NOW)] == ["opus"] * 5


def test_sound_of_a_fixed_type_is_what_rfc_3551_says() -> None:
    stream = CameraStream(choose(sdp.parse(b"m=audio 0 RTP/AVP 0\n"))[0], udp=False, epoch=1)
    [audio] = stream.receivers
    for number in range(3):
        audio.receive(rtp(bytes(160), number, 160 * number, payload_type=8), NOW)
    assert audio.track.codec == "PCMA"
    for number in range(3, 3 + ADOPT_LATER):
        audio.receive(rtp(bytes(160), number, 160 * number, payload_type=9), NOW)
    assert audio.track.codec == "G722"
    assert stream.epoch == 2
    for number in range(2):
        audio.receive(rtp(bytes(13), 100 + number, 0, payload_type=13), NOW)  # comfort noise
    assert audio.track.codec == "G722"


def run_of(packets: list[bytes]) -> tuple[memoryview, list[tuple[int, int]]]:
    """Packets as the RTSP parser leaves them, with something of the connection's between them."""
    data, bounds = bytearray(b"$"), []
    for packet in packets:
        data += b"$\0\1\2"
        bounds.append((len(data), len(data) + len(packet)))
        data += packet
    return memoryview(data), bounds


@st.composite
def runs_of_packets(draw: st.DrawFn) -> list[list[bytes]]:
    """Pictures of one camera in the pieces that a socket brings, some packets lost, repeated or damaged."""
    packets = rtp_all(packetise(UNITS[:12], size=draw(st.sampled_from([40, 90, 400]))), sequence=65_500)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(packets) - 1))
        match draw(st.sampled_from(["lose", "repeat", "damage", "swap", "cut"])):
            case "lose":
                del packets[at]
            case "repeat":
                packets.insert(at, packets[at])
            case "damage" if packets[at]:
                packet = bytearray(packets[at])
                packet[draw(st.integers(0, 15)) % len(packet)] ^= 1 << draw(st.integers(0, 7))
                packets[at] = bytes(packet)
            case "swap":
                packets[at : at + 2] = reversed(packets[at : at + 2])
            case "cut":
                packets[at] = packets[at][: draw(st.integers(0, 16))]
    pieces = []
    while packets:
        count = draw(st.integers(1, 40))
        pieces.append(packets[:count])
        packets = packets[count:]
    return pieces


@given(runs_of_packets(), st.booleans())
def test_packets_that_come_together_become_what_they_become_one_by_one(pieces: list[list[bytes]], udp: bool) -> None:
    single, together = Session(udp=udp), Session(udp=udp)
    for packets in pieces:
        for packet in packets:
            single.video.receive(packet, single.now_ns)
        together.video.receive_run(*run_of(packets), together.now_ns)
        for session in (single, together):
            session.batches += session.stream.take(session.now_ns)
            session.now_ns += FRAME_NS
    assert together.batches == single.batches
    assert together.video.stats == single.video.stats


def test_what_comes_together_goes_to_the_format_that_was_taken_up_meanwhile() -> None:
    announced = (
        b"m=video 0 RTP/AVP 96 97\na=rtpmap:96 H264/90000\na=rtpmap:97 H264/90000\na=fmtp:97 profile-level-id=64001f\n"
    )
    packets = rtp_all(packetise(UNITS[:1]))
    fragments = rtp_all(
        packetise([[b"\x41\x9a" + bytes(range(1, 250)) * 16]], size=40, start=TICKS), sequence=len(packets)
    )
    assert len(fragments) > ADOPT_LATER + 20
    packets += fragments[:2]
    others = renumbered(fragments[2:], 97)
    sessions = [Session(udp=False), Session(udp=False)]
    for session in sessions:
        session.stream = CameraStream(choose(sdp.parse(announced))[0], udp=False, epoch=1)
        [session.video] = session.stream.receivers
        session.feed(packets)
    single, together = sessions
    for packet in others:
        single.video.receive(packet, NOW)
    together.video.receive_run(*run_of(others), NOW)
    assert together.stream.epoch == single.stream.epoch == 2
    assert together.video.stats == single.video.stats
    assert together.stream.take(NOW) == single.stream.take(NOW)


def test_fragments_that_come_together_are_taken_in_one_piece() -> None:
    """Else nothing but this would notice that each is looked at from its beginning to its end."""
    session = Session(udp=False)
    seen: list[bytes] = []
    receive = session.video.receive

    def noted(packet: bytes, arrival_ns: int) -> None:
        seen.append(packet)
        receive(packet, arrival_ns)

    session.video.receive = noted  # type: ignore[method-assign]
    first = rtp_all(packetise(UNITS[:1]))
    second = rtp_all(packetise(UNITS[1:2], size=100, start=TICKS), sequence=len(first))
    session.video.receive_run(*run_of(first), NOW)  # a keyframe shows that it is what was announced
    seen.clear()
    session.video.receive_run(*run_of(second), NOW)
    assert len(seen) < len(second) / 2
    session.batches += session.stream.take(NOW)
    assert units_of(session.batches) == WANTED[:2]


def test_a_camera_that_goes_over_to_another_codec_in_mid_session_is_followed() -> None:
    session = Session()
    session.feed(rtp_all(packetise(UNITS)))
    packets = [packet for unit in h265_track(pictures("libx265", options=X265)).units for packet in unit]
    stamped = [replace(packet, timestamp=200_000 + n * TICKS) for n, packet in enumerate(packets)]
    session.stream.review()
    session.feed(rtp_all(stamped[:2], sequence=1_000))
    session.stream.review()  # some seconds without a picture
    session.feed(rtp_all(stamped, sequence=1_002))
    assert {batch.codec for batch in session.of("video")} == {"H264", "H265"}
    assert next(batch.epoch for batch in session.of("video") if batch.codec == "H265") > 1_000
    assert session.video.track.codec == "H265"


@pytest.mark.parametrize("udp", [True, False])
def test_a_picture_of_which_packets_are_always_missing_is_said_and_is_not_there(udp: bool) -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session(udp=udp)
    session.feed([rtp(b"\x67sps", 0, 0)])
    session.video.review()
    session.feed(packets[2::2], spacing_ns=HOLD_NS)
    session.video.review()
    assert not session.video.stats.frames
    assert re.match("(49|50)% of its packets never come, so no picture is whole", session.video.unpacking.hindrance)
    assert session.video.unpacking.unseen
    session.feed(rtp_all(packetise(UNITS), sequence=len(packets) + 1), spacing_ns=HOLD_NS)
    session.video.review()
    assert session.video.stats.frames
    assert "never come" not in session.video.unpacking.hindrance
    assert not session.video.unpacking.unseen


def test_sound_of_which_much_is_missing_is_heard() -> None:
    session = Session().feed_audio(sound(300)[::2])
    session.audio.review()
    assert session.audio.stats.frames
    assert not session.audio.unpacking.hindrance
