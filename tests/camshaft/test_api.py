"""The API over TLS, as the command line asks it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from camshaft.api import Api, ApiError
from camshaft.cli import cli
from common.errors import ConfigError
from rigs.authority import Authority


class Handler(BaseHTTPRequestHandler):
    """Has no cameras; ``/moved`` is elsewhere."""

    def do_GET(self) -> None:
        """Answer."""
        moved = self.path.startswith("/moved")
        self.send_response(307 if moved else 200)
        if moved:
            self.send_header("Location", "https://cams.example:8443/api/cameras")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Quiet(HTTPServer):
    """A client that refuses our certificate is no error of ours."""

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def address(authority: Authority) -> Iterator[str]:
    """A server with a certificate for ``localhost`` alone."""
    pair = authority.issue("server", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def run(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, env=environ, prog_name="camshaft")


@pytest.mark.parametrize("way", ["option", "variable"])
def test_an_authority_of_ones_own_is_named(address: str, authority: Authority, way: str) -> None:
    if way == "option":
        result = run("camera", "list", "--api", address, "--ca-file", str(authority.file))
    else:
        result = run("camera", "list", environ={"CAMSHAFT_API": address, "CAMSHAFT_CA_FILE": str(authority.file)})
    assert (result.exit_code, result.output) == (0, "There are no cameras; add one: camshaft camera add NAME URL\n")


def test_a_certificate_of_an_unknown_authority_is_refused_with_what_to_do(address: str) -> None:
    with pytest.raises(ApiError, match=r"certificate of https://localhost:\d+ is not accepted \(.*--ca-file"):
        Api(address).cameras()


def test_a_certificate_for_another_name_is_refused_with_what_to_do(address: str, authority: Authority) -> None:
    by_address = address.replace("localhost", "127.0.0.1")
    with pytest.raises(ApiError, match=r"not accepted \(.*IP address mismatch.*--api has to name the host"):
        Api(by_address, str(authority.file)).cameras()


def test_a_file_that_is_no_authority_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--ca-file: .*nothing cannot be read: No such file"):
        Api("https://localhost:1", str(tmp_path / "nothing"))
    (tmp_path / "empty").touch()
    with pytest.raises(ConfigError, match=r"--ca-file: .*empty holds no certificate in PEM form"):
        Api("https://localhost:1", str(tmp_path / "empty"))


@pytest.mark.parametrize("method", ["cameras", "add"])
def test_nothing_is_sent_on_to_where_the_answer_leads(address: str, authority: Authority, method: str) -> None:
    api = Api(f"{address}/moved", str(authority.file))
    with pytest.raises(ApiError, match=r"use --api https://cams\.example:8443$"):
        api.cameras() if method == "cameras" else api.add("door", {"url": "rtsp://user:password@host/"})
