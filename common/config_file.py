"""From file, variables and options to a ``Config``, and from a mistake to one sentence that says where to mend it.

Precedence: option, variable, file, default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from common.cameras import redact
from common.config import (
    CAMERA_VARIABLE,
    DEMO_VARIABLE,
    AuthConfig,
    CameraConfig,
    Config,
    GroupConfig,
    Leaf,
    Origin,
    StreamConfig,
    StreamsConfig,
    TlsConfig,
    TokenConfig,
    leaves,
)
from common.errors import ConfigError
from common.variables import is_service_link

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_NAMED_URL = re.compile(r"([^=:/@?]*)=([\"'<]?\w+:.*)")
_MAX_DEPTH = 5  # cameras.NAME.streams.sub.url: below that a file can only be wrong, and an alias may recurse
_Path = tuple[str | int, ...]


def parse_camera(document: Mapping[str, Any]) -> CameraConfig:
    """One camera as the REST API is given it. Raises ``ConfigError`` with the key and what is allowed there."""
    try:
        return CameraConfig.model_validate(document)
    except ValidationError as exc:
        error = _telling(exc)
        raise ConfigError(_problem(error, ("cameras", "", *error["loc"])), key=_dotted(error["loc"])) from None


def check_token(name: str, document: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` unless this could stand below ``auth.tokens``."""
    try:
        AuthConfig.model_validate({"tokens": {name: document}})
    except ValidationError as exc:
        error = _telling(exc)
        at = tuple(part for part in error["loc"] if part != "[key]")
        raise ConfigError(_problem(error, ("auth", *at)), key=_dotted(("auth", *at))) from None


def load(
    path: Path | None, overrides: Mapping[Leaf, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """Read the file (if any), lay variables and then ``overrides`` (the options) over it, and validate.

    An empty variable counts as one that is not set, and so does one that Kubernetes made for a service.
    ``CAMSHAFT_CAMERA`` adds cameras, see ``cameras_of``. Raises ``ConfigError`` with the line, variable or option to
    mend, the key, and what is allowed there.
    """
    document = _Document()
    if path is not None:
        document.read(path)
    for leaf in leaves():
        text = environ.get(leaf.variable, "")
        if text and not is_service_link(leaf.variable, text):
            document.put((leaf.section, leaf.key), text, Origin(leaf.variable))
    simulated = Origin("camshaft serve, which simulates it", simulated=True)
    for variable, origin in ((CAMERA_VARIABLE, Origin(CAMERA_VARIABLE)), (DEMO_VARIABLE, simulated)):
        for name, url in cameras_of(environ.get(variable, "")):
            document.put(("cameras", name, "url"), url, origin)
    for leaf, value in (overrides or {}).items():
        document.put((leaf.section, leaf.key), value, Origin(leaf.option))
    return document.validate()


def cameras_of(value: str) -> Iterator[tuple[str, str]]:
    """Name and URL of each ``[NAME=]URL`` in ``CAMSHAFT_CAMERA``; several are separated by spaces.

    Cameras without a name are called ``camera``, ``camera-2``, ``camera-3``.
    """
    unnamed = 0
    for word in value.split():
        if match := _NAMED_URL.fullmatch(word):
            yield match[1], match[2]
        else:
            unnamed += 1
            yield "camera" if unnamed == 1 else f"camera-{unnamed}", word


class _Document:
    """A configuration being put together, and for each of its keys where it came from."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._origins: dict[_Path, Origin] = {}
        self._file = ""

    def read(self, path: Path) -> None:
        """Take over a YAML file. Raises ``ConfigError``."""
        self._file = str(path)
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise ConfigError(f"cannot be read: {exc.strerror}", where=self._file) from None
        except UnicodeDecodeError:
            raise ConfigError("is not UTF-8 text", where=self._file) from None
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            self._map(node, ())
            loaded = loader.construct_document(node) if node is not None else None
        except RecursionError:
            raise ConfigError("not valid YAML: nested too deeply", where=self._file) from None
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            where = self._line(mark) if mark else self._file
            raise ConfigError(f"not valid YAML: {exc.problem}", where=where) from None
        except yaml.YAMLError:
            raise ConfigError("not valid YAML", where=self._file) from None
        except ValueError:  # of its constructors, such as for 2001-99-99, and of Python for 5,000 digits
            raise ConfigError("a number or a date in it cannot be read; put it in quotes", where=self._file) from None
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(f"must hold keys and values; allowed: {_names(Config)}", where=self._file)
        self._root = loaded or {}

    def _map(self, node: yaml.Node | None, at: _Path) -> None:
        if node is None or len(at) > _MAX_DEPTH:
            return
        self._origins.setdefault(at, Origin(self._line(node.start_mark)))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._map(item, (*at, index))
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                where = self._line(key.start_mark)
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError("a key must be plain text", where=where, key=_dotted(at))
                below = (*at, key.value)
                if key.tag != _MERGE:
                    key.tag = _TEXT  # a camera may be called 1, no or on, which YAML takes for other things
                if below in self._origins:
                    raise ConfigError("is given twice", where=where, key=_dotted(below))
                self._origins[below] = Origin(where)
                self._map(value, below)

    def put(self, at: tuple[str, ...], value: object, origin: Origin) -> None:
        """Set one value over whatever the file says. Raises ``ConfigError`` where a section is none."""
        section = self._root
        for depth, key in enumerate(at[:-1], 1):
            below = section.setdefault(key, {})
            if below is None:
                below = section[key] = {}
            if not isinstance(below, dict):
                raise ConfigError(
                    "must hold keys and values", where=self._origin(at[:depth]).where, key=_dotted(at[:depth])
                )
            section = below
        section[at[-1]] = value
        self._origins = {path: before for path, before in self._origins.items() if path[: len(at)] != at}
        self._origins[at] = origin

    def validate(self) -> Config:
        """The model. Raises ``ConfigError`` for the first mistake."""
        # An empty section ("http:" alone) is the section's defaults, as a person reads it.
        document = {key: value for key, value in self._root.items() if value is not None}
        try:
            context = {"origin_of": lambda camera: self._origin(("cameras", camera, "url"))}
            return Config.model_validate(document, context=context)
        except ValidationError as exc:
            error = _telling(exc)
            at = tuple(part for part in error["loc"] if part != "[key]")
            raise ConfigError(_problem(error, at), where=self._origin(at).where, key=_dotted(at)) from None

    def _origin(self, at: _Path) -> Origin:
        while at and at not in self._origins:
            at = at[:-1]
        return self._origins.get(at, Origin(self._file))

    def _line(self, mark: yaml.Mark) -> str:
        return f"{self._file}, line {mark.line + 1}"


def _telling(exc: ValidationError) -> ErrorDetails:
    """The mistake to show: where a key is misspelt, that also says why another one is missing."""
    errors = exc.errors(include_url=False, include_input=False)
    return next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])


def _dotted(at: _Path) -> str:
    """The keys, as a person wrote them: somebody may have put a URL, or a book, where the name belongs."""
    return redact(".".join(map(str, at))[:MAX_KEY])


MAX_KEY = 200  # characters of a key in an error


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _model_at(at: _Path) -> type[BaseModel] | None:
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


def _model_at_camera(at: _Path) -> type[BaseModel] | None:
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


def _problem(error: ErrorDetails, at: _Path) -> str:
    """A sentence that says what is wrong, and what is allowed."""
    kind = error["type"]
    if kind == "extra_forbidden":
        model = _model_at(at[:-1])
        return f"unknown key; allowed here: {_names(model)}" if model else "unknown key"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        model = _model_at(at)
        return f"must hold keys and values{f'; allowed: {_names(model)}' if model else ''}"
    model = _model_at(at[:-1])
    field = model.model_fields.get(str(at[-1])) if model else None
    hint = f" ({field.description})" if field and kind != "value_error" else ""
    return _sentence(error) + hint


def _sentence(error: ErrorDetails) -> str:
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


_OTHERWISE = "is not what may stand here"
_QUOTED = re.compile("'([^']*)'")
_KINDS = {"missing": "is missing", "none_required": "must be left out", "invalid_key": "must be text"} | {
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
