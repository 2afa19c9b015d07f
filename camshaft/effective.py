"""Each setting as it is in effect, and where it was made; no I/O. Secrets are hidden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from common.cameras import redact
from common.config import Config
from common.config_document import Document

DEFAULT = "default"
HIDDEN = "***"
_ADDRESSES = {"url", "ice_servers"}  # secrets of which only a part is one


@dataclass(frozen=True, slots=True)
class Effective:
    """One setting. ``origin`` is a line of a file, a variable, an option or DEFAULT."""

    key: str
    value: Any  # as JSON has it
    origin: str

    @property
    def text(self) -> str:
        """The value, for a person."""
        if isinstance(self.value, bool):
            return str(self.value).lower()
        if isinstance(self.value, list):
            return ", ".join(map(str, self.value)) or "-"
        return "-" if self.value in (None, "") else str(self.value)


def effective(document: Document, config: Config) -> Iterator[Effective]:
    """Every setting; of what has a name, as cameras, those that were made. ``config`` is what ``document`` gave."""
    for section in Config.model_fields:
        below: object = getattr(config, section)
        if isinstance(below, BaseModel):
            yield from _of_section(document, (section,), below, everything=True)
        elif isinstance(below, Mapping):
            yield from _of_named(document, (section,), below)


def _of_section(
    document: Document, at: tuple[str, ...], section: BaseModel, *, everything: bool
) -> Iterator[Effective]:
    for key, field in type(section).model_fields.items():
        value, here = getattr(section, key), (*at, key)
        is_set = key in section.model_fields_set
        if isinstance(value, BaseModel):
            yield from _of_section(document, here, value, everything=everything)
        elif isinstance(value, Mapping):
            yield from _of_named(document, here, value)
        elif is_set or everything:
            plain = section.model_dump(mode="json", include={key})[key]
            shown = plain if field.repr else _hidden(key, plain)
            yield Effective(".".join(here), shown, document.origin(here).where if is_set else DEFAULT)


def _of_named(document: Document, at: tuple[str, ...], named: Mapping[str, Any]) -> Iterator[Effective]:
    for name, section in named.items():
        yield from _of_section(document, (*at, name), section, everything=False)


def _hidden(key: str, value: Any) -> Any:
    """A secret as it may be shown."""
    if not value:
        return value
    if key not in _ADDRESSES:
        return HIDDEN
    return [redact(str(each)) for each in value] if isinstance(value, list) else redact(str(value))
