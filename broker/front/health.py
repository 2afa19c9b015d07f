"""Health: ``/healthz`` says that the process lives, ``/readyz`` whether a viewer would be served now."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from broker.front.context import CONTEXT, Context
from common.control import NEEDED

SENTENCES = {
    "relay": "The media relay is not running.",
    **{f"no_{role}": f"No {role} process is connected." for role in NEEDED},
}
"""A sentence for each reason why no viewer would be served."""


async def alive(_request: web.Request) -> web.Response:
    """200 as long as the process can answer at all."""
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def ready(request: web.Request) -> web.Response:
    """200 if a viewer would be served now, else 503 and the reasons."""
    reasons = [SENTENCES[reason] for reason, holds in reasons_not_ready(request.app[CONTEXT]).items() if holds]
    body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200, headers={"Cache-Control": "no-store"})


def reasons_not_ready(context: Context) -> Mapping[str, bool]:
    """Everything that can keep a viewer from being served, and whether it does now."""
    workers = context.control.director.workers
    missing = {f"no_{role}": not any(worker.takes(role) for worker in workers) for role in NEEDED}
    return {"relay": not context.relay.running} | missing
