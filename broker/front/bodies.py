"""Reading a request's body: in bounded time and space, as text. aiohttp refuses what is over ``MAX_BODY``.

No body is decompressed: offers are small, and what a stranger compresses has no size before it is unpacked.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import hdrs, web

from broker.front.problems import MAX_BODY
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


def parse_json(text: str) -> Any:
    """JSON as RFC 8259 has it. Raises ``ValueError`` with what is wrong, as the rest of a sentence.

    What Python's parser adds or lets pass is refused: NaN and Infinity, a key that an object has twice, nesting without
    end, and whole numbers of thousands of digits.
    """
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as exc:
        raise ValueError(f"is not JSON (line {exc.lineno}, column {exc.colno})") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except _RefusedError:
        raise
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise ValueError("holds a number that is too long") from None


class _RefusedError(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # adds
        raise _RefusedError(f"has the key {json.dumps(twice[:40])} twice")
    return found


def _no_constant(name: str) -> None:
    raise _RefusedError(f"holds {name}, which is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
