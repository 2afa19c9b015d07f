import asyncio
from collections import Counter

import structlog
import zmq

from broker.unauthenticated import Unauthenticated
from common.bus import bind, open_socket
from common.curve import Keys, authenticated
from common.log import Quiet
from tests.fakes.private_bus import free_tcp_endpoints, zmq_context


async def test_the_log_tells_of_strangers_once_a_minute_with_their_number() -> None:
    endpoints, keys = free_tcp_endpoints(), Keys.derive("secret")
    counters: Counter[str] = Counter()
    with zmq_context() as context, authenticated(context, keys), structlog.testing.capture_logs() as events:
        socket = open_socket(context, zmq.ROUTER)
        now = 100.0
        refused = Unauthenticated(socket, counters, "strangers", lambda: now)
        bind(socket, endpoints.control, keys, "control plane")

        async def refuse_until(count: int) -> None:
            async with asyncio.timeout(5):
                while counters["strangers"] < count:
                    worker = open_socket(context, zmq.DEALER, Keys.derive("another secret"))
                    worker.connect(endpoints.control)
                    before = counters["strangers"]
                    while counters["strangers"] == before:  # noqa: ASYNC110 - it may try again
                        await asyncio.sleep(0.01)
                    worker.close()

        await refuse_until(3)
        assert len(events) == 1
        now += Quiet.INTERVAL
        await refuse_until(counters["strangers"] + 1)
        first, more, second = events
        refused.close()
        socket.close()
    assert first["log_level"] == "warning"
    assert first["address"].endswith(endpoints.control[-6:])  # the port: a socket for IPv6 and IPv4 says it its own way
    assert int(more["event"].partition(" and ")[2].split()[0]) >= 2
    assert second["event"] == first["event"]


async def test_a_socket_with_the_descriptor_of_one_that_is_still_closing_has_a_monitor_of_its_own() -> None:
    """pyzmq names a monitor after its socket's descriptor, which the system gives to the next socket at once."""
    with zmq_context() as context:
        socket, closing = open_socket(context, zmq.ROUTER), context.socket(zmq.PAIR)
        closing.bind(f"inproc://monitor.s-{socket.getsockopt(zmq.FD)}")
        Unauthenticated(socket, Counter(), "strangers").close()
        socket.close()
        closing.close()
