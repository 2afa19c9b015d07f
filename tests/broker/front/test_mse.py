"""A viewer's connection goes to its egress, with the answer to its handshake, or is refused before that."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from broker.access.tokens import digest_of
from broker.front import handing, refusals, rights
from common.control import Answered, Ended, HangUp, Offer, ToWorker
from common.endpoints import Endpoints
from common.handover import LENGTH, Doors, Handover
from rigs.authority import Authority, Issued
from rigs.process import free_port
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

CAMERAS = {"door": {"url": "rtsp://host/door"}}
TOKENS = {
    "wall": {"sha256": digest_of("wall"), "cameras": ["door"]},
    "hall": {"sha256": digest_of("hall"), "cameras": ["hall"]},
    "root": {"sha256": digest_of("root"), "role": "admin"},
}
PATIENCE = 10.0  # seconds
SOON = aiohttp.ClientWSTimeout(ws_close=0.1)  # nobody answers a farewell here
PATH = "/mse/door?codecs=H264,AAC"
BINARY = b"\x82\x03\0ab"  # a message of three bytes
MEGABYTE = b"\x82\x7f" + (1 << 20).to_bytes(8) + bytes(1 << 20)


class TakingEgress(FakeEgress):
    """Takes connections over by a socket of its own."""

    def __init__(self, endpoints: Endpoints, node: str) -> None:
        super().__init__(endpoints, node)
        self.door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.address = f"@camshaft-test-{secrets.token_hex(8)}"
        self.door.bind("\0" + self.address[1:])
        self.door.listen()
        self.doors = Doors(self.address)
        self.offers: list[Offer] = []

    def obey(self, message: ToWorker) -> None:
        """Accept viewers of both kinds."""
        if isinstance(message, Offer) and message.takes:
            self.offers.append(message)
            self.send(Answered(message.session, str(self.doors)))
        else:
            super().obey(message)

    async def taken(self) -> tuple[Handover, socket.socket]:
        """The next connection that is handed over."""

        def take() -> tuple[Handover, socket.socket]:
            self.door.settimeout(PATIENCE)
            with self.door.accept()[0] as sock:
                sock.settimeout(PATIENCE)
                data, descriptors, _, _ = socket.recv_fds(sock, 4_096, 1)
            connection = socket.socket(fileno=descriptors[0])
            connection.settimeout(PATIENCE)
            return Handover.parse(data), connection

        return await asyncio.to_thread(take)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    http = {"listen": "127.0.0.1:0"}
    if request.param:
        issued = Authority(tmp_path).issue("127.0.0.1")
        http |= {"tls_cert": str(issued.cert), "tls_key": str(issued.key)}
    async with broker_in(tmp_path, cameras=CAMERAS, http=http) as broker:
        yield broker


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[TakingEgress]:
    async with TakingEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield egress
        egress.door.close()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


Connection = tuple[Handover, asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def answering(issued: Issued, arrived: asyncio.Queue[Connection]) -> AsyncIterator[int]:
    """An egress's TCP port on another machine; yields its number."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            words = await reader.readexactly(int.from_bytes(await reader.readexactly(LENGTH)))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return
        arrived.put_nowait((Handover.parse(words), reader, writer))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    server = await asyncio.start_server(hear, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def watching(
    broker: RunningBroker, egress: TakingEgress
) -> tuple[Handover, socket.socket, aiohttp.ClientWebSocketResponse]:
    connecting = asyncio.ensure_future(broker.http.ws_connect(PATH, autoping=False, timeout=SOON))
    handover, connection = await egress.taken()
    assert handover.head == b"", "an egress could answer as it likes, and lead a proxy to take it for a web server"
    async with asyncio.timeout(PATIENCE):
        return handover, connection, await connecting


async def test_a_connection_is_handed_over_with_all_that_goes_by_it(
    broker: RunningBroker, egress: TakingEgress
) -> None:
    handover, connection, viewer = await watching(broker, egress)
    (offer,) = egress.offers
    assert (offer.session, offer.camera, offer.sdp, offer.takes) == (handover.session, "door", "", ("H264", "AAC"))
    assert handover.remote.startswith("127.0.0.1:")
    tls = broker.url.startswith("https")
    assert (connection.family == socket.AF_UNIX) == tls, "only what is encrypted stays in the broker"
    with connection:
        connection.sendall(BINARY)
        assert await viewer.receive_bytes() == b"\0ab"
        await viewer.send_str("restart")
        assert (await asyncio.to_thread(connection.recv, 100))[:2] == b"\x81\x87"
        await asyncio.to_thread(connection.sendall, MEGABYTE * 3)
        for _ in range(3):
            assert len(await viewer.receive_bytes()) == 1 << 20
        await broker.until("/api/viewers", lambda viewers: len(viewers) == 1)
        await viewer.close()
        while data := await asyncio.to_thread(connection.recv, 100):  # its farewell, and then the end
            assert data[0] == 0x88
    egress.send(Ended(handover.session, "closed by the viewer"))
    await broker.until("/api/viewers", lambda viewers: not viewers)


async def test_an_egress_on_another_machine_is_known_by_its_certificate(
    broker: RunningBroker, egress: TakingEgress, tmp_path: Path, stack: AsyncExitStack
) -> None:
    issued = Authority(tmp_path).issue("egress")
    arrived: asyncio.Queue[Connection] = asyncio.Queue()
    port = await stack.enter_async_context(answering(issued, arrived))
    fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(issued.cert.read_text())).hexdigest()
    egress.doors = Doors("@nobody", (("127.0.0.1", free_port()), ("127.0.0.1", port)), fingerprint)
    connecting = asyncio.ensure_future(broker.http.ws_connect(PATH, autoping=False, timeout=SOON))
    async with asyncio.timeout(PATIENCE):
        handover, reader, writer = await arrived.get()
        assert handover.head == b""
        writer.write(BINARY)
        viewer = await connecting
        assert await viewer.receive_bytes() == b"\0ab"
        await viewer.send_str("restart")
        assert (await reader.readexactly(2)) == b"\x81\x87"
        await viewer.close()
        await reader.read()
    writer.close()


async def test_an_egress_that_vanishes_behind_the_answer_leaves_no_other_answer(
    broker: RunningBroker, egress: TakingEgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broker.url.startswith("https"):
        pytest.skip("such a connection stays")

    def vanished(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(handing.socket, "send_fds", vanished)
    async with asyncio.timeout(PATIENCE):
        viewer = await broker.http.ws_connect(PATH, timeout=SOON)
        assert (await viewer.receive()).type is aiohttp.WSMsgType.CLOSED
    assert (await egress.told(HangUp)).session == egress.offers[0].session


async def test_what_the_egress_closes_is_closed(broker: RunningBroker, egress: TakingEgress) -> None:
    _, connection, viewer = await watching(broker, egress)
    connection.close()
    async with asyncio.timeout(PATIENCE):
        assert (await viewer.receive()).type is aiohttp.WSMsgType.CLOSED


async def test_a_viewer_that_reads_nothing_is_no_load(broker: RunningBroker, egress: TakingEgress) -> None:
    """The broker takes no more of its pictures than fit into some buffers: the egress finds that it is full."""
    _, connection, viewer = await watching(broker, egress)
    with connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(connection.sendall, MEGABYTE * 50)
    await viewer.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/mse/door", 400),
        ("/mse/door?codecs=,", 400),
        (f"/mse/door?codecs={'H' * 33}", 400),
        ("/mse/nowhere?codecs=H264", 404),
        (f"{PATH}&stream=third", 400),
    ],
)
async def test_what_cannot_be_is_refused_before_the_handshake(
    broker: RunningBroker, egress: TakingEgress, path: str, status: int
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await broker.http.ws_connect(path)
    assert refused.value.status == status
    async with broker.http.get(path) as response:
        assert (await response.json())["code"] == "upgrade_required"
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_page_is_told_by_its_socket_why_it_is_refused(broker: RunningBroker, egress: TakingEgress) -> None:
    page = {"Origin": "http://localhost:5173"}
    async with broker.http.ws_connect("/mse/nowhere?codecs=H264", headers=page) as socket:
        said = await socket.receive_json(timeout=PATIENCE)
        assert (said["type"], said["code"]) == ("error", "unknown_camera")
        assert "nowhere" in said["message"]
        assert (await socket.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4404
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:  # whose own word reads what a status says
        await broker.http.ws_connect("/ws", headers=page)
    assert refused.value.status == 403


async def test_what_a_refused_page_sends_is_neither_inflated_nor_kept(
    broker: RunningBroker, egress: TakingEgress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "FAREWELL_TIMEOUT", 600.0)  # it is not what ends the connection here
    page, url = {"Origin": "http://localhost:5173"}, "/mse/nowhere?codecs=H264"
    async with broker.http.ws_connect(url, headers=page, compress=15, autoclose=False) as socket:
        assert socket.compress == 0, "offered, and not taken"
        await socket.send_bytes(bytes(refusals.LARGEST + 1))
        async with asyncio.timeout(PATIENCE * 6):
            while (await socket.receive()).type not in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                pass


@pytest.mark.parametrize("problem", ["nobody", "another user", "no such thing", "nobody elsewhere", "an impostor"])
async def test_a_connection_that_cannot_be_handed_over_is_refused_and_its_session_ends(
    broker: RunningBroker,
    egress: TakingEgress,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stack: AsyncExitStack,
) -> None:
    match problem:
        case "nobody":
            egress.door.close()
        case "another user":
            monkeypatch.setattr(handing.os, "geteuid", lambda: 4_711)
        case "no such thing":
            egress.doors = Doors()
        case "nobody elsewhere":
            egress.doors = Doors(remote=(("127.0.0.1", free_port()),))
        case _:
            issued = Authority(tmp_path).issue("impostor")
            port = await stack.enter_async_context(answering(issued, asyncio.Queue()))
            egress.doors = Doors(remote=(("127.0.0.1", port),), fingerprint="0" * 64)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await broker.http.ws_connect(PATH)
    assert refused.value.status == 503
    hang_up = await egress.told(HangUp)
    assert hang_up.session == egress.offers[0].session
    await broker.until("/api/viewers", lambda viewers: not viewers)


async def test_who_may_not_watch_gets_no_connection_and_whose_right_it_is_the_egress_is_told(tmp_path: Path) -> None:
    auth = {"tokens": TOKENS}
    async with (
        broker_in(tmp_path, cameras=CAMERAS, auth=auth) as broker,
        TakingEgress(broker.endpoints, "out-1") as egress,
    ):
        await broker.until("/api/nodes?token=root", lambda nodes: len(nodes) == 2)
        for query, status in (("", 401), ("&token=wrong", 401), ("&token=hall", 403)):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await broker.http.ws_connect(PATH + query)
            assert refused.value.status == status
            origin = {"Origin": "https://cams.example"}
            async with broker.http.ws_connect(PATH + query, headers=origin) as socket:
                assert (await socket.receive_json(timeout=PATIENCE))["type"] == "error"
                await socket.receive(timeout=PATIENCE)
                assert socket.close_code == 4000 + status
        assert egress.offers == []
        connecting = asyncio.ensure_future(broker.http.ws_connect(f"{PATH}&token=wall", timeout=SOON))
        _, connection = await egress.taken()
        with connection:
            await (await connecting).close()
        assert egress.offers[0].principal.partition("#")[0] == "token:wall"
        egress.door.close()


async def test_whoever_loses_its_right_loses_its_picture(
    cheap_passwords: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rights, "INTERVAL", 0.1)
    ben = {"user": "ben", "password": "ben's password"}
    root = {"Authorization": "Bearer root"}
    async with (
        broker_in(tmp_path, cameras=CAMERAS, auth={"tokens": TOKENS}) as broker,
        TakingEgress(broker.endpoints, "out-1") as egress,
        aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        await broker.until("/api/nodes?token=root", lambda nodes: len(nodes) == 2)
        await broker.http.post("/api/users", json=ben | {"cameras": ["door"]}, headers=root)
        assert (await browser.post("/api/login", json=ben)).status == 204
        connecting = asyncio.ensure_future(browser.ws_connect(PATH, timeout=SOON))
        handover, connection = await egress.taken()
        with connection:
            media = await connecting
            await broker.http.patch("/api/users/ben", json={"cameras": ["hall"]}, headers=root)
            assert (await egress.told(HangUp)).session == handover.session
            await media.close()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect(PATH)
        assert refused.value.status == 403
        egress.door.close()
