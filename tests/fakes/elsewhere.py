"""An empty page of another origin than any server's, which has the page's scripts as a package would have them, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

WEB = Path(__file__).parents[2] / "broker/web"


@asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """Serve it; yields its address. The scripts are below ``/vendor``."""

    async def empty(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Elsewhere</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", empty)
    app.router.add_static("/vendor", WEB)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()
