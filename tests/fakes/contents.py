"""How much the objects of this process hold: each dict, list, set or deque that stands in an attribute of one of ours.

For tests that no container grows with what strangers send: ``grown(contents(), contents())``. What is inside of the
containers is counted as well, and so are the objects themselves, wherever else they are held.
"""

from __future__ import annotations

import gc
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.sources import PRODUCT

_CONTAINERS = (dict, list, set, frozenset, deque, bytearray)
_DEPTH = 4  # containers inside of each other


def contents() -> Counter[str]:
    """The elements in all containers, by ``Class.attribute``, and the objects of each class, by ``Class``."""
    gc.collect()
    found: Counter[str] = Counter()
    for each in gc.get_objects():
        kind = type(each)
        if kind.__module__.partition(".")[0] in PRODUCT:
            found[kind.__qualname__] += 1
            for name, value in _attributes(each):
                found[f"{kind.__qualname__}.{name}"] += _size(value, _DEPTH)
    return found


def grown(before: Mapping[str, int], now: Mapping[str, int], least: int) -> dict[str, int]:
    """The names of which there are ``least`` more than before, and how much more."""
    return {name: more for name, size in now.items() if (more := size - before.get(name, 0)) >= least}


def _attributes(each: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(each, "__dict__", {}).items()
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if (value := getattr(each, name, None)) is not None:
                yield name, value


def _size(value: object, depth: int) -> int:
    if not isinstance(value, _CONTAINERS):
        return 0
    size = len(value)
    if depth and not isinstance(value, bytearray):
        inner = value.values() if isinstance(value, dict) else tuple(value)
        size += sum(_size(each, depth - 1) for each in tuple(inner))
    return size
