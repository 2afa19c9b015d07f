"""A mistake in the configuration as one sentence that says what is wrong and what is allowed; no I/O."""

from __future__ import annotations

import re
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from common.cameras import redact
from common.config import Config
from common.config_access import AuthConfig, GroupConfig, TokenConfig
from common.config_cameras import CameraConfig, StreamConfig, StreamsConfig, TlsConfig
from common.foreign_keys import foreign

Keys = tuple[str | int, ...]
"""The keys that lead to a value."""

MAX_KEY = 200  # characters of a key in an error
_SIMILAR = 0.6  # of 1, by difflib's measure: one letter of three is wrong, or two of five


def telling(exc: ValidationError) -> list[ErrorDetails]:
    """The mistakes, the most telling first: where a key is misspelt, that also says why another one is missing."""
    errors = exc.errors(include_url=False, include_input=False)
    return sorted(errors, key=lambda error: error["type"] != "extra_forbidden")


def dotted(at: Keys) -> str:
    """The keys, as a person wrote them: somebody may have put a URL, or a book, where the name belongs."""
    return redact(".".join(map(str, at))[:MAX_KEY])


def names(model: type[BaseModel]) -> str:
    """The keys of a section."""
    return ", ".join(model.model_fields)


def _model_at(at: Keys) -> type[BaseModel] | None:
    """The section that the keys of ``at`` lead to."""
    model: type[BaseModel] = Config
    for depth, key in enumerate(at):
        if model is Config and key == "cameras":
            return _model_at_camera(at[depth + 2 :]) if len(at) > depth + 1 else None
        if model is AuthConfig and key in ("tokens", "groups"):
            return (TokenConfig if key == "tokens" else GroupConfig) if len(at) > depth + 1 else None
        field = model.model_fields.get(str(key))
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return None
        model = field.annotation
    return model


def _model_at_camera(at: Keys) -> type[BaseModel] | None:
    match at:
        case ("tls", *_):
            return TlsConfig
        case ("streams",):
            return StreamsConfig
        case ("streams", _, "tls", *_):
            return TlsConfig
        case ("streams", *_):
            return StreamConfig
    return CameraConfig


def problem(error: ErrorDetails, at: Keys) -> str:
    """A sentence that says what is wrong, and what is allowed."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown(at)
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        model = _model_at(at)
        allowed = f"; allowed: {names(model)}" if model else ""
        return f"must consist of keys and values{allowed}{_example(at)}"
    model = _model_at(at[:-1])
    field = model.model_fields.get(str(at[-1])) if model else None
    hint = f" ({field.description})" if field and kind != "value_error" else ""
    return sentence(error) + hint


def _example(at: Keys) -> str:
    """How cameras are written, as the end of a sentence: many programs have a list of them, or the address alone."""
    match at:
        case ("cameras",):
            return "; put a camera below its name, such as front: {url: 'rtsp://192.0.2.7/live'}"
        case ("cameras", name):
            return f"; put an address after url, such as {dotted((name,))}: {{url: 'rtsp://192.0.2.7/live'}}"
    return ""


def _unknown(at: Keys) -> str:
    """A sentence about a key that there is not."""
    model = _model_at(at[:-1])
    if theirs := foreign(at):
        return f"unknown key: {theirs}"
    if not str(at[-1]).isprintable():
        return (
            "unknown key: it contains a special space, perhaps copied from a web page; retype the spaces in this line"
        )
    if model is None:
        return "unknown key"
    similar = get_close_matches(str(at[-1])[:MAX_KEY], model.model_fields, n=1, cutoff=_SIMILAR)
    meant = f" did you mean {similar[0]}?" if similar else ""
    return f"unknown key;{meant} allowed here: {names(model)}"


def sentence(error: ErrorDetails) -> str:
    """Pydantic's finding, in words for people who write YAML and JSON."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context.get("error", "")) or _OTHERWISE  # a sentence of ours
    if kind in ("enum", "literal_error"):
        return f"must be one of: {', '.join(_QUOTED.findall(str(context.get('expected', ''))))}"
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return word.format(f"{context[key]:g}" if isinstance(context[key], float) else context[key])
    return _KINDS.get(kind, _OTHERWISE)


_OTHERWISE = "is not allowed here"
_QUOTED = re.compile("'([^']*)'")
_KINDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "none_required": "must be left out",
    "invalid_key": "must be text",
} | {
    f"{type}_{way}": sentence
    for type, sentence in {
        "string": "must be text",
        "bool": "must be true or false",
        "int": "must be a whole number",
        "float": "must be a number",
        "finite": "must be a finite number",
        "path": "must be a path",
        "datetime": "must be a date",
        "tuple": "must be a list",
        "list": "must be a list",
    }.items()
    for way in ("type", "parsing", "parsing_size", "from_float", "unicode", "number", "from_date_parsing")
}
_LIMITS = {
    "greater_than_equal": ("must be {} or more", "ge"),
    "greater_than": ("must be more than {}", "gt"),
    "less_than_equal": ("must be {} or less", "le"),
    "less_than": ("must be less than {}", "lt"),
    "string_too_long": ("must have {} characters or fewer", "max_length"),
    "string_too_short": ("must have {} characters or more", "min_length"),
    "too_long": ("must have {} entries or fewer", "max_length"),
    "too_short": ("must have {} entries or more", "min_length"),
}
