"""An address in another program's file, and in ours: each has its own way to name variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from common.config_file import parse_camera
from common.errors import ConfigError
from common.substitution import substituted

_GO = re.compile(r"\$\{(?P<name>[A-Za-z_]\w{0,99})(?::(?P<default>[^{}]{0,200}))?\}", re.ASCII)
"""go2rtc: ``${NAME}``, ``${NAME:default}``."""

_FRIGATE = re.compile(r"\{(?P<name>FRIGATE_\w{1,99})(?P<default>(?!))?\}", re.ASCII)
"""Frigate: ``{FRIGATE_NAME}``."""

_NO_DEFAULT = re.compile(r"[{}]")  # in ours none of these may stand
_UNSET = re.compile(r"(?<!\$)(?:\$\$)*\$\{(\w+)\}", re.ASCII)

_SUB = re.compile(
    r"subtype=[1-9]|(?<![a-z])sub(?:stream)?(?![a-z])|/channels/\d{1,3}0[2-9]|/stream2(?!\d)|/ch\d{1,2}_1\b",
    re.IGNORECASE,
)
"""Addresses of makers in which a sub-stream is called that: Dahua, Reolink and others, Hikvision, Tapo, Yi."""


@dataclass(frozen=True, slots=True)
class Address:
    """``text`` is the address as a value of our file: variables as ``${NAME}``, dollar signs doubled."""

    text: str = field(repr=False)

    @classmethod
    def of(cls, foreign: str, known: Mapping[str, str] = MappingProxyType({})) -> Address:
        """The address that stands in a file of go2rtc or Frigate; ``known`` are variables that the file sets itself."""
        return cls("".join(_written(foreign, known)))

    @property
    def problem(self) -> str:
        """Why it can be no camera's; empty if it can."""
        try:
            parse_camera({"url": self.example})
        except ConfigError as exc:
            return exc.problem
        return ""

    @property
    def example(self) -> str:
        """The address with something in place of each variable: what can be said of its form holds for all."""
        return substituted(self.text, _Anything())

    @property
    def wants(self) -> Iterator[str]:
        """Variables that have to be set for it."""
        return (match[1] for match in _UNSET.finditer(self.text))

    @property
    def scheme(self) -> str:
        """The scheme that it begins with, in lower case."""
        return self.text.partition(":")[0].lower()

    @property
    def is_sub(self) -> bool:
        """Whether it says of itself that it is a sub-stream's."""
        return bool(_SUB.search(self.example))


class _Anything(dict[str, str]):
    def get(self, key: str, default: object = None) -> str:
        return "x"


def _written(foreign: str, known: Mapping[str, str]) -> Iterator[str]:
    done = 0
    places = sorted([*_GO.finditer(foreign), *_FRIGATE.finditer(foreign)], key=lambda place: place.start())
    for place in places:
        if place.start() < done:  # ${FRIGATE_X} is both
            continue
        yield foreign[done : place.start()].replace("$", "$$")
        default = known.get(place["name"], place["default"])
        if default is None or _NO_DEFAULT.search(default):
            yield f"${{{place['name']}}}"
        else:
            yield f"${{{place['name']}:-{default.replace('$', '$$')}}}"
        done = place.end()
    yield foreign[done:].replace("$", "$$")
