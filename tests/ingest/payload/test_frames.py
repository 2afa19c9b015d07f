"""Packets become frames, and what is damaged waits for a keyframe."""

from __future__ import annotations

from common.errors import ProtocolError
from common.media import Batch, Flags, Kind, Track
from common.payload.output import Output
from ingest.payload.frames import MAX_FRAME_BYTES, MAX_FRAME_PACKETS, Frames, Unit
from ingest.payload.keyframes import NEVER_NS, NO_KEYFRAME_NS
from tests.fakes.clocks import ArrivalClock

KEY_AND_END, END = int(Flags.KEYFRAME | Flags.UNIT_END), int(Flags.UNIT_END)


def repack(payloads: list[bytes]) -> list[Unit]:
    """A codec whose frames begin with K or P, and a second frame with a semicolon before it."""
    frames = b"".join(payloads).split(b";")
    if any(frame[:1] not in (b"K", b"P") for frame in frames):
        raise ProtocolError("the beginning is missing")
    return [Unit([frame], frame.startswith(b"K")) for frame in frames]


class Camera:
    def __init__(self) -> None:
        self.output = Output(Kind.VIDEO, "VP8", ArrivalClock(), epoch=1)
        self.format = Frames(Track(Kind.VIDEO, "VP8", 90_000), repack, self.output)

    def send(self, payload: bytes, timestamp: int, *, marker: bool = True, at: int = 5) -> None:
        self.format.receive(b"head" + payload, 4, 4 + len(payload), timestamp, marker, at)

    def published(self) -> list[tuple[bytes, int, int]]:
        return [(b"".join(batch.payloads), batch.timestamp, batch.flags) for batch in self.output.take(0)]


def test_a_frame_goes_out_with_its_last_packet() -> None:
    camera = Camera()
    camera.send(b"Ka", 10, marker=False)
    assert camera.published() == []
    camera.send(b"b", 10)
    camera.send(b"Pc", 20)
    assert camera.published() == [(b"Kab", 10, KEY_AND_END), (b"Pc", 20, END)]
    assert (camera.format.frames, camera.format.keyframes, camera.format.dropped) == (2, 1, 0)


def test_pictures_that_are_all_too_large_are_said_to_be_that() -> None:
    camera, part = Camera(), b"K" + bytes(60_000)
    for number in range(2):
        for _ in range(MAX_FRAME_BYTES // len(part) + 1):
            camera.send(part, number * 100, marker=False)
        camera.send(b"Pb", number * 100 + 1)
        assert ("larger than 4 MB" in camera.format.hindrance) is camera.format.unseen is (number == 1)
    camera.send(b"Kb", 300)
    assert (camera.format.hindrance, camera.format.unseen) == ("", False)


def test_a_frame_has_the_arrival_of_its_first_packet() -> None:
    camera = Camera()
    camera.send(b"Ka", 10, marker=False, at=7)
    camera.send(b"b", 10, at=9)
    [batch] = camera.output.take(0)
    assert isinstance(batch, Batch)
    assert batch.arrival_ns == 7


def test_without_markers_a_frame_ends_with_its_timestamp() -> None:
    camera = Camera()
    camera.send(b"Ka", 10, marker=False)
    camera.send(b"Pb", 20, marker=False)
    assert camera.published() == [(b"Ka", 10, KEY_AND_END)]


def test_markers_that_leave_a_rest_are_not_believed_any_more() -> None:
    camera = Camera()
    for number in range(6):
        for part in (b"K%d" % number, b"a", b"b"):
            camera.send(part, 10 * number)
    wholes = [data for data, _, _ in camera.published()]
    assert wholes[-4:] == [b"K1ab", b"K2ab", b"K3ab", b"K4ab"], "each leaves when the next one begins"
    assert camera.format.hindrance == ""


def test_frames_of_one_timestamp_that_are_whole_leave_their_markers_believed() -> None:
    camera = Camera()
    for number in range(4):
        camera.send(b"K", 10 * number)
        camera.send(b"P", 10 * number)
    assert len(camera.published()) == 8


def test_a_marker_without_a_payload_ends_a_frame() -> None:
    camera = Camera()
    camera.send(b"Ka", 10, marker=False)
    camera.format.mark()
    assert camera.published() == [(b"Ka", 10, KEY_AND_END)]


def test_two_frames_of_one_timestamp_follow_each_other() -> None:
    camera = Camera()
    camera.send(b"Ka;Pb", 10)
    assert [(data, timestamp) for data, timestamp, _ in camera.published()] == [(b"Ka", 10), (b"Pb", 11)]


def test_nothing_goes_out_before_a_keyframe() -> None:
    camera = Camera()
    camera.send(b"Pa", 10)
    assert camera.published() == []
    assert camera.format.hindrance == "waiting for its first keyframe"
    camera.send(b"Kb", 20)
    assert len(camera.published()) == 1
    assert camera.format.hindrance == ""


def test_after_a_loss_the_rest_of_the_frame_and_what_needs_it_are_dropped() -> None:
    camera = Camera()
    camera.send(b"Ka", 10)
    camera.send(b"Pb", 20, marker=False)
    camera.format.lost()
    camera.send(b"rest", 20)
    camera.send(b"Pc", 30)
    camera.send(b"Kd", 40)
    assert [data for data, _, _ in camera.published()] == [b"Ka", b"Kd"]
    assert camera.format.dropped == 2


def test_a_frame_whose_beginning_was_lost_is_dropped() -> None:
    camera = Camera()
    camera.send(b"Ka", 10)
    camera.format.lost()
    camera.send(b"half", 20)
    camera.send(b"Pc", 30)
    camera.send(b"Kd", 40)
    assert [data for data, _, _ in camera.published()] == [b"Ka", b"Kd"]


def test_a_frame_without_end_is_given_up() -> None:
    camera = Camera()
    for _ in range(MAX_FRAME_PACKETS + 1):
        camera.send(b"K", 10, marker=False)
    camera.send(b"x", 10)
    assert camera.published() == []
    assert camera.format.dropped > MAX_FRAME_PACKETS


def test_another_stream_continues_nothing() -> None:
    camera = Camera()
    camera.send(b"Ka", 10, marker=False)
    camera.format.restart()
    camera.send(b"Pb", 10)
    camera.send(b"Kc", 20)
    assert [data for data, _, _ in camera.published()] == [b"Kc"]


def test_a_camera_without_keyframes_is_told_what_to_set() -> None:
    camera = Camera()
    camera.send(b"Pa", 10, at=1)
    camera.send(b"Pb", 20, at=1 + NO_KEYFRAME_NS)
    assert "no keyframe has come for 5 s" in camera.format.hindrance
    assert not camera.format.unseen
    camera.send(b"?c", 30, at=2 + NO_KEYFRAME_NS)
    assert "no picture can be read from what comes as VP8" in camera.format.hindrance
    assert camera.format.unseen
    camera.send(b"Pd", 40, at=3 + NO_KEYFRAME_NS)
    assert not camera.format.unseen
    camera.send(b"Pe", 50, at=1 + NEVER_NS)
    assert camera.format.unseen
    camera.send(b"Kf", 60, at=2 + NEVER_NS)
    assert (camera.format.unseen, camera.format.hindrance) == (False, "")
