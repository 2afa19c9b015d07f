"""Opens sessions: where a camera leads, and over one transport after the other.

A session is an async context manager, which releases everything that it took. Every failure is one ``CameraError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from time import thread_time
from typing import TypeVar

from common.cameras import CameraState, TlsSpec, Transport
from common.config_limits import LimitsConfig
from common.errors import CameraError
from common.media import Batch
from ingest.budget import Budget
from ingest.rtsp.auth import Pin
from ingest.rtsp.client import Connection
from ingest.rtsp.connect import connect
from ingest.rtsp.express import Way, no_way
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.media import SessionMedia
from ingest.rtsp.networks import Networks
from ingest.rtsp.session import RedirectedError
from ingest.rtsp.setup import TransportRefusedError
from ingest.rtsp.silence import NoMediaError, Pace
from ingest.rtsp.tunnel import tunnelled
from ingest.rtsp.url import RtspUrl

MAX_REDIRECTS = 5
_NEITHER = "it sends neither over TCP nor over UDP: set this stream of the camera to unicast"
_MULTICAST_ALONE = "only multicast was asked for: turn it on for this stream in the camera, or set transport to auto"
_TCP_ALONE = "only TCP was asked for: set transport to udp, or turn on RTP over TCP in the camera"

T = TypeVar("T")


@asynccontextmanager
async def connected(
    url: RtspUrl,
    tls: TlsSpec,
    *,
    udp: bool,
    multicast: bool = False,
    epoch: int,
    publish: Callable[[list[Batch]], bool | None],
    way: Way = no_way,
    on_media: Callable[[Connection], None] = lambda _connection: None,
    on_redirect: Callable[[RtspUrl], None] = lambda _url: None,
    pin: Pin | None = None,
    keepalive: Keepalive | None = None,
    pace: Pace | None = None,
    bitrate: int = LimitsConfig().camera_bitrate,
    networks: Networks = Networks(),  # noqa: B008  # frozen
    muxed: bool = False,
) -> AsyncIterator[Connection]:
    """Play until the block is left. What ends it before is raised by ``ended``.

    ``publish`` gets batches in order, and returns ``False`` where nobody takes them; ``way`` is one that leads past it.
    ``on_media`` is called once, with the first packet, ``on_redirect`` for each redirect: these are followed, but to
    where only this machine can reach if the camera is there itself. ``networks`` bounds whom is spoken to.
    ``multicast`` asks for UDP to a group; ``pin``, ``keepalive`` and ``pace`` are what earlier sessions taught. The
    camera may send ``bitrate`` Mbit/s for long. ``muxed``: a transport stream as it is, see ``choose_muxed``.
    """
    pin, keepalive = pin or Pin(), keepalive or Keepalive()
    budget = Budget(bitrate, asyncio.get_running_loop().time(), thread_time())
    origin: str | None = None
    for _ in range(MAX_REDIRECTS + 1):
        open_ = partial(
            Connection,
            url,
            udp=udp,
            media=partial(SessionMedia, url, udp=udp, multicast=multicast, epoch=epoch, networks=networks, muxed=muxed),
            publish=publish,
            way=way,
            on_media=on_media,
            pin=pin,
            keepalive=keepalive,
            pace=pace or Pace(),
            budget=budget,
        )
        reach = partial(connect, url=url, tls=tls, origin=origin, networks=networks)
        connection = await (tunnelled(open_, url, pin, reach) if url.tunnel else reach(open_))
        try:
            try:
                await connection.play()
            except RedirectedError as exc:
                url = _redirected(url, exc.location)
                origin = origin or connection.peer
                on_redirect(url)
                continue
            yield connection
            return
        finally:
            await connection.close()
    detail = f"the camera redirects more than {MAX_REDIRECTS} times; point its URL at the stream itself"
    raise CameraError(CameraState.REJECTED, detail)


async def over_any(transports: Iterable[Transport], attempt: Callable[[Transport], Awaitable[T]]) -> T:
    """``attempt`` over one transport after the other, until one works. Raises ``CameraError``: where none does, the one
    that says most. A camera that plays and gives nothing has more to mend than one that refuses what it does not know.
    """
    errors: list[CameraError] = []
    for transport in transports:
        if transport is Transport.MULTICAST and errors and not any(map(_unsupported, errors)):
            continue  # nothing says that it is of more use than what was tried
        try:
            return await attempt(transport)
        except (TransportRefusedError, NoMediaError) as exc:
            errors.append(exc)
    most = max(errors, key=lambda error: isinstance(error, NoMediaError))
    if _unsupported(most):
        alone = _MULTICAST_ALONE if transport is Transport.MULTICAST else _TCP_ALONE
        hint = _NEITHER if len(errors) > 1 else alone
        raise TransportRefusedError(most.state, f"{most.detail}; {hint}", unsupported=True)
    raise most


def _unsupported(error: CameraError) -> bool:
    return isinstance(error, TransportRefusedError) and error.unsupported


def _redirected(url: RtspUrl, location: str) -> RtspUrl:
    try:
        return url.redirected(location)
    except ValueError as problem:
        raise CameraError(CameraState.REJECTED, str(problem)) from None
