"""The broker as ``serve`` sees it: whether its addresses are free, where its page is, and whether it is ready."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
from functools import cache

from common.address import reachable_host, split_listen
from common.claim import claimed_directory
from common.endpoints import Endpoints, Part
from common.errors import AddressInUseError, refused
from common.settings import option_of

ANSWER_TIMEOUT = 2.0  # seconds
MAX_ANSWER_BYTES = 16 << 10


def free_listen(listen: str, key: str = "listen") -> str:
    """``listen``, the value of ``http.key``, with its port, or for port 0 a free one, after seeing that nobody has it.

    Asked before anything is started: the program that has the port might answer in our place. Raises
    ``AddressInUseError``, or ``ConfigError`` if the host is none of this machine's.
    """
    host, port = split_listen(listen)
    try:
        port = _bindable(host, port)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError("http", listen, option_of("http", key)) from None
        raise refused(exc.errno, f"cannot listen on {listen}: {exc.strerror or exc}", key=f"http.{key}") from None
    return f"{_bracketed(host)}:{port}"


def check_bus(endpoints: Endpoints) -> None:
    """See that the broker's own addresses are free. Raises ``AddressInUseError`` and ``ConfigError``.

    Asked before anything is started: our workers would join the cluster that has them, and push out its workers of the
    same names.
    """
    with claimed_directory(endpoints, Part.CONTROL), claimed_directory(endpoints, Part.RELAY):
        pass
    if endpoints.directory is not None:
        return
    for endpoint in (endpoints.control, endpoints.media_in, endpoints.media_out):
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        try:
            _bindable("" if host == "*" else host.strip("[]"), int(port))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise AddressInUseError("broker", endpoint, "--broker-address") from None
            # Anything else is for ZeroMQ to judge, which also knows the names of interfaces.


def _bindable(host: str, port: int) -> int:
    """Bind a TCP port and let it go again: its number. Raises ``OSError``."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        bound: int = probe.getsockname()[1]
        return bound


async def ask_ready(listen: str, scheme: str = "http") -> tuple[bool, str]:
    """Whether ``/readyz`` answers 200, and if not, why."""
    host, port = split_listen(listen)
    host = reachable_host(host)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            context = _any_certificate() if scheme == "https" else None
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                request = f"GET /readyz HTTP/1.1\r\nHost: {_bracketed(host)}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                answer = await reader.read(MAX_ANSWER_BYTES)
            finally:
                writer.close()
    except (OSError, TimeoutError) as exc:
        return False, f"the broker does not answer: {exc or type(exc).__name__}"
    head, _, body = answer.partition(b"\r\n\r\n")
    ready = head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
    try:
        return ready, " ".join(json.loads(body)["reasons"])
    except (ValueError, KeyError, TypeError):
        return ready, "something other than Camshaft answers" if not ready else ""


@cache
def _any_certificate() -> ssl.SSLContext:
    """The certificate is for the name by which browsers know this machine, and we ask by an address of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
