"""The sockets of the bus, and an event loop that reads them."""

from __future__ import annotations

import asyncio
import itertools
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from common.bus import DRAIN_LIMIT, DRAIN_TIME, Channel, bind, connect, open_socket
from common.errors import AddressInUseError, ConfigError
from common.media import MAX_FRAME_BYTES
from tests.fakes.private_bus import bound_address, next_event

Context = zmq.Context[zmq.Socket[bytes]]


REPLACED = """
import sys, time, zmq
from common.bus import bind, connect, open_socket

with zmq.Context() as context, open_socket(context, zmq.ROUTER) as broker:
    bind(broker, sys.argv[1], None, "broker")
    workers = []
    for _ in range(2):
        workers.append(open_socket(context, zmq.DEALER))
        workers[-1].setsockopt(zmq.IDENTITY, b"in-1")
        connect(workers[-1], sys.argv[1])
        workers[-1].send(b"hello")
        assert broker.poll(5_000)
        broker.recv_multipart()
    time.sleep(0.05)
    workers[0].send(b"more")
    time.sleep(0.05)
    workers[0].close()
    time.sleep(0.7)  # two heartbeats, if there were any
    workers[1].close()
print("lives")
"""


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/socket"


class TestBind:
    def test_a_unix_socket_is_its_owner_s_alone(self, context: Context, endpoint: str) -> None:
        with open_socket(context, zmq.ROUTER) as socket:
            bind(socket, endpoint, None, "broker")
            assert stat.S_IMODE(Path(endpoint.removeprefix("ipc://")).stat().st_mode) == 0o600

    def test_port_in_use_is_named_with_the_option_that_changes_it(self, context: Context) -> None:
        with open_socket(context, zmq.ROUTER) as first, open_socket(context, zmq.ROUTER) as second:
            bind(first, "tcp://127.0.0.1:*", None, "broker")
            with pytest.raises(AddressInUseError, match=r"broker: tcp://127.*--broker-address"):
                bind(second, bound_address(first), None, "broker")

    def test_impossible_address(self, context: Context) -> None:
        impossible = pytest.raises(ConfigError, match=r"broker\.address: cannot listen on tcp://192\.0\.2\.1:5550")
        with open_socket(context, zmq.ROUTER) as socket, impossible:
            bind(socket, "tcp://192.0.2.1:5550", None, "broker")


class Mailbox:
    """Collects what a channel receives and lets a test wait for a number of messages."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        self._changed = asyncio.Event()

    def __call__(self, message: object) -> None:
        self.messages.append(message)
        self._changed.set()

    async def wait_for(self, count: int) -> list[object]:
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.messages


class TestChannel:
    @pytest.fixture
    def pair(self, context: Context, endpoint: str) -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
        with open_socket(context, zmq.PAIR) as one, open_socket(context, zmq.PAIR) as other:
            one.bind(endpoint)
            other.connect(endpoint)
            yield one, other

    async def test_nothing_is_left_behind_by_the_edge_triggered_descriptor(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
    ) -> None:
        box = Mailbox()
        channel = Channel(pair[0], box)
        count = 5 * DRAIN_LIMIT + 7
        for number in range(count):
            pair[1].send(b"%d" % number)
        assert await box.wait_for(count) == [b"%d" % number for number in range(count)]
        channel.close()

    async def test_one_that_rests_takes_later_what_has_come_and_at_once_again_when_it_rests_no_more(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
    ) -> None:
        box = Mailbox()
        channel = Channel(pair[0], box)
        channel.rest(60.0)
        await asyncio.sleep(0)  # it looked when it was made
        for number in range(3):
            pair[1].send(b"%d" % number)
        assert pair[0].poll(5_000)
        await asyncio.sleep(0.05)  # nothing comes, which cannot be waited for
        assert box.messages == []
        channel.rest(0.02)
        assert await box.wait_for(3) == [b"0", b"1", b"2"]
        channel.rest(60.0)
        pair[1].send(b"3")
        channel.rest(0.0)
        pair[1].send(b"4")
        assert await box.wait_for(5) == [b"0", b"1", b"2", b"3", b"4"]
        channel.rest(60.0)
        channel.close()
        channel.rest(1.0)
        assert channel._pausing is None

    async def test_a_burst_does_not_keep_the_loop_from_other_work(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
    ) -> None:
        box = Mailbox()
        seen: list[int] = []
        for _ in range(5 * DRAIN_LIMIT):
            pair[1].send(b"x")
        pair[0].poll(1000)
        channel = Channel(pair[0], box)
        while len(box.messages) < 5 * DRAIN_LIMIT:
            await asyncio.sleep(0)
            seen.append(len(box.messages))
        assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) <= 2 * DRAIN_LIMIT
        channel.close()

    async def test_messages_that_take_long_do_not_keep_the_loop_from_other_work(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now, handled, seen = 100.0, 0, [0]

        def handle(_message: bytes) -> None:
            nonlocal now, handled
            now, handled = now + DRAIN_TIME * 0.6, handled + 1

        monkeypatch.setattr("common.bus.time", SimpleNamespace(monotonic=lambda: now))
        for _ in range(12):
            pair[1].send(b"x")
        pair[0].poll(1000)
        channel = Channel(pair[0], handle)
        while handled < 12:
            await asyncio.sleep(0)
            seen.append(handled)
        turns = [after - before for before, after in itertools.pairwise(seen)]
        assert max(turns) <= 2 * 2, "two messages a drain, and in one turn a signal and a second look"
        channel.close()

    async def test_echo_under_load_loses_no_signal(self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]) -> None:
        """Each message is answered from within the handler: a send may swallow the descriptor's signal."""
        rounds = 2_000
        done = asyncio.Event()
        channels: list[Channel] = []

        def bounce(end: int) -> Callable[[bytes], None]:
            def on_message(message: bytes) -> None:
                number = int(message)
                if number == rounds:
                    done.set()
                else:
                    assert channels[end].send(b"%d" % (number + 1))

            return on_message

        channels += [Channel(pair[0], bounce(0)), Channel(pair[1], bounce(1))]
        assert pair[0].poll(5_000, zmq.POLLOUT), "a pair cannot send before it is connected"
        assert channels[0].send(b"0")
        async with asyncio.timeout(20):
            await done.wait()
        for channel in channels:
            channel.close()

    async def test_a_handler_that_fails_does_not_stop_the_rest(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
    ) -> None:
        box = Mailbox()
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context["exception"]))

        def on_message(message: bytes) -> None:
            if message == b"bad":
                raise RuntimeError(message)
            box(message)

        channel = Channel(pair[0], on_message)
        for message in (b"1", b"bad", b"2", b"bad", b"3"):
            pair[1].send(message)
        assert await box.wait_for(3) == [b"1", b"2", b"3"]
        assert [str(error) for error in reported] == ["b'bad'", "b'bad'"]
        channel.close()

    async def test_closing_in_the_handler_and_twice_is_fine(
        self, pair: tuple[zmq.Socket[bytes], zmq.Socket[bytes]]
    ) -> None:
        closed = asyncio.Event()

        def on_message(_message: bytes) -> None:
            channel.close()
            closed.set()

        channel = Channel(pair[0], on_message)
        pair[1].send(b"x")
        pair[1].send(b"y")
        async with asyncio.timeout(5):
            await closed.wait()
        channel.close()
        assert not channel.send(b"late")

    async def test_multipart_and_what_cannot_be_sent_is_counted(self, context: Context, endpoint: str) -> None:
        box = Mailbox()
        with open_socket(context, zmq.ROUTER) as router, open_socket(context, zmq.DEALER) as dealer:
            router.bind(endpoint)
            dealer.setsockopt(zmq.ROUTING_ID, b"worker")
            dealer.connect(endpoint)
            front = Channel(router, box, multipart=True)
            back_box = Mailbox()
            back = Channel(dealer, back_box)
            dealer.poll(5_000, zmq.POLLOUT)
            assert back.writable
            assert back.send(b"hello")
            assert await box.wait_for(1) == [[b"worker", b"hello"]]
            assert front.send(b"worker", b"welcome")
            assert await back_box.wait_for(1) == [b"welcome"]
            assert not front.send(b"stranger", b"x")
            assert (front.unsent, back.unsent) == (1, 0)
            front.close()
            back.close()

    async def test_not_writable_and_counted_while_nobody_is_connected(self, context: Context, endpoint: str) -> None:
        with open_socket(context, zmq.DEALER) as dealer:
            dealer.connect(endpoint)
            channel = Channel(dealer, Mailbox())
            assert not channel.writable
            assert not channel.send(b"x")
            assert channel.unsent == 1
            channel.close()

    def test_on_one_machine_only_who_listens_asks_whether_the_other_is_there(
        self, context: Context, endpoint: str
    ) -> None:
        asked = []
        for address in (endpoint, "tcp://127.0.0.1:9"):
            with open_socket(context, zmq.DEALER) as worker:
                connect(worker, address)
                asked.append(worker.getsockopt(zmq.HEARTBEAT_IVL))
        assert asked == [0, 300]

    def test_a_worker_that_comes_back_under_its_name_takes_the_place_of_its_old_connection(
        self, context: Context, endpoint: str
    ) -> None:
        with ExitStack() as stack:
            broker = stack.enter_context(open_socket(context, zmq.ROUTER))
            bind(broker, endpoint, None, "broker")
            for _ in range(2):
                worker = stack.enter_context(open_socket(context, zmq.DEALER))
                worker.setsockopt(zmq.IDENTITY, b"in-1")
                connect(worker, endpoint)
                worker.setsockopt(zmq.SNDTIMEO, 5_000)
                worker.send(b"hello")
                assert broker.poll(5_000), "the former one has its name"
                assert broker.recv_multipart() == [b"in-1", b"hello"]

    @pytest.mark.slow
    def test_a_process_outlives_a_connection_that_spoke_after_it_was_replaced_and_broke(self, endpoint: str) -> None:
        """In a process of its own: libzmq would end this one."""
        told = subprocess.run([sys.executable, "-c", REPLACED, endpoint], capture_output=True, text=True, timeout=60)
        assert (told.stdout, told.stderr) == ("lives\n", "")

    async def test_messages_that_nobody_takes_are_counted_each(self, context: Context) -> None:
        channel = Channel(open_socket(context, zmq.PAIR), Mailbox())
        channel.send_all([b"1", b"2", b"3"])
        assert not channel.send(b"4")
        assert channel.unsent == 4
        channel.close()

    def test_frames_over_the_limit_are_refused(self, context: Context) -> None:
        """One peer that sends nonsense of any size costs no memory: its connection is dropped."""
        with open_socket(context, zmq.SUB) as sub, context.socket(zmq.PUB) as pub:
            bind(sub, "tcp://127.0.0.1:*", None, "media")
            sub.subscribe(b"")
            pub.setsockopt(zmq.LINGER, 0)
            with sub.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
                pub.connect(bound_address(sub))
                huge = bytes(MAX_FRAME_BYTES + 1)
                for _ in range(500):  # until the subscription has reached the publisher
                    pub.send(huge, copy=False)
                    assert not sub.poll(10)
                    if monitor.poll(0):
                        break
                assert next_event(monitor) == zmq.EVENT_DISCONNECTED
                sub.disable_monitor()
