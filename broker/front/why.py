"""The verdict on a session without a picture, and on all of the last that had none."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter

from broker.front.context import CONTEXT
from broker.why.evidence import Evidence
from broker.why.links import BrokenLink
from broker.why.verdict import facts, judge
from common.control import Tried
from common.errors import RequestError
from common.sessions import public_name

MAX_LISTED = 100  # verdicts in one answer: a person reads the newest
AT_ONCE = 100  # sessions that are judged in one turn of the event loop: some milliseconds


class WhyView(BaseModel):
    """A session, and which link of the chain from its camera to its screen is broken."""

    session: str = Field(description="Its name in lists and logs.")
    camera: str
    node: str = Field(description="The egress process that has or had it; empty if none did.")
    at: float = Field(description="Unix time at which this was recorded.")
    over: bool
    reason: str = Field(description="Why it ended, or why its offer was refused; empty while it lasts.")
    link: BrokenLink = Field(description="The first broken link; none if nothing is known to be broken.")
    sentence: str = Field(description="What is broken.")
    advice: str = Field(description="What to do.")
    offered: list[str] = Field(
        description="For a session that never connected: the addresses and ports at which it was to reach us."
    )
    heard_from: list[str] = Field(description="Addresses from which its checks came.")
    answered_at: list[str] = Field(description="Those of them at which it answered our checks.")
    pairs: list[str] = Field(
        description="What its browser tried, as its page reported: the addresses of both ends, and the state."
    )
    facts: list[str] = Field(description="Everything that was seen, one line each.")


_LIST = TypeAdapter(list[WhyView])


async def why(request: web.Request) -> web.Response:
    """One session, by any of its names. Raises ``RequestError`` for one that was never seen, or long ago."""
    clerk, name = request.app[CONTEXT].control.clerk, request.match_info["session"]
    found = clerk.find(name) or clerk.find(public_name(name))
    if found is None:
        raise RequestError(
            404,
            "unknown_session",
            "There is no such session, neither running nor among the last that ended; GET /api/why lists them.",
        )
    return _answer(_view(found).model_dump_json())


async def all_without_picture(request: web.Request) -> web.Response:
    """All sessions, also the last that were over, of which something is broken."""
    views = []
    for number, evidence in enumerate(request.app[CONTEXT].control.clerk.doubtful(), 1):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)  # pages and workers have their turn
        if judge(evidence).link is not BrokenLink.NONE:
            views.append(_view(evidence))
        if len(views) == MAX_LISTED:
            break
    return _answer(_LIST.dump_json(views).decode())


def _view(evidence: Evidence) -> WhyView:
    verdict = judge(evidence)
    tried = (evidence.report.tried if evidence.report is not None else None) or Tried()
    return WhyView(
        session=evidence.session,
        camera=evidence.camera,
        node=evidence.node,
        at=evidence.at,
        over=evidence.over,
        reason=evidence.reason,
        link=verdict.link,
        sentence=verdict.sentence,
        advice=verdict.advice,
        offered=list(tried.offered),
        heard_from=list(tried.heard_from),
        answered_at=list(tried.answered_at),
        pairs=[str(pair) for pair in evidence.page.pairs] if evidence.page is not None else [],
        facts=list(facts(evidence)),
    )


def _answer(text: str) -> web.Response:
    return web.json_response(text=text, headers={"Cache-Control": "no-store"})
