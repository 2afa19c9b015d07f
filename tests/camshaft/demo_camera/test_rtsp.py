"""The simulated camera over real sockets, watched by a raw client and by FFmpeg's decoder."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path

import av
import pytest

from camshaft.demo_camera import rtsp
from camshaft.demo_camera.camera import serving
from camshaft.demo_camera.clip import Clip
from camshaft.demo_camera.picture import read_number
from camshaft.demo_camera.rtsp import Account
from camshaft.demo_camera.settings import Audio, Settings
from common.errors import AddressInUseError, ConfigError
from rigs.rtsp_client import Client, Rtp, access_units, digest

SMALL = Settings(width=320, height=180, fps=25, gop=0.4, bitrate=400_000, audio=Audio.OPUS)
TCP = {"video": "RTP/AVP/TCP;unicast;interleaved=0-1", "audio": "RTP/AVP/TCP;unicast;interleaved=2-3"}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("camshaft.demo_camera.camera.NICENESS", 0)  # or other tests leave it too late for its pictures
        yield


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def address(stack: AsyncExitStack) -> str:
    return await stack.enter_async_context(serving(SMALL, "127.0.0.1:0"))


@pytest.fixture
async def client(stack: AsyncExitStack, address: str) -> Client:
    return await connected(stack, address)


async def connected(stack: AsyncExitStack, address: str) -> Client:
    client = await Client.connect(address)
    stack.push_async_callback(client.close)
    return client


def numbers(units: list[tuple[int, bytes]]) -> list[int | None]:
    """The numbers in the pictures, by FFmpeg's decoder."""
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.options = {"flags": "low_delay"}
    frames = [frame for _, unit in units for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    planes = [(bytes(frame.planes[0]), frame.planes[0].line_size, frame.width, frame.height) for frame in frames]
    return [
        read_number(lambda x, y: pixels[int(y * height) * stride + int(x * width)])  # noqa: B023 - called at once
        for pixels, stride, width, height in planes
    ]


async def video(receive: Callable[[], asyncio.Future[Rtp]], count: int) -> list[Rtp]:
    """Packets of ``count`` whole pictures, from a keyframe on."""
    packets: list[Rtp] = []
    pictures = 0
    while pictures < count:
        packet = await receive()
        if packets or packet.payload[0] & 0x1F == 7:  # an SPS begins a keyframe
            packets.append(packet)
            pictures += packet.marker
    return packets


def check_pictures(packets: list[Rtp]) -> None:
    """Contiguous, on one timeline, and decoding to the numbers that their times have in the running minute."""
    sequences = [packet.sequence for packet in packets]
    assert sequences == [(sequences[0] + index) & 0xFFFF for index in range(len(packets))]
    assert len({packet.ssrc for packet in packets}) == 1
    units = access_units(packets)
    ticks = [(after - units[0][0]) & 0xFFFFFFFF for after, _ in units]
    passed, rest = zip(
        *(divmod(each, 90_000 // SMALL.fps) for each in ticks), strict=True
    )  # a late camera leaves some out
    assert not any(rest)
    assert list(passed) == sorted(set(passed))
    seen = numbers(units)
    assert seen[0] is not None
    assert seen == [(seen[0] + index) % SMALL.frames for index in passed]
    late = (time.time() * SMALL.fps - seen[-1]) % SMALL.frames  # type: ignore[operator]  # none is None
    assert late < 5 * SMALL.fps, "the clock is the real one"


async def test_description(client: Client, address: str) -> None:
    response = await client.ask("DESCRIBE", f"rtsp://{address}/any/path?x=1")
    assert response.status == 200
    assert response.headers.get("Content-Type") == "application/sdp"
    assert response.headers.get("Content-Base") == f"rtsp://{address}/any/path?x=1/"
    text = response.body.decode()
    assert "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n" in text
    assert "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n" in text
    sets = re.search(r"profile-level-id=42c0..;sprop-parameter-sets=(\S+),(\S+)\r", text)
    assert sets
    assert [base64.b64decode(each)[0] & 0x1F for each in sets.groups()] == [7, 8]


async def test_options_name_what_is_answered(client: Client, address: str) -> None:
    response = await client.ask("OPTIONS", f"rtsp://{address}/")
    assert response.headers.get("Public") == "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"


@pytest.mark.thorough
async def test_pictures_and_sound_over_tcp(client: Client, address: str) -> None:
    await client.play(f"rtsp://{address}/", TCP)
    check_pictures(await video(lambda: client.rtp(0), 15))
    sound = [await client.rtp(2) for _ in range(10)]
    assert {packet.payload_type for packet in sound} == {97}
    assert {(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in pairwise(sound)} == {960}


@contextmanager
def udp_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp,
    ):
        for one in (rtp, rtcp):
            one.bind(("127.0.0.1", 0))
            one.setblocking(False)
        yield rtp, rtcp


async def received(one: socket.socket) -> tuple[bytes, int]:
    async with asyncio.timeout(10):
        data, origin = await asyncio.get_running_loop().sock_recvfrom(one, 2048)
    return data, origin[1]


@pytest.mark.thorough
async def test_pictures_over_udp_with_digest(stack: AsyncExitStack) -> None:
    address = await stack.enter_async_context(serving(SMALL, "127.0.0.1:0", Account("admin", "hunter2")))
    client = await connected(stack, address)
    url = f"rtsp://{address}/"
    refused = await client.ask("DESCRIBE", url)
    assert refused.status == 401
    challenges = refused.headers.all("WWW-Authenticate")
    with udp_pair() as (rtp, rtcp):
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        for method, target, extra in (
            ("DESCRIBE", url, {}),
            ("SETUP", f"{url}video", {"Transport": f"RTP/AVP;unicast;client_port={ports}"}),
            ("PLAY", url, {}),
        ):
            authorization = digest(challenges[0], method, target, "admin", "hunter2")
            response = await client.ask(method, target, Authorization=authorization, **extra)
            assert response.status == 200
            if method == "SETUP":
                transport = response.headers.get("Transport") or ""
                client.headers["Session"] = (response.headers.get("Session") or "").partition(";")[0]
        server = re.search(r"server_port=(\d+)-(\d+)", transport)
        assert server
        assert int(server[1]) % 2 == 0
        assert int(server[2]) == int(server[1]) + 1
        assert f"client_port={ports}" in transport
        report, origin = await received(rtcp)
        assert (report[1], origin) == (200, int(server[2]))

        async def receive() -> Rtp:
            data, origin = await received(rtp)
            assert server
            assert origin == int(server[1])
            return Rtp.parse(data)

        check_pictures(await video(receive, 12))  # type: ignore[arg-type]  # a coroutine is as good


@pytest.mark.parametrize("which", [0, 1])
async def test_each_algorithm_is_answered(stack: AsyncExitStack, which: int) -> None:
    address = await stack.enter_async_context(serving(SMALL, "127.0.0.1:0", Account("admin", "p:w@")))
    client = await connected(stack, address)
    url = f"rtsp://{address}/"
    challenges = (await client.ask("DESCRIBE", url)).headers.all("WWW-Authenticate")
    assert [re.findall(r"algorithm=([\w-]+)", challenge) for challenge in challenges] == [["SHA-256"], ["MD5"]]
    good = digest(challenges[which], "DESCRIBE", url, "admin", "p:w@")
    bad = digest(challenges[which], "DESCRIBE", url, "admin", "wrong")
    assert (await client.ask("DESCRIBE", url, Authorization=bad)).status == 401
    assert (await client.ask("DESCRIBE", url, Authorization=good)).status == 200
    assert (await client.ask("DESCRIBE", url)).status == 401, "each request is checked"
    assert (await client.ask("OPTIONS", url)).status == 200


async def test_old_nonce_is_stale(stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    address = await stack.enter_async_context(serving(SMALL, "127.0.0.1:0", Account("admin", "pw")))
    client = await connected(stack, address)
    url = f"rtsp://{address}/"
    challenge = (await client.ask("DESCRIBE", url)).headers.all("WWW-Authenticate")[0]
    authorization = digest(challenge, "DESCRIBE", url, "admin", "pw")
    monkeypatch.setattr(rtsp, "NONCE_LIFETIME", 0.0)
    refused = await client.ask("DESCRIBE", url, Authorization=authorization)
    assert refused.status == 401
    assert "stale=true" in refused.headers.all("WWW-Authenticate")[0]
    monkeypatch.setattr(rtsp, "NONCE_LIFETIME", 60.0)
    renewed = digest(refused.headers.all("WWW-Authenticate")[0], "DESCRIBE", url, "admin", "pw")
    assert (await client.ask("DESCRIBE", url, Authorization=renewed)).status == 200


async def test_report_tells_the_time_of_a_picture(client: Client, address: str) -> None:
    answers = await client.play(f"rtsp://{address}/", TCP)
    async with asyncio.timeout(10):
        report = await client.channel(1).get()
    _, kind, _, ssrc, seconds, fraction, timestamp = struct.unpack_from("!BBHIIII", report)
    assert kind == 200
    assert f"ssrc={ssrc:08X}" in (answers["video"].headers.get("Transport") or "")
    reported = seconds - 2_208_988_800 + fraction / (1 << 32)
    packets = await video(lambda: client.rtp(0), 1)
    taken = reported + ((packets[0].timestamp - timestamp + (1 << 31)) % (1 << 32) - (1 << 31)) / 90_000
    (number,) = numbers(access_units(packets))
    assert number is not None
    assert abs((taken - number / SMALL.fps + 30) % 60 - 30) < 0.001


async def test_play_announces_where_the_stream_stands(client: Client, address: str) -> None:
    answers = await client.play(f"rtsp://{address}/", TCP)
    info = answers["PLAY"].headers.get("RTP-Info") or ""
    match = re.search(rf"url=rtsp://{re.escape(address)}/video;seq=(\d+);rtptime=(\d+)", info)
    assert match
    first = await client.rtp(0)
    assert first.sequence == int(match[1])
    assert (first.timestamp - int(match[2]) + 90_000) % (1 << 32) < 180_000


async def test_all_viewers_get_the_same_packets(stack: AsyncExitStack, address: str) -> None:
    clients = [await connected(stack, address) for _ in range(5)]
    for client in clients:
        await client.play(f"rtsp://{address}/", TCP)
    seen = [{(packet := await client.rtp(0)).sequence: packet for _ in range(20)} for client in clients]
    common = set.intersection(*(set(each) for each in seen))
    assert common
    for sequence in common:
        assert len({each[sequence].payload for each in seen}) == 1


async def test_teardown_ends_the_media_and_the_session_but_not_the_connection(client: Client, address: str) -> None:
    url = f"rtsp://{address}/"
    await client.play(url, TCP)
    await client.rtp(0)
    assert (await client.ask("TEARDOWN", url)).status == 200
    assert (await client.ask("GET_PARAMETER", url)).status == 454
    del client.headers["Session"]
    before = client.channel(0).qsize()
    assert (await client.ask("OPTIONS", url)).status == 200
    assert client.channel(0).qsize() == before
    assert (await client.ask("PLAY", url)).status == 455
    await client.play(url, TCP)


async def test_keep_alive(client: Client, address: str) -> None:
    await client.play(f"rtsp://{address}/", TCP)
    response = await client.ask("GET_PARAMETER", f"rtsp://{address}/")
    assert response.status == 200
    assert response.headers.get("Session") == f"{client.headers['Session']};timeout=60"


async def test_silent_session_is_ended(client: Client, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp, "SESSION_TIMEOUT", -1)
    monkeypatch.setattr("camshaft.demo_camera.camera.SWEEP_INTERVAL", 0.01)
    async with serving(SMALL, "127.0.0.1:0") as other:
        silent = await Client.connect(other)
        async with asyncio.timeout(10):
            assert await silent.reader.read() == b""
        await silent.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("SETUP", "/video", {"Transport": "RTP/AVP;multicast"}, 461),
        ("SETUP", "/video", {"Transport": "RTP/AVP;unicast"}, 461),
        ("SETUP", "/video", {"Transport": "RAW/RAW/UDP;unicast"}, 461),
        ("SETUP", "/video", {}, 461),
        ("SETUP", "/metadata", {"Transport": "RTP/AVP/TCP;unicast"}, 404),
        ("PLAY", "/", {}, 455),
        ("PLAY", "/", {"Session": "12345678"}, 454),
        ("RECORD", "/", {}, 501),
        ("GET_PARAMETER", "/", {}, 200),
    ],
)
async def test_what_cannot_be_served(
    client: Client, address: str, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await client.ask(method, f"rtsp://{address}{path}", **headers)).status == status
    assert (await client.ask("OPTIONS", f"rtsp://{address}/")).status == 200


async def test_garbage_ends_only_its_own_connection(stack: AsyncExitStack, address: str) -> None:
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(b"\x16\x03\x01\x02\x00 hello, is this TLS?\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"RTSP/1.0 400")
    writer.close()
    await writer.wait_closed()
    other = await connected(stack, address)
    assert (await other.ask("OPTIONS", f"rtsp://{address}/")).status == 200


async def test_request_without_number_is_refused(address: str) -> None:
    reader, writer = await asyncio.open_connection(*address.split(":"))
    writer.write(b"OPTIONS * RTSP/1.0\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()) == b"RTSP/1.0 400 Bad Request\r\n"
    writer.close()
    await writer.wait_closed()


async def test_port_in_use_and_foreign_host(address: str) -> None:
    with pytest.raises(AddressInUseError, match=f"demo-camera: {address} is in use .* --listen"):
        async with serving(SMALL, address):
            pass
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0"):
        async with serving(SMALL, "192.0.2.1:0"):
            pass


async def test_who_comes_before_the_clip_is_there_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[asyncio.Task[bytes]] = []

    async def early(address: str) -> bytes:
        reader, writer = await asyncio.open_connection(*address.split(":"))
        writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        status = await reader.readline()
        writer.close()
        return status

    @asynccontextmanager
    async def slow(settings: Settings, group: asyncio.TaskGroup) -> AsyncIterator[Clip]:
        asked.append(asyncio.create_task(early(address)))
        await asyncio.sleep(0.1)
        yield clip

    clip = Clip.empty(SMALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("camshaft.demo_camera.camera._clip", slow)
    async with serving(SMALL, address):
        assert await asyncio.wait_for(asked[0], 10) == b"RTSP/1.0 200 OK\r\n"


@pytest.mark.parametrize("audio", [Audio.PCMU, Audio.NONE])
async def test_other_sound(stack: AsyncExitStack, audio: Audio) -> None:
    settings = Settings(320, 180, 25, 0.4, 400_000, audio)
    address = await stack.enter_async_context(serving(settings, "127.0.0.1:0"))
    client = await connected(stack, address)
    text = (await client.ask("DESCRIBE", f"rtsp://{address}/")).body.decode()
    if audio is Audio.NONE:
        assert "m=audio" not in text
        return
    assert "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n" in text
    await client.play(f"rtsp://{address}/", TCP)
    packet = await client.rtp(2)
    assert (packet.payload_type, len(packet.payload)) == (0, 160)


async def test_ipv6(stack: AsyncExitStack) -> None:
    address = await stack.enter_async_context(serving(SMALL, "[::1]:0"))
    client = await connected(stack, address)
    answers = await client.play(f"rtsp://{address}/", TCP)
    assert b"o=- 1 1 IN IP6 ::1" in answers["DESCRIBE"].body
    await client.rtp(0)


async def test_finished_clip_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    async with serving(Settings(320, 180, 2, 2.0, 100_000, Audio.NONE), "127.0.0.1:0"), asyncio.timeout(30):
        while not list(tmp_path.glob("camshaft/demo-*.clip")):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.02)


async def test_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    async with serving(Settings(320, 180, 2, 2.0, 100_000, Audio.NONE), "127.0.0.1:0") as address:
        client = await Client.connect(address)
        assert (await client.ask("DESCRIBE", f"rtsp://{address}/")).status == 200
        await client.close()
