"""Reading a request's body: in bounded time and space, as text. aiohttp refuses what is over ``MAX_BODY``."""

from __future__ import annotations

import asyncio

from aiohttp import web

from common.errors import ViewerError

BODY_TIMEOUT = 10.0  # seconds for a body of at most 64 kB


async def read_text(request: web.Request) -> str:
    """The body as UTF-8 text. Raises ``ViewerError``."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return (await request.read()).decode()
    except UnicodeDecodeError:
        raise ViewerError(400, "malformed_text", "The body is not UTF-8 text.") from None
    except TimeoutError:
        raise ViewerError(408, "too_slow", f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None
