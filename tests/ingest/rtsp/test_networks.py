"""The networks that cameras may be in: at every way on which a camera can lead us to an address."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from common.cameras import CameraSpec, CameraState, Transport
from common.errors import CameraError
from ingest.probe import probe
from ingest.rtsp import silence
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.networks import Networks
from rigs.camera import Answer, FakeCamera
from tests.fakes.viewer import Pulled

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"
ONLY_HERE = (f"{HERE}/32",)
NOT_HERE = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("listed", "address", "allowed"),
    [
        ((), "10.0.0.7", True),
        (("10.0.0.0/8",), "10.255.0.7", True),
        (("10.0.0.0/8",), "11.0.0.7", False),
        (("10.0.0.0/8",), "::ffff:10.0.0.7", True),  # an IPv4 address, however it is written
        (("10.0.0.0/8",), "::ffff:127.0.0.1", False),
        (("10.0.0.0/8",), "0.0.0.0", False),
        (("10.0.0.0/8",), "::1", False),
        (("0.0.0.0/0",), "2001:db8::1", False),
        (("192.168.1.7", "fe80::/10"), "192.168.1.7", True),
        (("192.168.1.7", "fe80::/10"), "192.168.1.8", False),
        (("192.168.1.7", "fe80::/10"), "fe80::1%eth0", True),
        (("::ffff:0:0/96",), "10.0.0.7", False),
    ],
)
def test_addresses(listed: tuple[str, ...], address: str, allowed: bool) -> None:
    assert Networks(listed).allows(address) is allowed


def test_a_sentence_names_a_few() -> None:
    assert str(Networks(("10.0.0.0/8",))) == "10.0.0.0/8"
    assert str(Networks([f"10.{n}.0.0/16" for n in range(6)])).endswith("10.3.0.0/16 and 2 more")


async def test_a_camera_elsewhere_is_never_spoken_to() -> None:
    async with FakeCamera() as fake, Pulled(fake.url, networks=NOT_HERE) as pulled:
        report = await pulled.reached(CameraState.NOT_ALLOWED)
        assert report.detail == "it is at 127.0.0.1; sources.networks allows 10.0.0.0/8, 2001:db8::/32"
        assert pulled.camera.counters["addresses_refused"] == 1
        assert fake.connections == 0


async def test_one_in_them_plays() -> None:
    async with FakeCamera() as fake, Pulled(fake.url, networks=(*NOT_HERE, "127.0.0.0/8")) as pulled:
        await pulled.watch(5)


async def test_probe_says_so_too() -> None:
    async with FakeCamera() as fake:
        with pytest.raises(CameraError, match=r"it is at 127\.0\.0\.1; sources\.networks allows 10"):
            await probe(replace(CameraSpec("x", fake.url), networks=NOT_HERE))  # type: ignore[arg-type]


async def test_a_name_is_connected_to_where_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of several addresses are taken that lie in the networks.

    A name that means another one a moment later is not asked for again: what is connected to is what was checked.
    """
    answers = iter([[ELSEWHERE, HERE], [ELSEWHERE]])
    loop = asyncio.get_running_loop()
    resolve, asked = loop.getaddrinfo, 0

    async def rebinding(host: object, port: object, **options: object) -> object:
        nonlocal asked
        if host != "camera.example":
            return await resolve(host, port, **options)  # type: ignore[arg-type]
        asked += 1
        return [(0, 0, 0, "", (address, port)) for address in next(answers)]

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with FakeCamera() as good, FakeCamera(host=ELSEWHERE) as evil:
        url = f"rtsp://camera.example:{good.port}/live"
        async with Pulled(url, networks=ONLY_HERE) as pulled:
            await pulled.watch(5)
            assert asked == 1
            good.drop()
            report = await pulled.reached(CameraState.NOT_ALLOWED)
        assert report.detail == "it is at 127.0.0.2; sources.networks allows 127.0.0.1/32"
        assert evil.connections == 0


@pytest.mark.parametrize("status", [301, 302, 305, 307])
async def test_a_redirect_out_of_them_is_not_followed(status: int) -> None:
    async with FakeCamera(host=ELSEWHERE) as there:

        def rewrite(request: Request, _response: Response) -> Answer:
            return Response(
                status, "Moved", Headers([("CSeq", request.headers.get("CSeq") or ""), ("Location", there.url)])
            )

        async with FakeCamera(rewrite=rewrite) as here, Pulled(here.url, networks=ONLY_HERE) as pulled:
            report = await pulled.reached(CameraState.NOT_ALLOWED)
            assert report.detail == (
                "it redirects to 127.0.0.2, which is 127.0.0.2; sources.networks allows 127.0.0.1/32"
            )
        assert there.connections == 0


def named_source(address: str) -> object:
    """Rewrites answers to SETUP so that they say where the media comes from."""

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method != "SETUP":
            return response
        headers = [
            (name, f"{value};source={address}" if name == "Transport" else value) for name, value in response.headers
        ]
        return replace(response, headers=Headers(headers))

    return rewrite


@pytest.mark.parametrize(("networks", "taken"), [((), True), (("127.0.0.0/8",), True), (ONLY_HERE, False)])
async def test_media_from_a_source_out_of_them_is_not_taken(
    networks: tuple[str, ...], taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 1.0)
    fake = FakeCamera(
        foreign_port=True,
        foreign_host=ELSEWHERE,
        transports={"udp"},
        rewrite=named_source(ELSEWHERE),  # type: ignore[arg-type]
    )
    async with fake, Pulled(fake.url, transport=Transport.UDP, networks=networks) as pulled:
        if taken:
            await pulled.watch(5)
            return
        report = await pulled.reached(CameraState.SILENT)
        assert report.detail == (
            "packets arrive over UDP from 127.0.0.2, not from the camera, and are not accepted "
            "(sources.networks allows 127.0.0.1/32)"
        )
        assert pulled.batches == []


@pytest.mark.parametrize("source", ["192.168.1.7", "0.0.0.0", "camera.example", "::"])
async def test_a_source_that_says_nothing_keeps_no_camera_from_playing(source: str) -> None:
    """Behind a NAT a camera names the address that it has there."""
    fake = FakeCamera(transports={"udp"}, rewrite=named_source(source))  # type: ignore[arg-type]
    async with fake, Pulled(fake.url, transport=Transport.UDP, networks=ONLY_HERE) as pulled:
        await pulled.watch(5)
