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
from pydantic import ValidationError

from common.config import CAMERA_VARIABLE, DEMO_VARIABLE, AuthConfig, CameraConfig, Config, Leaf, Origin, leaves
from common.config_problem import Keys, dotted, names, problem, telling
from common.errors import ConfigError
from common.variables import is_service_link

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
_NAMED_URL = re.compile(r"([^=:/@?]*)=([\"'<]?\w+:.*)")
_MAX_DEPTH = 5  # cameras.NAME.streams.sub.url: below that a file can only be wrong, and an alias may recurse


def parse_camera(document: Mapping[str, Any]) -> CameraConfig:
    """One camera as the REST API is given it. Raises ``ConfigError`` with the key and what is allowed there."""
    try:
        return CameraConfig.model_validate(document)
    except ValidationError as exc:
        error = telling(exc)[0]
        raise ConfigError(problem(error, ("cameras", "", *error["loc"])), key=dotted(error["loc"])) from None


def check_token(name: str, document: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` unless this could stand below ``auth.tokens``."""
    try:
        AuthConfig.model_validate({"tokens": {name: document}})
    except ValidationError as exc:
        error = telling(exc)[0]
        at = tuple(part for part in error["loc"] if part != "[key]")
        raise ConfigError(problem(error, ("auth", *at)), key=dotted(("auth", *at))) from None


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
        self._origins: dict[Keys, Origin] = {}
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
            raise ConfigError(f"must hold keys and values; allowed: {names(Config)}", where=self._file)
        self._root = loaded or {}

    def _map(self, node: yaml.Node | None, at: Keys) -> None:
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
                    raise ConfigError("a key must be plain text", where=where, key=dotted(at))
                below = (*at, key.value)
                if key.tag != _MERGE:
                    key.tag = _TEXT  # a camera may be called 1, no or on, which YAML takes for other things
                if below in self._origins:
                    raise ConfigError("is given twice", where=where, key=dotted(below))
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
                    "must hold keys and values", where=self._origin(at[:depth]).where, key=dotted(at[:depth])
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
            error = telling(exc)[0]
            at = tuple(part for part in error["loc"] if part != "[key]")
            raise ConfigError(problem(error, at), where=self._origin(at).where, key=dotted(at)) from None

    def _origin(self, at: Keys) -> Origin:
        while at and at not in self._origins:
            at = at[:-1]
        return self._origins.get(at, Origin(self._file))

    def _line(self, mark: yaml.Mark) -> str:
        return f"{self._file}, line {mark.line + 1}"
