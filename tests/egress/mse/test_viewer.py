"""A viewer gets everything there is, in order; when its connection is full it alone misses something."""

from __future__ import annotations

import pytest

from common.cameras import CameraName
from common.control import RIGHT_ENDED, ViewerState
from common.media import Kind, Rendition
from egress.media.stream import Stream
from egress.mse import reel as reel_module
from egress.mse.outgoing import MAX_CONTROL_QUEUE, Outgoing
from egress.mse.viewer import (
    CONNECT_TIMEOUT,
    PING_INTERVAL,
    RESTART_RATE,
    RESTARTS_AT_ONCE,
    SAID_BURST,
    SILENT_AFTER,
)
from egress.mse.websocket import Opcode, frame
from tests.fakes.mse import HEAD, Browser, Camera, connected, packet, picture, quick


def test_a_viewer_starts_with_the_cached_group_of_pictures_and_gets_what_comes() -> None:
    camera = Camera()
    camera.push(picture(0, keyframe=True), picture(1), picture(2))  # before anybody watched: from the feed's history
    browser = connected(camera.viewer())
    assert bytes(browser.taken).startswith(HEAD)
    assert browser.pictures() == [0, 1, 2]
    camera.push(picture(3))
    assert browser.pictures() == [0, 1, 2, 3]
    hello, track = browser.texts()
    assert hello == {"type": "hello", "session": "secret", "kinds": ["video"], "origin": Camera.origin_ns / 1e9}
    assert track == {"type": "track", "kind": "video", "codec": "avc1.42c01f"}
    assert browser.messages()[2][1][5:9] == b"ftyp", "the initialization segment stands before all others"
    second = connected(camera.viewer())
    camera.push(picture(4, keyframe=True))
    third = connected(camera.viewer())
    assert (second.pictures(), third.pictures()) == ([0, 1, 2, 3, 4], [4])


def test_half_a_picture_in_the_history_is_finished() -> None:
    camera = Camera()
    whole = picture(1)
    camera.push(picture(0, keyframe=True), whole._replace(flags=0))
    browser = connected(camera.viewer())
    camera.push(whole._replace(payloads=[b"\x01rest"]))
    assert browser.pictures() == [0, 1]


def test_before_a_keyframe_nothing_comes() -> None:
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    camera.push(picture(1))
    assert browser.pictures() == []
    assert viewer.report(0.0).waiting == "for a keyframe"
    camera.push(picture(2, keyframe=True))
    assert browser.pictures() == [2]
    assert viewer.report(0.0).waiting == ""


def test_picture_and_sound_come_in_their_order() -> None:
    camera = Camera()
    viewer = camera.viewer(Kind.VIDEO, Kind.AUDIO)
    browser = connected(viewer, room=len(HEAD))
    for number in range(4):
        camera.push(picture(number, keyframe=number == 0), packet(number))
    browser.room = float("inf")
    viewer.writable()
    assert browser.pictures() == browser.packets() == [0, 1, 2, 3]
    tracks = [data[0] for opcode, data in browser.messages() if opcode == Opcode.BINARY and data[5:9] == b"moof"]
    assert tracks == [0, 1] * 4


def test_one_that_is_full_finishes_its_message_and_skips_to_the_next_keyframe_and_nobody_waits() -> None:
    camera = Camera()
    slow, quick = camera.viewer(), camera.viewer()
    slow_browser, quick_browser = connected(slow), connected(quick)
    camera.push(picture(0, keyframe=True))
    slow_browser.room = 100  # which is half of a picture
    for number in range(1, 20):
        camera.push(picture(number))
    assert slow_browser.waits
    assert quick_browser.pictures() == list(range(20))
    camera.push(picture(20, keyframe=True), picture(21))
    slow_browser.room = float("inf")
    slow.writable()
    assert slow_browser.pictures() == [0, 1, 20, 21]
    assert slow.report(0.0).dropped == 18
    camera.push(picture(22))
    assert slow_browser.pictures() == [0, 1, 20, 21, 22]


def test_one_that_is_a_little_behind_misses_nothing() -> None:
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    camera.push(picture(0, keyframe=True))
    browser.room = 0
    camera.push(picture(1), picture(2), picture(3, keyframe=True), picture(4))
    browser.room = float("inf")
    viewer.writable()
    assert browser.pictures() == [0, 1, 2, 3, 4]
    assert viewer.report(0.0).dropped == 0


def test_of_sound_some_fragments_go_together_and_nobody_gets_one_twice_or_never() -> None:
    camera = Camera()
    first = camera.viewer(Kind.AUDIO)
    browser = connected(first)
    camera.push(quick(0))
    assert browser.packets() == [0], "the first at once: nobody knows how long the next one takes"
    camera.push(quick(1), quick(2))
    assert browser.packets() == [0]
    late = camera.viewer(Kind.AUDIO)
    late_browser = connected(late)
    assert browser.packets() == [0, 1, 2], "they go before another becomes live"
    camera.push(quick(3))
    assert (browser.packets(), late_browser.packets()) == ([0, 1, 2], [2])
    camera.push(quick(4), quick(5), quick(6))
    assert (browser.packets(), late_browser.packets()) == ([0, 1, 2, 3, 4, 5], [2, 3, 4, 5])
    assert [viewer.report(0.0).packets for viewer in (first, late)] == [6, 4]
    browser.room = 0
    camera.push(quick(7), quick(8))
    browser.room = float("inf")
    first.writable()
    camera.push(quick(9), quick(10), quick(11))
    assert browser.packets()[-4:] == late_browser.packets()[-4:] == [8, 9, 10, 11]
    assert browser.packets() == list(range(12))
    browser.room = 3  # bytes: the rest goes first
    camera.push(quick(12), quick(13), quick(14))
    browser.room = float("inf")
    first.writable()
    camera.push(*map(quick, range(15, 21)))
    assert browser.packets() == list(range(21))
    assert late_browser.packets() == list(range(2, 21))
    assert [viewer.report(0.0).packets for viewer in (first, late)] == [21, 19]
    octets = len(browser.taken) - len(HEAD)
    assert first.report(0.0).bytes == octets + len(HEAD)


def test_sound_that_fell_out_of_the_reel_is_gone() -> None:
    camera = Camera()
    viewer = camera.viewer(Kind.AUDIO)
    browser = connected(viewer)
    camera.push(packet(0))
    browser.room = 0
    camera.push(*(packet(number) for number in range(1, 100)))
    browser.room = float("inf")
    viewer.writable()
    camera.push(packet(100))
    assert browser.packets()[0] == 0
    assert browser.packets()[-1] == 100
    assert viewer.report(0.0).dropped > 50


def test_a_group_of_pictures_that_is_too_large_is_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reel_module, "MAX_GOP_BYTES", 2_000)
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    camera.push(picture(0, keyframe=True))
    browser.room = 0
    camera.push(*(picture(number, size=400) for number in range(1, 9)))
    late = connected(camera.viewer())
    browser.room = float("inf")
    viewer.writable()
    assert (browser.pictures(), late.pictures()) == ([0], [])
    camera.push(picture(9, keyframe=True))
    assert (browser.pictures(), late.pictures()) == ([0, 9], [9])


def test_restart_is_a_new_beginning_some_times_at_once_and_then_rarely() -> None:
    """Each is a group of pictures, which may be many megabytes."""
    camera = Camera()
    camera.push(picture(0, keyframe=True), picture(1))
    viewer = camera.viewer()
    browser = connected(viewer)
    for _ in range(9):
        viewer.receive(_masked(Opcode.TEXT, b"restart"), 1.0)
    assert browser.pictures() == [0, 1] * (1 + RESTARTS_AT_ONCE)
    viewer.receive(_masked(Opcode.TEXT, b"restart"), 1.0 + 1 / RESTART_RATE)
    assert browser.pictures() == [0, 1] * (2 + RESTARTS_AT_ONCE)
    assert [text["type"] for text in browser.texts()] == ["hello", "track"] * (2 + RESTARTS_AT_ONCE)
    viewer.receive(_masked(Opcode.TEXT, b"anything else"), 30.0)
    assert browser.pictures() == [0, 1] * (2 + RESTARTS_AT_ONCE)


def test_pings_are_answered_within_a_bound_and_asked() -> None:
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    viewer.receive(_masked(Opcode.PING, b"hi"), 1.0)
    assert browser.messages()[-1] == (Opcode.PONG, b"hi")
    browser.room = 0
    for _ in range(SAID_BURST - 2):
        viewer.receive(_masked(Opcode.PING, bytes(100)), 1.0)
    before = len(browser.taken)
    browser.room = float("inf")
    viewer.writable()
    assert len(browser.taken) - before < MAX_CONTROL_QUEUE + 200
    viewer.sweep(PING_INTERVAL + 1)
    assert browser.messages()[-1] == (Opcode.PING, b"")


def test_it_ends_when_it_closes_breaks_falls_silent_or_talks_nonsense() -> None:
    camera = Camera()
    ended = []
    for act in (
        lambda viewer, _: viewer.receive(b"", 1.0),
        lambda viewer, _: viewer.receive(_masked(Opcode.CLOSE, b""), 1.0),
        lambda viewer, _: viewer.receive(b"GET / HTTP/1.1\r\n", 1.0),
        lambda viewer, _: viewer.sweep(SILENT_AFTER + 1),
        lambda _, browser: (setattr(browser, "broken", True), camera.push(picture(0, keyframe=True))),
    ):
        viewer = camera.viewer()
        browser = connected(viewer)
        act(viewer, browser)
        ended.append(viewer.ended)
        viewer.close("never mind")
        assert browser.closed
        assert not camera.acquire(camera.stream, Kind.VIDEO).watchers
    assert ended[:2] == ["closed by the viewer"] * 2
    assert "WebSocket" in ended[2]
    assert ended[3:] == ["nothing was heard from it", "its connection broke: Broken pipe"]
    viewer = camera.viewer()
    viewer.sweep(CONNECT_TIMEOUT + 1)
    assert viewer.ended == "its connection was never handed over"


def test_who_says_more_than_any_page_is_sent_away_and_costs_others_nothing() -> None:
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    for second in range(1_000):  # more often than any page
        viewer.receive(_masked(Opcode.PONG, b""), float(second))
    assert not viewer.ended
    viewer.receive(_masked(Opcode.PING, b"") * 2_000, 1_000.0)
    assert viewer.ended == "it sends too much"
    viewer.close("never mind")
    assert browser.messages()[-1] == (Opcode.CLOSE, b"\x03\xf0it sends too much")
    assert len([each for each in browser.messages() if each[0] == Opcode.PONG]) <= SAID_BURST


def test_a_farewell_says_why_and_never_breaks_into_a_message() -> None:
    camera = Camera()
    polite, full, unwelcome = camera.viewer(), camera.viewer(), camera.viewer()
    browser, full_browser, its_browser = connected(polite), connected(full), connected(unwelcome)
    full_browser.room = 100
    camera.push(picture(0, keyframe=True))
    polite.close("hung up")
    unwelcome.close(RIGHT_ENDED)
    full_browser.room = float("inf")
    full.close("hung up")
    assert browser.messages()[-1] == (Opcode.CLOSE, b"\x03\xe8hung up")
    assert its_browser.messages()[-1] == (Opcode.CLOSE, (4401).to_bytes(2) + b"right_ended")
    assert all(opcode != Opcode.CLOSE for opcode, _ in full_browser.messages())


def test_it_moves_to_another_stream_at_its_keyframe() -> None:
    camera, sub = Camera(), Stream(Rendition("door/sub"), lambda: None)
    camera.push(picture(0, keyframe=True))
    viewer = camera.viewer()
    browser = connected(viewer)
    viewer.places.move(CameraName("door/sub"), {Kind.VIDEO: sub, Kind.AUDIO: sub})
    camera.push(picture(1))
    assert viewer.report(0.0).camera == "door"
    camera.push(picture(2, keyframe=True), stream=sub)
    camera.push(picture(3), stream=sub)
    camera.push(picture(9))
    assert browser.pictures() == [0, 1, 2, 3]
    assert [text["type"] for text in browser.texts()] == ["hello", "track", "track"]
    assert viewer.report(0.0).camera == "door/sub"
    viewer.places.move(CameraName("door"), {Kind.VIDEO: camera.stream})  # which has a keyframe
    assert viewer.report(0.0).camera == "door"
    viewer.places.move(CameraName("door"), {Kind.VIDEO: camera.stream})  # where it is already
    camera.push(picture(10))
    assert browser.pictures()[-1] == 10


def test_sound_that_it_does_not_take_is_left_out_and_such_a_picture_ends_it() -> None:
    camera = Camera()
    camera.push(packet(0, "PCMU"), picture(0, keyframe=True))
    viewer = camera.viewer(Kind.VIDEO, Kind.AUDIO)
    browser = connected(viewer)
    assert browser.texts()[0]["kinds"] == ["video", "audio"], "no sound has come since it is here"
    camera.push(packet(1, "PCMU"))
    assert browser.packets() == []
    report = viewer.report(0.0)
    assert (report.video, report.transport, report.state) == ("H264", "websocket", ViewerState.CONNECTED)
    assert report.audio == "PCMU, which its Media Source Extensions do not take"
    assert (report.principal, report.expires, report.remote) == ("token:wall", 9.0, "192.0.2.9:4000")
    camera.push(picture(1, keyframe=True, codec="VP8"))
    assert viewer.ended == "the camera changed to VP8, which this session cannot carry"


def test_before_it_is_connected_it_keeps_nothing_and_says_so() -> None:
    camera = Camera()
    viewer = camera.viewer()
    camera.push(picture(0, keyframe=True), picture(1), picture(2, keyframe=True))
    report = viewer.report(0.0)
    assert (report.state, report.waiting, report.transport) == (ViewerState.CONNECTING, "for the viewer to connect", "")
    assert connected(viewer).pictures() == [0, 1, 2]
    viewer.close("over")
    assert camera.released == 1


def test_the_time_of_its_first_picture_is_known() -> None:
    camera = Camera()
    viewer = camera.viewer()
    connected(viewer)
    viewer.sweep(1.0)
    assert viewer.pictured_at is None
    camera.push(picture(0, keyframe=True))
    viewer.sweep(2.0)
    assert viewer.pictured_at == 2.0
    assert viewer.report(9.0).waiting == "for the camera"


def _masked(opcode: Opcode, data: bytes) -> bytes:
    plain = frame(opcode, data)
    return bytes((plain[0], plain[1] | 0x80)) + bytes(4) + plain[2:]


def test_one_that_breaks_while_it_is_live_ends_and_harms_nobody() -> None:
    camera = Camera()
    broken, well = camera.viewer(), camera.viewer()
    broken_browser, browser = connected(broken), connected(well)
    camera.push(picture(0, keyframe=True), picture(1))
    broken_browser.broken = True
    camera.push(picture(2))
    assert broken.ended == "its connection broke: Broken pipe"
    assert browser.pictures() == [0, 1, 2]
    assert (broken.report(0.0).packets, well.report(0.0).packets) == (2, 3)
    assert well.octets == len(browser.taken)
    broken.close("over")


def test_a_ping_that_is_taken_in_part_goes_before_the_next_picture() -> None:
    camera = Camera()
    viewer = camera.viewer()
    browser = connected(viewer)
    camera.push(picture(0, keyframe=True))
    browser.room = 3
    viewer.receive(_masked(Opcode.PING, b"are you there"), 1.0)
    camera.push(picture(1))
    browser.room = float("inf")
    viewer.writable()
    assert browser.messages()[-2] == (Opcode.PONG, b"are you there")
    assert browser.pictures() == [0, 1]
    assert viewer.octets == len(browser.taken)


def test_what_waits_before_a_message_goes_with_it() -> None:
    browser, out = Browser(room=5), Outgoing()
    out.say(Opcode.TEXT, b"hello")
    out.open(browser, b"")
    out.blocked = False  # as if there were room again, and not enough
    browser.room = 1
    out.say(Opcode.PING)
    out.send(b"\x82\x01x")
    browser.room = float("inf")
    out.writable()
    assert [opcode for opcode, _ in browser.messages()] == [Opcode.TEXT, Opcode.BINARY, Opcode.PING]
    assert not Outgoing().flush()
