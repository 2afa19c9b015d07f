"""Another source in mid session: a camera that began anew, and packets of strangers."""

from __future__ import annotations

from aiortc.rtp import RtcpPacket, RtcpRrPacket

from ingest.rtp.rtcp import receiver_report
from ingest.rtp.strays import LOYAL_NS
from rigs.rtp import rtp, rtp_all
from rigs.video import TICKS, packetise, units_of
from tests.fakes.reception import NOW, UNITS, WANTED, Session, sound


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


def test_nothing_of_a_new_source_is_lost_right_after_a_start_with_an_announced_one() -> None:
    """It might be left over from an earlier session, which only silence of the announced one shows."""
    session = Session(udp=False)
    first = rtp_all(packetise(UNITS))
    session.video.source.announce(int.from_bytes(first[0][8:12]), None)
    session.feed(first)
    again = rtp_all(packetise(UNITS), sequence=500, ssrc=77)
    session.feed(again, spacing_ns=2 * LOYAL_NS // len(again))
    assert units_of(session.batches) == [*WANTED, *WANTED]
    assert session.video.stats.dropped == 0
