"""The ways on which a viewer's connection gets to its egress: given away, or joined to another that leads there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Callable

from common.handover import LENGTH, Doors, Handover

CONNECT_TIMEOUT = 2.0  # seconds for each of an egress's addresses: they are of the same network as its bus
_UCRED = struct.Struct("3i")  # unix(7): process, user, group

Way = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def give(name: str, handover: Handover, descriptor: int, answer: Callable[[], None] | None = None) -> None:
    """Give a connection to whoever listens by this name, if it runs as our own user; ``answer`` it just before that.

    Raises ``OSError``: ``ConnectionRefusedError`` if nobody listens here, ``PermissionError`` for somebody else.
    """
    if not name.startswith("@"):
        raise ConnectionRefusedError("it has no socket for that")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.setblocking(False)
        door.connect(f"\0{name[1:]}")
        _, user, _ = _UCRED.unpack(door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if user != os.geteuid():
            raise PermissionError("another user's process listens there")
        if answer is not None:
            answer()
        socket.send_fds(door, [bytes(handover)], [descriptor])


async def beside(name: str, handover: Handover) -> Way:
    """A way to an egress of this machine, for a connection that has to stay. Raises ``OSError`` as ``give`` does."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            give(name, handover, theirs.fileno())
        return await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise


async def elsewhere(doors: Doors, handover: Handover) -> Way:
    """A way to an egress that is not on this machine. Raises ``OSError``."""
    failure: OSError = ConnectionRefusedError("it takes connections neither on this machine nor by TCP (media.tcp)")
    for host, port in doors.remote:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await _connected(host, port, doors.fingerprint, handover)
        except (OSError, TimeoutError) as exc:
            failure = OSError(f"{host}, TCP port {port}: {exc or 'no answer'}")
    raise failure


async def _connected(host: str, port: int, fingerprint: str, handover: Handover) -> Way:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its fingerprint says more
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="")
    try:
        _check(writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b"", fingerprint)
        words = bytes(handover)
        writer.write(len(words).to_bytes(LENGTH) + words)
    except BaseException:
        with contextlib.suppress(OSError):
            writer.transport.abort()
        raise
    return reader, writer


def _check(certificate: bytes, fingerprint: str) -> None:
    if not hmac.compare_digest(hashlib.sha256(certificate).hexdigest(), fingerprint):
        raise ConnectionRefusedError("another process answers there: its certificate is not the one that was told")
