"""JSON from anybody: read as RFC 8259 has it, in bounded time, or refused with the rest of a sentence."""

from __future__ import annotations

import json
from typing import Any


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
