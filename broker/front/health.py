"""Health: ``/healthz`` says that the process lives, ``/readyz`` whether a viewer would be served now."""

from __future__ import annotations

from aiohttp import web

from broker.front.context import CONTEXT, Context
from common.control import NEEDED


async def alive(_request: web.Request) -> web.Response:
    """200 as long as the process can answer at all."""
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def ready(request: web.Request) -> web.Response:
    """200 if a viewer would be served now, else 503 and the reasons."""
    reasons = reasons_not_ready(request.app[CONTEXT])
    body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200, headers={"Cache-Control": "no-store"})


def reasons_not_ready(context: Context) -> list[str]:
    """A sentence for everything that keeps a viewer from being served."""
    reasons = [] if context.relay.running else ["The media relay is not running."]
    workers = context.control.director.workers
    missing = [role for role in NEEDED if not any(worker.takes(role) for worker in workers)]
    return reasons + [f"No {role.value} process is connected." for role in missing]
