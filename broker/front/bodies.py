"""Reading a request's body: in bounded time and space, as text. aiohttp refuses what is over ``MAX_BODY``.

No body is decompressed: offers are small, and what a stranger compresses has no size before it is unpacked.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import hdrs, web

from broker.front.problems import MAX_BODY
from broker.front.strict_json import parse_json
from common.errors import RequestError

JSON_TYPES = ("application/json", "application/merge-patch+json")
BODY_TIMEOUT = 10.0  # seconds for a body of at most 64 kB


async def read_text(request: web.Request, limit: int = MAX_BODY) -> str:
    """The body as UTF-8 text of at most ``limit`` bytes. Raises ``RequestError``."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise RequestError(415, "content_encoded", "The body must not be compressed: send it without Content-Encoding.")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await request.read()
        if len(body) > limit:
            raise RequestError(413, "too_large", f"The body is larger than {limit >> 10} kB.")
        return body.decode()
    except UnicodeDecodeError:
        raise RequestError(400, "malformed_text", "The body is not UTF-8 text.") from None
    except TimeoutError:
        raise RequestError(408, "too_slow", f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None


async def read_json(request: web.Request, limit: int = MAX_BODY) -> dict[str, Any]:
    """The body as a JSON object of at most ``limit`` bytes. Raises ``RequestError``."""
    if request.content_type not in JSON_TYPES:
        raise RequestError(415, "wrong_content_type", f"The Content-Type must be {JSON_TYPES[0]}.")
    try:
        document = parse_json(await read_text(request, limit))
    except ValueError as exc:
        raise RequestError(400, "not_json", f"The body {exc}.") from None
    if not isinstance(document, dict):
        raise RequestError(400, "not_an_object", "The body must be a JSON object.")
    return document
