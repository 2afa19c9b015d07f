"""The ``Forwarded`` header (RFC 7239), in which each proxy says how a request came to it; no I/O.

Where one line of it breaks the grammar, that line and all before it say nothing: a client that leaves a quote open
could otherwise have what a proxy adds behind it read as a part of its own value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

MAX_LINE = 4_096  # characters; sixteen proxies need 2,000
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105 - RFC 7230 3.2.6
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# RFC 7239 4; values are taken without quotes too where colons and brackets would need them, as some proxies write them.
_PAIR = re.compile(rf"[ \t]*+(?:({_TOKEN})=({_QUOTED}|[^\s\",;]++))?[ \t]*+(?:([;,])|\Z)")
_ESCAPED = re.compile(r"\\(.)")

Element = Mapping[str, str]
"""One proxy's words, by their names in lower case: ``for``, ``by``, ``host``, ``proto``."""


def read(lines: Sequence[str]) -> tuple[Element, ...]:
    """The elements of all lines of a request, the nearest proxy's last."""
    found: list[Element] = []
    for line in reversed(lines):
        elements = _line(line) if len(line) <= MAX_LINE else None
        if elements is None:
            break
        found[:0] = elements
    return tuple(found)


def _line(text: str) -> list[Element] | None:
    """The elements of one line, ``None`` if it breaks the grammar."""
    elements: list[Element] = []
    element: dict[str, str] = {}
    place, separator = 0, ";"
    while separator:
        if not (match := _PAIR.match(text, place)):
            return None
        name, value, separator = match[1], match[2], match[3]
        place = match.end()
        if name:
            if name.lower() in element:
                return None  # RFC 7239 4: each at most once
            element[name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if value[0] == '"' else value
        if separator != ";" and element:
            elements.append(element)
            element = {}
    return elements
