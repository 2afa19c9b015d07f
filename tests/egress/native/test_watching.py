"""A whole viewer is served by the compiled fan-out, also beside viewers that it does not serve."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from common.media import Kind
from egress import native
from egress.media import outbox
from egress.media.feed import Feed
from egress.negotiation import Section
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget
from tests.fakes.media import gop_stream
from tests.fakes.native import LOOPBACK, needs_native
from tests.fakes.watcher import VIDEO, VIDEO_WITHOUT_RTX, Watcher, push

pytestmark = needs_native


class CompiledWatcher(Watcher):
    """A browser that is sent to through a socket, by the compiled loop."""

    def __init__(self, feed: Feed, media_socket: MediaSocket, section: Section) -> None:
        self.socket = socket.socket(media_socket.family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((LOOPBACK[media_socket.family], 0))
        self.socket.setblocking(False)
        super().__init__(feed, section, compiled=native.BUILT)
        self.sender.retarget(UdpTarget(media_socket, Path(self.socket.getsockname())), 0.0)

    def __del__(self) -> None:
        self.socket.close()

    def received(self) -> list[tuple[int, int]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.target.datagrams.append(self.socket.recv(2_048))
        return super().received()


def test_who_leaves_and_comes_back_between_slices_gets_everything_once(
    ipv4: MediaSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside viewers that it does not serve."""
    monkeypatch.setattr(outbox, "SLICE", 1)
    waiting: list[Callable[[], None]] = []
    feed, stream = Feed(Kind.VIDEO, waiting.append), gop_stream(packets=5)
    watchers = [CompiledWatcher(feed, ipv4, VIDEO), Watcher(feed), CompiledWatcher(feed, ipv4, VIDEO), Watcher(feed)]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    push(feed, stream, 2)
    for watcher in (*watchers[2:], watchers[0]):
        watcher.sender.cursor.slow_down(feed.history.end)
        watcher.catch_up()
    watchers[1].sender.retarget(watchers[1].target, 0.0)  # type: ignore[arg-type]
    watchers[1].catch_up()
    while waiting:
        waiting.pop()()
    push(feed, stream, 1)
    while waiting:
        waiting.pop()()
    assert [watcher.numbers() for watcher in watchers] == [list(range(15))] * 4
    assert [watcher.sender.lane.packets for watcher in watchers] == [15] * 4


@pytest.mark.parametrize("section", [VIDEO, VIDEO_WITHOUT_RTX], ids=["rtx", "no-rtx"])
def test_a_viewer_is_served_by_it_from_the_first_picture_to_what_was_lost(ipv4: MediaSocket, section: Section) -> None:
    feed, stream = Feed(Kind.VIDEO), gop_stream(packets=5)
    push(feed, stream, 3)
    watcher = CompiledWatcher(feed, ipv4, section)
    watcher.sender.start(now=0.0)
    watcher.catch_up()
    push(feed, stream, 2)
    first = watcher.received()
    assert [number for _, number in first] == list(range(25))
    lost = [sequence for sequence, _ in first[7:9]]
    watcher.sender.retransmit(lost, now=1.0)
    again = watcher.received()
    if section is VIDEO:
        assert len(again) == 2, "on the SSRC for retransmissions"
    else:
        assert again == [], "the same packets, which libsrtp knows to be repeated"
    assert watcher.sender.retransmission.stats.retransmitted == 2
