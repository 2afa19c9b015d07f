"""Rights that end while somebody watches: a token runs out or is taken back, or a camera is no longer in it.

Every session and every WebSocket is looked at once in ``INTERVAL``. What is decided of somebody and a camera holds for
all its sessions, so that a thousand viewers cost little more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from broker.director.events import EndReason, Holder
from broker.front.context import CONTEXT, Context
from broker.front.hub import HUB
from common.cameras import CameraName
from common.sessions import public_name

INTERVAL = 2.0  # seconds between looks


def prepare(app: web.Application) -> None:
    """Look after the rights for as long as the application runs."""
    app.cleanup_ctx.append(_looking)


def end_without_right(context: Context) -> None:
    """End the sessions of those who may not watch any more."""
    judged: dict[tuple[Holder, CameraName], str] = {}
    director = context.control.director
    for session in list(director.sessions):
        status = director.session(session)
        if status is None or not status.answered:
            continue
        key = status.holder, status.camera
        if key not in judged:
            judged[key] = context.desk.hindrance(status.holder.principal, status.holder.expires, status.camera)
        if reason := judged[key]:
            holder = status.holder.principal
            told = {"who": holder.partition("#")[0], "camera": status.camera, "session": public_name(session)}
            context.audit.info("session ended because its right is gone", about=holder, reason=reason, **told)
            context.control.end(session, EndReason.NO_RIGHT, reason)


async def _looking(app: web.Application) -> AsyncIterator[None]:
    async def look() -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            if app[CONTEXT].desk.required:
                end_without_right(app[CONTEXT])
                await app[HUB].close_without_right(app[CONTEXT].desk)

    async with asyncio.TaskGroup() as tasks:
        looking = tasks.create_task(look())
        yield
        looking.cancel()
