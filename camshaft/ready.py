"""The front door as ``serve`` sees it: the address to bind, to ask, and to show; and whether it is ready."""

from __future__ import annotations

import asyncio
import errno
import socket

from common.config import split_listen
from common.errors import AddressInUseError, ConfigError

ANSWER_TIMEOUT = 2.0  # seconds
MAX_ANSWER_BYTES = 16 << 10
_WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be replaced, not bound


def free_listen(listen: str) -> str:
    """``listen`` with its port, or for port 0 a free one, after seeing that nobody else has it.

    Asked before anything is started: whoever has the port might answer in our place. Raises ``AddressInUseError``, or
    ``ConfigError`` if the host is none of this machine's.
    """
    host, port = split_listen(listen)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            port = probe.getsockname()[1]
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError("http", listen, "--http-listen") from None
        raise ConfigError("", "http.listen", f"cannot listen on {listen}: {exc.strerror or exc}") from None
    return f"{_bracketed(host)}:{port}"


def page_address(listen: str) -> str:
    """What a person on this machine types into a browser."""
    host, port = split_listen(listen)
    return f"http://{_bracketed(_WILDCARDS.get(host, host))}:{port}/"


async def ask_ready(listen: str) -> tuple[bool, str]:
    """Whether ``/readyz`` answers 200, and what it says."""
    host, port = split_listen(listen)
    host = _WILDCARDS.get(host, host)
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                request = f"GET /readyz HTTP/1.1\r\nHost: {_bracketed(host)}:{port}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                answer = await reader.read(MAX_ANSWER_BYTES)
            finally:
                writer.close()
    except (OSError, TimeoutError) as exc:
        return False, f"the broker does not answer: {exc or type(exc).__name__}"
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")), body.decode("utf-8", "replace").strip()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
