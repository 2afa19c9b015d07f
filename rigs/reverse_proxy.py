"""Real reverse proxies before a cluster: nginx and Caddy of Debian, with the very recipes of ``deploy``.

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


@asynccontextmanager
async def nginx(upstream: str, directory: Path, *, below: bool, tls: bool) -> AsyncIterator[str]:
    """nginx before ``upstream`` (HOST:PORT), by its recipe for a name or a path; yields the address of the page."""
    port = free_port()
    listen = f"listen 127.0.0.1:{port}{' ssl' if tls else ''};"
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
    async with running(command, directory, port=port):
        yield _page(port, below=below, tls=tls)


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


def _page(port: int, *, below: bool, tls: bool) -> str:
    return f"{'https' if tls else 'http'}://{HOST}:{port}{PREFIX if below else ''}/"
