"""The simulated camera as a process: loads or encodes its clip, listens, and plays."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress

from camshaft.demo_camera.broadcast import Broadcast
from camshaft.demo_camera.clip import NICENESS, Clip
from camshaft.demo_camera.lanes import PortPair
from camshaft.demo_camera.rtsp import Account, Server
from camshaft.demo_camera.settings import Settings
from common.address import split_listen
from common.errors import AddressInUseError, ConfigError
from common.log import get_logger
from common.systemd import READY, notify

BACKLOG = 100  # clients that wait to be let in
SWEEP_INTERVAL = 5.0  # seconds between looks for sessions that went silent

_log = get_logger()


async def run(settings: Settings, listen: str, account: Account | None, stop: asyncio.Event) -> None:
    """Be a camera until ``stop``. Raises ``AddressInUseError`` and ``ConfigError``."""
    async with serving(settings, listen, account) as address:
        _log.info(
            "camera plays", url=f"rtsp://{address}/", size=f"{settings.width}x{settings.height}", fps=settings.fps
        )
        notify(READY)
        await stop.wait()


@asynccontextmanager
async def serving(settings: Settings, listen: str, account: Account | None = None) -> AsyncIterator[str]:
    """A camera that shows its clip while the context is open; gives ``HOST:PORT``. Raises as ``playing`` does.

    Clients that come before the clip is there wait for it, and are not refused.
    """
    with ExitStack() as early:
        sockets = [early.enter_context(each) for each in _bound(listen)]
        async with (
            asyncio.TaskGroup() as group,
            _clip(settings, group) as clip,
            _playing(Broadcast(clip), sockets, account) as address,
        ):
            yield address


@asynccontextmanager
async def playing(broadcast: Broadcast, listen: str, account: Account | None = None) -> AsyncIterator[str]:
    """Play to every client that comes while the context is open; gives ``HOST:PORT``.

    Raises ``AddressInUseError`` and ``ConfigError``.
    """
    with ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in _bound(listen)]
        async with _playing(broadcast, sockets, account) as address:
            yield address


def _bound(listen: str) -> list[socket.socket]:
    """Sockets that listen there, one for each family of addresses. Raises ``AddressInUseError`` and ``ConfigError``."""
    host, port = split_listen(listen)
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in {(family, address[:2]): None for family, *_, address in found}:
            number = port or (sockets[0].getsockname()[1] if sockets else 0)
            sockets.append(socket.create_server((str(address[0]), number), family=family, backlog=BACKLOG))
    except OSError as exc:
        for each in sockets:
            each.close()
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError("demo-camera", listen, "--listen") from None
        raise ConfigError(f"cannot listen on {listen}: {exc.strerror}", where="--listen") from None
    return sockets


@asynccontextmanager
async def _playing(
    broadcast: Broadcast, sockets: Sequence[socket.socket], account: Account | None
) -> AsyncIterator[str]:
    loop, server = asyncio.get_running_loop(), Server(broadcast, account, time.monotonic)
    listeners = [await loop.create_server(server.connect, sock=each) for each in sockets]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(broadcast.run()), group.create_task(_sweep(server))]
        try:
            for bound in sockets:
                address, actual_port = bound.getsockname()[:2]
                for kind in broadcast.sources:
                    server.ports[kind, bound.family] = PortPair(address, bound.family, server.heard_from)
            yield f"[{address}]:{actual_port}" if ":" in address else f"{address}:{actual_port}"
        finally:
            for task in tasks:
                task.cancel()
            for listener in listeners:
                listener.close()
            server.close()
            for pair in server.ports.values():
                pair.close()


@asynccontextmanager
async def _clip(settings: Settings, group: asyncio.TaskGroup) -> AsyncIterator[Clip]:
    """The clip: from the cache, or being encoded while the context is open. Its first picture is there already."""
    clip = await asyncio.to_thread(Clip.load, settings)
    if clip is not None:
        yield clip
        return
    clip = Clip.empty(settings)
    loop, started, stopped = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    first = int(time.time() * settings.fps) % settings.frames

    def on_picture() -> None:
        if not started.is_set():
            loop.call_soon_threadsafe(started.set)

    def encode() -> None:
        with suppress(OSError, AttributeError):  # where threads have no niceness of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        if clip.encode(first, stopped, on_picture):
            try:
                clip.save()
            except OSError as exc:
                _log.info("the clip cannot be kept and will be encoded again", reason=exc.strerror)

    group.create_task(asyncio.to_thread(encode))
    try:
        await started.wait()
        yield clip
    finally:
        stopped.set()


async def _sweep(server: Server) -> None:
    while True:
        await asyncio.sleep(SWEEP_INTERVAL)
        server.close_idle()
