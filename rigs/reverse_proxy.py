"""Real reverse proxies before a cluster, with the very recipes of ``deploy``: nginx and Caddy of Debian, and Traefik.

Of a recipe only the names, addresses and files of its examples are replaced by a test's; a recipe for a part of a
server is put into the least server there can be. All of it listens on a free port of the loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from rigs.authority import Authority
from rigs.process import START_TIMEOUT, free_port, running

RECIPES = Path(__file__).parents[1] / "deploy"
HOST = "cams.localhost"  # which a browser takes for the loopback by itself
PREFIX = "/cams"  # of the recipes for a path

_NGINX = """
daemon off;
user {user};
pid {directory}/pid;
error_log {directory}/errors;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {server}
}}
"""
_CADDY = """{{
	admin off
	skip_install_trust
	auto_https disable_redirects
	storage file_system {directory}/caddy
}}
{site}
"""


def missing() -> str:
    """Why they cannot be started here; empty if they can."""
    lacks = [name for name in ("nginx", "caddy") if shutil.which(name) is None]
    return f"{' and '.join(lacks)} missing: apt install {' '.join(lacks)}" if lacks else ""


def traefik_missing() -> str:
    """Why Traefik cannot be started here; empty if it can. Debian has none."""
    return "" if shutil.which("traefik") else "traefik is missing: go build ./cmd/traefik of its source"


@asynccontextmanager
async def nginx(
    upstream: str, directory: Path, *, below: bool, tls: bool, at: tuple[str, int] | None = None
) -> AsyncIterator[str]:
    """nginx before ``upstream`` (HOST:PORT), by its recipe for a name or a path; yields the address of the page.

    It listens ``at`` an address and port, if they are given, and the page is that of the address.
    """
    host, port = at or ("127.0.0.1", free_port())
    listen = f"listen {host}:{port}{' ssl' if tls else ''};"
    issued = Authority(directory).issue("nginx", HOST)
    recipe = _recipe("nginx", "path.conf" if below else "name.conf", upstream)
    if below:
        certificate = "ssl_certificate /etc/ssl/certs/cams.pem;\nssl_certificate_key /etc/ssl/private/cams.key;"
        recipe = f"server {{\n{listen}\n{certificate if tls else ''}\n{recipe}\n}}"
    recipe = recipe.replace("listen 443 ssl;", listen).replace("/etc/ssl/certs/cams.pem", str(issued.cert))
    recipe = recipe.replace("/etc/ssl/private/cams.key", str(issued.key))
    user = "root" if os.geteuid() == 0 else "nobody"  # nobody is not looked at, unless root starts it
    (directory / "nginx.conf").write_text(_NGINX.format(directory=directory, server=recipe, user=user))
    command = ["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "errors")]
    async with running(command, directory, host=host, port=port):
        yield _page(port, below=below, tls=tls, host=host if at else HOST)


@asynccontextmanager
async def caddy(upstream: str, directory: Path, *, below: bool, tls: bool) -> AsyncIterator[str]:
    """Caddy likewise. It makes a certificate by itself."""
    port = free_port()
    site = f"{'https' if tls else 'http'}://{HOST}:{port}"
    recipe = _recipe("caddy", "path.Caddyfile" if below else "name.Caddyfile", upstream)
    for name in ("cams.example.org", "home.example.org"):
        recipe = recipe.replace(f"{name} {{", f"{site} {{\n\tbind 127.0.0.1")
    (directory / "Caddyfile").write_text(_CADDY.format(directory=directory, site=recipe))
    environ = {**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    command = ["caddy", "run", "--config", str(directory / "Caddyfile"), "--adapter", "caddyfile"]
    async with running(command, directory, port=port, environ=environ):
        if tls:
            await _has_certificate(port)
        yield _page(port, below=below, tls=tls)


@asynccontextmanager
async def traefik(upstream: str, directory: Path, *, below: bool, tls: bool) -> AsyncIterator[str]:
    """Traefik likewise; its certificate is the one that it makes where it was given none."""
    port = free_port()
    recipe = _recipe("traefik", "path.yaml" if below else "name.yaml", upstream)
    for name in ("cams.example.org", "home.example.org"):
        recipe = recipe.replace(name, HOST)
    (directory / "cams.yaml").write_text(recipe if tls else recipe.replace("      tls: {}\n", ""))
    command = [
        *("traefik", f"--entryPoints.websecure.address=127.0.0.1:{port}"),
        *(f"--providers.file.filename={directory}/cams.yaml", "--providers.file.watch=false"),
        *("--global.checkNewVersion=false", "--global.sendAnonymousUsage=false", "--log.level=WARN"),
    ]
    async with running(command, directory, port=port):
        page = _page(port, below=below, tls=tls)
        await _leads(page)
        yield page


async def _leads(page: str) -> None:
    """Wait until it has read its recipe: it listens before. Raises ``TimeoutError``."""
    port = urlsplit(page).port
    url = page.replace(HOST, "127.0.0.1")
    async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as http:
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):  # it has no certificate yet
                async with http.get(f"{url}healthz", headers={"Host": f"{HOST}:{port}"}, ssl=False) as answer:
                    if answer.status != 404:
                        return
            await asyncio.sleep(0.05)


async def _has_certificate(port: int) -> None:
    """Wait until it does: it listens before. Raises ``TimeoutError``."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(START_TIMEOUT):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=HOST)
            except ssl.SSLError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                await writer.wait_closed()
            return


def _recipe(program: str, name: str, upstream: str) -> str:
    text = (RECIPES / program / name).read_text("utf-8")
    assert "127.0.0.1:8080" in text
    return text.replace("127.0.0.1:8080", upstream)


def _page(port: int, *, below: bool, tls: bool, host: str = HOST) -> str:
    return f"{'https' if tls else 'http'}://{host}:{port}{PREFIX if below else ''}/"
