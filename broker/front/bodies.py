"""Reading a request's body: in bounded time and space, as text. Beyond ``limits.body_bytes`` none of it is kept.

No body is decompressed: offers are small, and what a stranger compresses has no size before it is unpacked.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import hdrs, web

from broker.front.context import CONTEXT
from broker.front.strict_json import parse_json
from common.errors import RequestError

JSON_TYPES = ("application/json", "application/merge-patch+json")
BODY_TIMEOUT = 10.0  # seconds for a body, of which the largest has 64 kB unless somebody wants it otherwise


async def read_text(request: web.Request, most: int | None = None) -> str:
    """The body as UTF-8 text, of ``most`` bytes where its kind has never more. Raises ``RequestError``."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise RequestError(415, "content_encoded", "The body must not be compressed: send it without Content-Encoding.")
    limit = request.app[CONTEXT].quotas.limits.body_bytes
    too_large = f"The body is larger than {limit} bytes (limits.body_bytes)."
    if most is not None and most <= limit:
        limit, too_large = most, f"The body is larger than {most >> 10} kB, the most for its kind."
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            body = await _read(request, limit)
        if len(body) > limit:
            raise RequestError(413, "too_large", too_large)
        return body.decode()
    except UnicodeDecodeError:
        raise RequestError(400, "malformed_text", "The body is not UTF-8 text.") from None
    except TimeoutError:
        raise RequestError(408, "too_slow", f"The body did not arrive within {BODY_TIMEOUT:.0f} s.") from None


async def _read(request: web.Request, limit: int) -> bytes:
    """All of the body, or a part of it that is larger than the limit."""
    body = bytearray()
    while len(body) <= limit and (piece := await request.content.readany()):
        body += piece
    return bytes(body)


async def read_json(request: web.Request, most: int | None = None) -> dict[str, Any]:
    """The body as a JSON object, of ``most`` bytes where its kind has never more. Raises ``RequestError``."""
    if request.content_type not in JSON_TYPES:
        raise RequestError(415, "wrong_content_type", f"The Content-Type must be {JSON_TYPES[0]}.")
    try:
        document = parse_json(await read_text(request, most))
    except ValueError as exc:
        raise RequestError(400, "not_json", f"The body {exc}.") from None
    if not isinstance(document, dict):
        raise RequestError(400, "not_an_object", "The body must be a JSON object.")
    return document
