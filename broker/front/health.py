"""Health: ``/healthz`` says that the process lives, ``/readyz`` whether a viewer would be served now."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from broker.front.context import CONTEXT, Context
from broker.front.gate import known
from common.control import NEEDED, Role

MAX_NAMED = 5  # processes in one sentence


async def alive(_request: web.Request) -> web.Response:
    """200 as long as the process can answer at all."""
    return web.json_response({"status": "ok"}, headers={"Cache-Control": "no-store"})


async def ready(request: web.Request) -> web.Response:
    """200 if a viewer would be served now, else 503 and why; processes are named to who may read ``/metrics``."""
    who = await known(request)
    found = reasons_not_ready(request.app[CONTEXT], named=who is not None and who.may_monitor)
    reasons = [sentence for sentence in found.values() if sentence]
    body = {"status": "not ready" if reasons else "ready", "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200, headers={"Cache-Control": "no-store"})


def reasons_not_ready(context: Context, *, named: bool) -> Mapping[str, str]:
    """Everything that can keep a viewer from being served: a sentence if it does now, else nothing.

    ``named``: the sentences may name processes.
    """
    return {
        "relay": context.relay.problem,
        **{f"no_{role}": _lacks(role, context, named=named) for role in NEEDED},
        "full": _full(context),
        "memory": _memory(context),
        "store": _store(context),
    }


def _lacks(role: Role, context: Context, *, named: bool) -> str:
    workers = [worker for worker in context.control.director.workers if worker.report.role is role]
    if any(worker.takes(role) for worker in workers):
        return ""
    ended = [f"{each.node} is ending" for each in workers if each.alive]
    silent = [
        f"{each.node} has not reported for {context.clock() - each.seen:.0f} s" for each in workers if not each.alive
    ]
    processes = [*ended, *silent][:MAX_NAMED] if named else []
    return f"No {role} process is connected{': ' if processes else ''}{', '.join(processes)}."


def _full(context: Context) -> str:
    egresses = [worker for worker in context.control.director.workers if worker.takes(Role.EGRESS)]
    if not egresses or not all(worker.report.full for worker in egresses):
        return ""
    return (
        "Every egress process is full: it has reached limits.egress_viewers, limits.egress_load or limits.free_memory."
    )


def _memory(context: Context) -> str:
    if not context.memory.now(context.clock()):
        return ""
    limit = context.quotas.limits.free_memory
    return f"The server has too little free memory for another viewer (limits.free_memory is {limit})."


def _store(context: Context) -> str:
    problem = context.control.catalogue.store_problem  # which may name a path: anybody may ask for this
    return "The camera store cannot be written, perhaps because the disk is full; the log says why." if problem else ""
