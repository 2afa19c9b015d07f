"""``/metrics`` in Prometheus's text format.

Made anew for a scrape, in slices: with a thousand cameras it takes a tenth of a second, and in that time pages are
answered and workers heard. However many ask, no more than ``lists.SHARE`` of the time goes into it.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest

from broker.front.api import LOAD
from broker.front.context import CONTEXT, Context
from broker.front.health import reasons_not_ready
from broker.front.hub import HUB
from broker.front.lists import LONG, SHARE
from broker.metrics.collect import Own, collect
from common import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # what Prometheus takes of every version
SLICE = 0.004  # seconds of CPU after which others have their turn …
PIECE = 200  # … and samples that are written at once: 1 to 2 ms

Families = Iterable[Metric | None]


class _Piece:
    """Some samples of one family, as prometheus_client wants to collect them."""

    def __init__(self, metric: Metric, first: int) -> None:
        self._metric = Metric(metric.name, metric.documentation, metric.type)
        self._metric.samples = metric.samples[first : first + PIECE]

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _text(metric: Metric) -> Iterator[bytes]:
    """A family in pieces. Help and type, two lines, stand before the first of them alone."""
    for first in range(0, len(metric.samples), PIECE):
        text = generate_latest(_Piece(metric, first))
        yield text.split(b"\n", 2)[2] if first else text


def _texts(families: Families) -> Iterator[bytes]:
    """All of it in pieces, empty ones among them: others may have their turn after each."""
    for metric in families:
        if metric is None:
            yield b""
        else:
            yield from _text(metric)


class Scrape:
    """The text for whoever asks. ``clock`` gives monotonic seconds, ``cpu`` those that this thread has worked."""

    def __init__(self, clock: Callable[[], float], cpu: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._cpu = cpu
        self._text = b""
        self._until = float("-inf")
        self._making = asyncio.Lock()

    async def read(self, families: Callable[[], Families]) -> bytes:
        """The text of what ``families`` gives, perhaps as it was a moment ago: if that took long."""
        async with self._making:
            if self._clock() >= self._until:
                self._text, took = await self._write(families())
                self._until = self._clock() + took / SHARE if took >= LONG else float("-inf")
            return self._text

    async def _write(self, families: Families) -> tuple[bytes, float]:
        """The text, and the seconds of work that it took."""
        texts: list[bytes] = []
        took, began = 0.0, self._cpu()
        for text in _texts(families):
            texts.append(text)
            if (worked := self._cpu() - began) >= SLICE:
                took += worked
                await asyncio.sleep(0)
                began = self._cpu()
        return b"".join(texts), took + self._cpu() - began


SCRAPE = web.AppKey("scrape", Scrape)


def prepare(app: web.Application) -> None:
    """Give the application its scrape."""
    app[SCRAPE] = Scrape(app[CONTEXT].clock)


async def metrics(request: web.Request) -> web.Response:
    """All figures of the cluster."""
    app = request.app
    body = await app[SCRAPE].read(lambda: _families(app))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def _families(app: web.Application) -> Families:
    context = app[CONTEXT]
    return collect(_own(app, context), context.control.director, context.control.catalogue.specs, context.clock())


def _own(app: web.Application, context: Context) -> Own:
    quotas, relayed = context.quotas, context.relay.statistics
    return Own(
        version=__version__,
        host=socket.gethostname(),
        load=app[LOAD].read(),
        reasons={reason: bool(sentence) for reason, sentence in reasons_not_ready(context, named=False).items()},
        connections=quotas.connections.total,
        sockets=quotas.sockets.total,
        socket_queues=app[HUB].backlog.bytes,
        unanswered=quotas.offers.total,
        offers=context.offers,
        answer=context.answers.measured,
        relay={
            "in": (relayed.frames_in, relayed.bytes_in),
            "out": (relayed.frames_out, relayed.bytes_out),
        },
        reserve=quotas.limits.free_memory << 20,
        tasks=len(asyncio.all_tasks()),
        counters=context.counted,
        certificate=context.certificate.expires if context.certificate is not None else None,
    )
