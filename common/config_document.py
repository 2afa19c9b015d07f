"""A configuration being put together: the YAML file with its lines, and what variables and options lay over it.

For each key it knows where the value came from, so that a mistake is answered with the place to mend it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from common.config import Config, Origin
from common.config_cameras import Refused
from common.config_problem import Keys, dotted, names, problem, telling
from common.errors import ConfigError, unreadable
from common.settings import WORDS
from common.substitution import substituted
from common.yaml_loader import Loader

_MERGE, _TEXT = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:str"
# What the parser says, by a part of it, in words for people who write such a file by hand.
_WORDS = (
    ("character '\\t'", "indent lines with spaces, never with a tab"),
    ("cannot start any token", "put text that begins with this character in quotes"),
    ("determine a constructor", "tags such as !secret are not supported; ${NAME} inserts the value of a variable"),
    (
        "mapping values are not allowed",
        "put text that contains a colon and a space in quotes; otherwise check the indentation",
    ),
    ("expected <block end>", "it does not fit what comes before it: check the indentation and the quotes"),
    ("expected '<document start>'", "each line needs a key, a colon and a value"),
    ("could not find expected ':'", "each line needs a key, a colon and a value"),
    ("unexpected end of stream", "a quote or a bracket is not closed"),
    ("expected ',' or", "a bracket is not closed, or a comma is missing"),
)
_MAX_DEPTH = 5  # cameras.NAME.streams.sub.url: below that a file can only be wrong, and an alias may recurse


class Document:
    """Empty at first; ``read`` a file, ``put`` values over it, and ``validate`` it."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._origins: dict[Keys, Origin] = {}
        self.text = ""  # of the file
        self._file = ""
        self._wrong: list[ConfigError] = []  # values that name variables which are not there

    def read(self, path: Path, environ: Mapping[str, str]) -> None:
        """Take over a YAML file, with variables of ``environ`` where its values name some. Raises ``ConfigError``."""
        try:
            text = path.read_text("utf-8")
        except OSError as exc:
            raise ConfigError(unreadable(exc), where=str(path)) from None
        except UnicodeDecodeError:
            raise ConfigError("is not UTF-8 text; save it as UTF-8", where=str(path)) from None
        self.take(text, str(path), environ)

    def take(self, text: str, name: str, environ: Mapping[str, str]) -> None:
        """Read ``text`` as that of the file ``name``, in place of what is there. Raises ``ConfigError``."""
        self.text, self._file = text, name
        try:
            loader = Loader(text)
            node = loader.get_single_node()
            self._map(node, ())
            self._substitute(node, (), environ, set())
            loaded = loader.construct_document(node) if node is not None else None
        except RecursionError:
            raise ConfigError("not valid YAML: nested too deeply", where=self._file) from None
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            where = self._line(mark) if mark else self._file
            raise ConfigError(f"not valid YAML: {in_words(exc.problem or '')}", where=where) from None
        except yaml.YAMLError:
            raise ConfigError("not valid YAML", where=self._file) from None
        except ValueError:  # of its constructors, such as for 2001-99-99, and of Python for 5,000 digits
            raise ConfigError("a number or a date in it cannot be read; put it in quotes", where=self._file) from None
        if loaded is not None and not isinstance(loaded, dict):
            raise ConfigError(f"must consist of keys and values; allowed: {names(Config)}", where=self._file)
        self._root = loaded or {}

    def put(self, at: tuple[str, ...], value: object, origin: Origin) -> None:
        """Set one value over whatever the file says. Raises ``ConfigError`` where a section is none."""
        section = self._root
        for depth, key in enumerate(at[:-1], 1):
            below = section.setdefault(key, {})
            if below is None:
                below = section[key] = {}
            elif isinstance(below, str) and at[:depth] == (key,) and key in WORDS:
                below = section[key] = {WORDS[key]: below}
            if not isinstance(below, dict):
                raise ConfigError(
                    "must consist of keys and values", where=self.origin(at[:depth]).where, key=dotted(at[:depth])
                )
            section = below
        section[at[-1]] = value
        self._origins = {path: before for path, before in self._origins.items() if path[: len(at)] != at}
        self._origins[at] = origin

    def has_camera(self, name: str) -> bool:
        """Whether anything was said of a camera."""
        cameras = self._root.get("cameras")
        return isinstance(cameras, dict) and name in cameras

    def validate(self) -> Config:
        """The model. Raises ``ConfigError`` for the most telling mistake."""
        found = self._validated()
        if self._wrong:
            raise self._wrong[0]
        if isinstance(found, Config):
            return found
        raise found[0]

    def mistakes(self) -> list[ConfigError]:
        """Every mistake, the most telling one first."""
        found = self._validated()
        told = {mistake.key for mistake in self._wrong}
        more = [] if isinstance(found, Config) else [mistake for mistake in found if mistake.key not in told]
        return self._wrong + more

    def origin(self, at: Keys) -> Origin:
        """Where a value was set, or the section that it would stand in."""
        while at and at not in self._origins:
            at = at[:-1]
        return self._origins.get(at, Origin(self._file))

    def _validated(self) -> Config | list[ConfigError]:
        # An empty section ("http:" alone) is the section's defaults, as a person reads it.
        document = {key: value for key, value in self._root.items() if value is not None}
        try:
            context = {"origin_of": lambda camera: self.origin(("cameras", camera, "url"))}
            config = Config.model_validate(document, context=context)
        except ValidationError as exc:
            found = []
            for error in telling(exc):
                at = tuple(part for part in error["loc"] if part != "[key]")
                found.append(ConfigError(problem(error, at), where=self.origin(at).where, key=dotted(at)))
            return found
        refused = {id: camera.refused(config.sources.allow) for id, camera in config.cameras.items()}
        return [self._not_allowed(id, why) for id, why in refused.items() if why is not None] or config

    def _not_allowed(self, camera: str, why: Refused) -> ConfigError:
        at = ("cameras", camera, *why.key)
        return ConfigError(why.problem, where=self.origin(at).where, key=dotted(at))

    def _map(self, node: yaml.Node | None, at: Keys) -> None:
        """Write down where each key of the file stands."""
        if node is None or len(at) > _MAX_DEPTH:
            return
        self._origins.setdefault(at, Origin(self._line(node.start_mark), watched=True))
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
                self._origins[below] = Origin(where, watched=True)
                self._map(value, below)

    def _substitute(self, node: yaml.Node | None, at: Keys, environ: Mapping[str, str], done: set[int]) -> None:
        """Put the values of variables into all text below ``node`` but its keys. An alias is the node that it names."""
        if node is None or id(node) in done:
            return
        done.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._substitute(item, (*at, index), environ, done)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                self._substitute(value, (*at, str(key.value)), environ, done)
        elif node.tag == _TEXT:
            try:
                node.value = substituted(node.value, environ)
            except ValueError as exc:
                self._wrong.append(ConfigError(str(exc), where=self._line(node.start_mark), key=dotted(at)))

    def _line(self, mark: yaml.Mark) -> str:
        return f"{self._file}, line {mark.line + 1}"


def in_words(problem: str) -> str:
    """The parser's finding in words for people who write such a file by hand."""
    return next((words for part, words in _WORDS if part in problem), problem)
