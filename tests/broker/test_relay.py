import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import zmq

from broker.relay import MAX_UNANSWERED, Relay
from common.bus import MAX_SUBSCRIPTION_BYTES
from common.curve import Keys, authenticated
from common.endpoints import Endpoints
from common.errors import AddressInUseError, CamshaftError, ConfigError
from common.media import live_topic, replay_topic
from common.worker.incoming import Incoming
from common.worker.publisher import Publisher
from common.worker.subscriber import Subscriber
from rigs.waiting import until
from tests.fakes.media import video
from tests.fakes.members import Socket
from tests.fakes.private_bus import free_tcp_endpoints, private_endpoints, zmq_context
from tests.fakes.sink import recording_sinks

DOOR, YARD = live_topic("door"), live_topic("yard")


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq_context() as context:
        yield context


@pytest.fixture(params=["ipc", "tcp", "curve"])
def bus(request, context) -> Iterator[tuple[Endpoints, Keys | None]]:
    if request.param == "ipc":
        with private_endpoints() as endpoints:
            yield endpoints, None
    else:
        keys = Keys.derive("secret") if request.param == "curve" else None
        with authenticated(context, keys):
            yield free_tcp_endpoints(), keys


@pytest.fixture
async def relay(context, bus) -> AsyncIterator[Relay]:
    async with Relay(context, *bus) as relay:
        yield relay


@pytest.fixture
async def publisher(context, bus, relay) -> AsyncIterator[Socket]:
    peer = Socket(context, zmq.XPUB, bus[0].media_in, bus[1])
    yield peer
    peer.channel.close()


@pytest.fixture
async def subscribers(context, bus, relay) -> AsyncIterator[tuple[Socket, Socket]]:
    peers = tuple(Socket(context, zmq.SUB, bus[0].media_out, bus[1]) for _ in range(2))
    yield peers
    for peer in peers:
        peer.channel.close()


async def test_batches_reach_those_who_subscribed(relay, publisher, subscribers) -> None:
    first, second = subscribers
    first.channel.socket.subscribe(DOOR)
    assert await publisher.next() == b"\x01" + DOOR
    second.channel.socket.subscribe(YARD)
    assert await publisher.next() == b"\x01" + YARD
    publisher.channel.send(DOOR + b"1")
    publisher.channel.send(YARD + b"2")
    assert await first.next() == DOOR + b"1"
    assert await second.next() == YARD + b"2"
    assert first.frames.empty()


async def test_who_subscribes_to_a_topic_that_is_none_is_sent_away(
    context: zmq.Context, bus: tuple[Endpoints, Keys | None], relay: Relay, publisher: Socket
) -> None:
    """One of a megabyte took forty of the relay, and ended its process when the subscriber went."""
    stranger = Socket(context, zmq.SUB, bus[0].media_out, bus[1])
    stranger.channel.socket.subscribe(b"x" * MAX_SUBSCRIPTION_BYTES)
    await asyncio.sleep(0.1)  # it comes first, were it let through
    honest = Socket(context, zmq.SUB, bus[0].media_out, bus[1])
    honest.channel.socket.subscribe(DOOR)
    assert await publisher.next() == b"\x01" + DOOR, "and not the other one, which would have come before"
    stranger.channel.close()
    publisher.channel.send(DOOR + b"1")
    assert await honest.next() == DOOR + b"1"
    honest.channel.close()


async def test_the_second_subscriber_of_a_topic_is_seen_by_ingest(publisher, subscribers) -> None:
    for peer in subscribers:
        peer.channel.socket.subscribe(DOOR)
        assert await publisher.next() == b"\x01" + DOOR


async def test_a_topic_is_unsubscribed_with_its_last_subscriber(publisher, subscribers) -> None:
    first, second = subscribers
    for peer in subscribers:
        peer.channel.socket.subscribe(DOOR)
        await publisher.next()
    first.channel.socket.unsubscribe(DOOR)
    first.channel.socket.subscribe(replay_topic("door", "out-1"))  # proves that the former has passed
    assert await publisher.next() == b"\x01" + replay_topic("door", "out-1")
    second.channel.close()
    assert await publisher.next() == b"\x00" + DOOR


async def test_a_publisher_that_comes_later_learns_what_is_subscribed(context, bus, relay, subscribers) -> None:
    subscribers[0].channel.socket.subscribe(DOOR)
    late = Socket(context, zmq.XPUB, bus[0].media_in, bus[1])
    assert await late.next() == b"\x01" + DOOR
    late.channel.close()


async def test_a_worker_that_was_replaced_learns_it_from_who_takes_the_pictures(context, bus, relay) -> None:
    (endpoints, keys), sinks = bus, recording_sinks()
    with (
        Publisher(context, endpoints, keys) as former,
        Publisher(context, endpoints, keys) as present,
        Subscriber(context, endpoints, keys, "out-1") as subscriber,
    ):
        subscriber.subscribe("door", Incoming(sinks, lambda: None))
        async with asyncio.timeout(10):
            while not former.outdated("door", 1):
                for publisher, epoch in ((present, 2), (former, 1)):
                    publisher.publish("door", [video(0, 0, epoch=epoch, keyframe=True)])
                await asyncio.sleep(0.01)
        assert not present.outdated("door", 2)
        assert sinks["video"].batches[-1].epoch == 2


async def test_statistics(relay, publisher, subscribers) -> None:
    assert relay.running
    for peer in subscribers:
        peer.channel.socket.subscribe(DOOR)
        await publisher.next()
    publisher.channel.send(DOOR + b"batch")
    for peer in subscribers:
        await peer.next()
    async with asyncio.timeout(5):
        while relay.statistics.frames_out == 0:
            relay.refresh()
            await asyncio.sleep(0)
    size = len(DOOR + b"batch")
    statistics = relay.statistics
    assert (statistics.frames_in, statistics.bytes_in) == (1, size)
    assert (statistics.frames_out, statistics.bytes_out) == (1, size)  # handed to XPUB, which copies


async def test_garbage_on_the_ports_is_counted_and_breaks_nothing(relay, bus, publisher, subscribers) -> None:
    endpoints, _ = bus
    for endpoint in (endpoints.media_in, endpoints.media_out):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 3000, b"\xff\0\0\0\0\0\0\0\1\x7f\3\0" + b"\0" * 60):
            await send_raw(endpoint, garbage)
    subscribers[0].channel.socket.subscribe(DOOR)
    assert await publisher.next() == b"\x01" + DOOR
    subscribers[1].channel.socket.subscribe(b"")  # a topic that no honest egress asks for
    assert await publisher.next() == b"\x01"
    publisher.channel.send(b"")
    publisher.channel.send(b"\xff\xfe")
    publisher.channel.socket.send_multipart([b"several", b"frames"])
    publisher.channel.send(DOOR + b"good")
    assert await subscribers[0].next() == DOOR + b"good"
    assert relay.counters["media_in_strangers"] >= 2
    assert relay.counters["media_out_strangers"] >= 2


async def send_raw(endpoint: str, data: bytes) -> None:
    if endpoint.startswith("ipc://"):
        reader, writer = await asyncio.open_unix_connection(endpoint.removeprefix("ipc://"))
    else:
        host, port = endpoint.removeprefix("tcp://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(5):
            await reader.read()
    except OSError:
        pass  # the other side closed first
    finally:
        writer.close()


async def test_a_peer_with_another_secret_gets_nothing(context) -> None:
    endpoints, keys = free_tcp_endpoints(), Keys.derive("secret")
    with authenticated(context, keys):
        async with Relay(context, endpoints, keys) as relay:
            stranger = Socket(context, zmq.XPUB, endpoints.media_in, Keys.derive("another secret"))
            unencrypted = Socket(context, zmq.XPUB, endpoints.media_in, None)
            member = Socket(context, zmq.XPUB, endpoints.media_in, keys)
            subscriber = Socket(context, zmq.SUB, endpoints.media_out, keys)
            subscriber.channel.socket.subscribe(DOOR)
            assert await member.next() == b"\x01" + DOOR
            await until(lambda: relay.counters["media_in_strangers"] >= 2, 5)
            assert stranger.frames.empty()
            assert unencrypted.frames.empty()
            for peer in (stranger, unencrypted, member, subscriber):
                peer.channel.close()


async def test_a_port_in_use_is_named(context) -> None:
    endpoints = free_tcp_endpoints()
    taken = socket.create_server(("127.0.0.1", int(endpoints.media_out.rpartition(":")[2])))
    with taken, pytest.raises(AddressInUseError) as caught:
        async with Relay(context, endpoints, None):
            pass
    assert endpoints.media_out in str(caught.value)
    assert "--broker-address" in str(caught.value)


async def test_it_stops_when_left(context, bus) -> None:
    async with Relay(context, *bus) as relay:
        pass
    assert relay.problem == "The media relay is not running."


async def test_one_that_stands_still_is_told_of_and_then_given_up(relay) -> None:
    for unanswered, problem in ((1, ""), (2, "The media relay has not answered for 2 s.")):  # the first is on its way
        relay.unanswered = unanswered
        assert relay.problem == problem
    relay.unanswered = MAX_UNANSWERED
    with pytest.raises(CamshaftError, match="has not answered for 5 s"):
        await relay.look()


async def test_an_impossible_address_is_a_config_error(context) -> None:
    with pytest.raises(ConfigError, match=r"broker\.address"):
        async with Relay(context, Endpoints.parse("tcp://192.0.2.1:9000"), None):
            pass
