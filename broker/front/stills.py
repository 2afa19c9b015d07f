"""Stills: one picture of a camera as a JPEG file, drawn once a second however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate

from aiohttp import hdrs, web

from broker.answers import Picture
from broker.catalogue import Entry
from broker.control_plane import ControlPlane
from broker.director.events import Wish
from broker.front.context import CONTEXT
from broker.front.offers import check_memory, parse_wish
from broker.front.peer import address_of
from common.cameras import CameraName
from common.errors import RequestError

FRESH = 1.0  # seconds for which one is given to everybody who asks for the same
MAX_TIME = 32_503_680_000.0  # the year 3000: a worker's clock may say anything
MOST = 64  # different ones in that time, and at once: each takes some 20 ms of a core, and 200 kB

_Key = tuple[CameraName, tuple[int, ...], Wish]  # and the revisions of its streams: a name may become another camera's


class Stills:
    """The stills of the last second, and those that are being drawn. ``clock`` gives monotonic seconds."""

    def __init__(self, control: ControlPlane, clock: Callable[[], float]) -> None:
        self._control = control
        self._clock = clock
        self._drawn: dict[_Key, tuple[float, asyncio.Task[Picture]]] = {}  # and until when each is fresh

    async def get(self, entry: Entry, wish: Wish) -> Picture:
        """A still of a camera that is at most a second old. Raises ``RequestError``."""
        now, key = self._clock(), (entry.id, tuple(spec.revision for spec in entry.specs.values()), wish)
        for old in [old for old, (until, task) in self._drawn.items() if until <= now and task.done()]:
            del self._drawn[old]
        known = self._drawn.get(key)
        if known is None:
            if len(self._drawn) >= MOST:
                raise RequestError(503, "too_many_stills", f"{MOST} different stills were requested within a second.")
            task = asyncio.create_task(self._control.still(entry.id, wish))
            known = self._drawn[key] = now + FRESH, task
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(known[1])  # others may wait for it, too

    def _done(self, key: _Key, task: asyncio.Task[Picture]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._drawn.get(key, (0.0, None))[1] is not task:
            return
        if failed:
            del self._drawn[key]  # whoever asks next may be luckier
        else:
            self._drawn[key] = self._clock() + FRESH, task


STILLS = web.AppKey("stills", Stills)


def prepare(app: web.Application) -> None:
    """Give the application its stills."""
    context = app[CONTEXT]
    app[STILLS] = Stills(context.control, context.clock)


async def snapshot(request: web.Request) -> web.Response:
    """A camera's newest keyframe as a JPEG file. Raises ``RequestError``."""
    context = request.app[CONTEXT]
    camera = CameraName(request.match_info["id"])
    wish = parse_wish(request.query.get("stream"), request.query.get("height"))
    entry = context.control.catalogue.get(camera)
    if entry is None:
        raise RequestError(404, "unknown_camera", f"There is no camera {camera!r}.")
    address = address_of(request)
    try:
        check_memory(context)
        context.quotas.check_still(context.quotas.address(address), context.clock())
    except RequestError as exc:
        context.counters[exc.code] += 1
        context.quiet.warning("still refused", reason=exc.message, camera=camera, address=address)
        raise
    picture = await request.app[STILLS].get(entry, wish)
    headers = {
        hdrs.CACHE_CONTROL: f"private, max-age={FRESH:.0f}",
        hdrs.LAST_MODIFIED: formatdate(min(max(picture.captured, 0.0), MAX_TIME), usegmt=True),
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    return web.Response(body=picture.jpeg, content_type="image/jpeg", headers=headers)
