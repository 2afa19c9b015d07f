"""The front door by TLS, in Chromium: the page plays, and a renewed certificate costs nobody a picture."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from rigs.authority import Authority
from rigs.chromium import Chromium
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer]

LOOKS = 5.0  # seconds within which a new certificate is taken: it is looked for each second, and waited for twice


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def lineage(authority: Authority, directory: Path, number: int) -> int:
    """Certificate and key as certbot keeps them: links that lead to the newest of several. Returns the serial."""
    archive = directory / "archive"
    archive.mkdir(parents=True, exist_ok=True)
    issued = authority.issue(f"cams{number}", directory=archive)
    for name, target in (("fullchain.pem", issued.cert), ("privkey.pem", issued.key)):
        (directory / "new").symlink_to(target)
        (directory / "new").replace(directory / name)
    return issued.serial


async def shown_to_new_ones(running: Cluster, authority: Authority) -> int:
    """The serial of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=authority.file)
    _, writer = await asyncio.open_connection(running.host, running.port, ssl=context, server_hostname=running.host)
    found = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    writer.close()
    await writer.wait_closed()
    return found.serial_number


async def test_it_plays_every_way_through_a_change_of_the_certificate(
    chromium: Chromium,
    cluster: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
    authority: Authority,
    tmp_path: Path,
) -> None:
    live = tmp_path / "live"
    first = lineage(authority, live, 1)
    settings = {"tls_cert": str(live / "fullchain.pem"), "tls_key": str(live / "privkey.pem")}
    running = await cluster({"front-door": gst_camera(SMALL).url}, config={"http": settings})
    assert running.url.startswith("https://")
    viewings = {
        "page": await chromium.open(f"{running.url}/watch/front-door"),
        "whep": await chromium.whep(running.whep("front-door")),
        "websocket": await chromium.websocket(running.websocket, "front-door"),
    }
    before = {}
    for way, viewing in viewings.items():
        await viewing.shows(10)
        before[way] = await viewing.stats()
    assert await shown_to_new_ones(running, authority) == first
    second = lineage(authority, live, 2)
    async with asyncio.timeout(LOOKS):
        while await shown_to_new_ones(running, authority) != second:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.1)
    for way, viewing in viewings.items():
        await viewing.shows(25)
        after = await viewing.stats()
        assert len(await viewing.all_stats()) == 1, f"{way}: the session is the one that began"
        assert after.packets_lost == before[way].packets_lost == 0, way
        assert after.frames_decoded - before[way].frames_decoded >= 25, way
    async with asyncio.timeout(LOOKS):
        another = await chromium.whep(running.whep("front-door"))
        await another.shows(1)


def test_serve_says_so_and_the_command_line_follows(tmp_path: Path, authority: Authority) -> None:
    """``serve`` is ready, announces its page, and ``camera add`` as it is announced works."""
    pair = authority.issue("cams", "localhost")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CAMSHAFT_")}
    environ |= {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "CAMSHAFT_HTTP_LISTEN": "127.0.0.1:0",
        "CAMSHAFT_HTTP_HOSTS": "localhost",
        "CAMSHAFT_HTTP_TLS_CERT": str(pair.cert),
        "CAMSHAFT_HTTP_TLS_KEY": str(pair.key),
        "CAMSHAFT_BROKER_ADDRESS": f"ipc://{tmp_path}/bus",
        "CAMSHAFT_MEDIA_PORT": "0",
        "CAMSHAFT_EGRESS_WORKERS": "1",
    }
    command = [sys.executable, "-P", "-m", "camshaft"]
    serve = subprocess.Popen([*command, "serve"], cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert serve.stdout is not None
        line = serve.stdout.readline()
        assert line.startswith("Camshaft is ready: https://localhost:")
        api = line.split("--api ")[1].split()[0]
        options = ["--api", api, "--ca-file", str(authority.file)]
        add = [*command, "camera", "add", *options, "door", "rtsp://127.0.0.1:9/"]
        said = subprocess.run(add, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=30, check=False)
        assert (said.returncode, said.stdout) == (0, "Camera door is added.\n"), said.stderr
    finally:
        serve.terminate()
        assert serve.wait(10) == 0
        assert serve.stdout is not None
        serve.stdout.close()
