"""A socket that calls an SRT listener, read like a file; blocking."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote

from common.cameras import CameraState
from common.errors import CameraError
from ingest.sources.share import Share
from ingest.sources.srt.keys import LENGTHS, SALT, Keys
from ingest.sources.srt.session import ACK_EVERY, Session, State

LATENCY_MS = 120  # of SRT's own default
MOST_LATENCY_MS = 10_000
PASSPHRASE = range(10, 80)  # characters, as SRT wants it
BUFFER = 4 << 20  # bytes: what comes while FFmpeg looks at what it has
_MTU = 2_048
_KNOWN = "latency, passphrase, pbkeylen, streamid and mode=caller"


class Caller:
    """``read`` gives what comes, as long as something comes within ``timeout`` seconds. Raises ``CameraError``."""

    def __init__(self, host: str, port: int, query: str, share: Share, *, timeout: float) -> None:
        self._timeout = timeout
        self._share = share
        self._session = session_of(query)
        self._rest = b""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._socket.settimeout(ACK_EVERY)
            self._socket.connect((host, port))
            self._until(lambda: self._session.state is State.OPEN)
        except OSError as exc:
            self._socket.close()
            raise CameraError(CameraState.UNREACHABLE, (exc.strerror or type(exc).__name__).lower()) from None
        except BaseException:
            self._socket.close()
            raise

    def read(self, size: int) -> bytes:
        """At least a byte, at most ``size``. Raises ``CameraError``."""
        if not self._rest:
            self._until(lambda: bool(self._take()))
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        """Say goodbye."""
        with suppress(OSError):
            self._send(self._session.farewell())
        self._socket.close()

    def _take(self) -> bytes:
        self._rest += self._session.take()
        return self._rest

    def _until(self, there: object) -> None:
        assert callable(there)
        ends = time.monotonic() + self._timeout
        while not there():
            now = time.monotonic()
            if now > ends:
                raise CameraError(CameraState.SILENT, f"nothing came for {self._timeout:.0f} s")
            self._send(self._session.due(now))
            try:
                packet = self._socket.recv(_MTU)
            except TimeoutError:
                continue
            except ConnectionRefusedError:
                raise CameraError(CameraState.CONNECTION_REFUSED) from None
            self._send(self._session.receive(packet, time.monotonic()))
            self._share.take(len(packet))

    def _send(self, packets: list[bytes]) -> None:
        for packet in packets:
            try:
                self._socket.send(packet)
            except ConnectionRefusedError:
                raise CameraError(CameraState.CONNECTION_REFUSED) from None
            except (BlockingIOError, TimeoutError):
                return


def session_of(query: str) -> Session:
    """A session as the URL's query wants it. Raises ``CameraError`` for what it may not say."""
    parts = (part.partition("=") for part in query.split("&") if part)
    given = {unquote(name).lower(): unquote(value) for name, _, value in parts}  # as libsrt has it: a + is one
    if given.pop("mode", "caller") != "caller":
        raise CameraError(
            CameraState.INVALID_URL, "Camshaft connects to it (mode=caller); other modes are not supported"
        )
    length = _number(given, "pbkeylen", 16)
    passphrase = given.pop("passphrase", "")
    latency = _number(given, "latency", LATENCY_MS)
    name = given.pop("streamid", "")
    if given:
        raise CameraError(CameraState.INVALID_URL, f"{min(given)} is not known after the ?; known are {_KNOWN}")
    if passphrase and len(passphrase) not in PASSPHRASE:
        raise CameraError(CameraState.INVALID_URL, "a passphrase of SRT has 10 to 79 characters")
    if length not in LENGTHS:
        raise CameraError(CameraState.INVALID_URL, "pbkeylen is 16, 24 or 32")
    if latency > MOST_LATENCY_MS:
        raise CameraError(CameraState.INVALID_URL, f"latency is in milliseconds, {MOST_LATENCY_MS} at most")
    if len(name.encode()) > 512:
        raise CameraError(CameraState.INVALID_URL, "a streamid of SRT has 512 bytes at most")
    keys = Keys(passphrase, secrets.token_bytes(length), secrets.token_bytes(SALT)) if passphrase else None
    return Session(
        socket=secrets.randbits(30) + 1,
        sequence=secrets.randbits(31),
        latency=latency / 1_000,
        stream_id=name,
        keys=keys,
        bits=length * 8,
    )


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    assert isinstance(given, dict)
    text = given.pop(name, str(default))
    if not text.isdecimal() or len(text) > 9:
        raise CameraError(CameraState.INVALID_URL, f"{name} after the ? is not a number")
    return int(text)
