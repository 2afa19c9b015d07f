"""Packets that are received together, as the RTSP parser leaves them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.shortcut import Shortcut
from ingest.rtp.strays import ADOPT_LATER
from ingest.rtp.stream import CameraStream
from rigs.rtp import rtp_all
from rigs.video import TICKS, packetise, units_of
from tests.fakes.reception import FRAME_NS, NOW, UNITS, WANTED, Session, renumbered


def receive_run(session: Session, packets: list[bytes], now_ns: int) -> None:
    """Have a session's picture take packets that came together."""
    Shortcut(session.video, 0).receive_run(*run_of(packets), now_ns)


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
        receive_run(together, packets, together.now_ns)
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
    receive_run(together, others, NOW)
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
    receive_run(session, first, NOW)  # a keyframe shows that it is what was announced
    seen.clear()
    receive_run(session, second, NOW)
    assert len(seen) < len(second) / 2
    session.batches += session.stream.take(NOW)
    assert units_of(session.batches) == WANTED[:2]
