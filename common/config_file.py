"""From file, variables and options to a ``Config``, and from a mistake to one sentence that says where to mend it.

Precedence: option, variable, file, default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from common.camera_url import SCHEMES
from common.config import CAMERA_VARIABLE, DEMO_VARIABLE, Config, Origin
from common.config_access import AuthConfig
from common.config_cameras import CameraConfig
from common.config_document import Document
from common.config_leaves import Leaf, leaves
from common.config_problem import dotted, problem, telling
from common.errors import ConfigError
from common.secret_file import read_secret
from common.settings import in_file
from common.variables import is_service_link

# Each leaf's variable, that of a file which holds it if it is a secret, section and key. Made once, and close together:
# whoever walks through the model copies 0.5 MB of it in each fork of the nursery.
_VARIABLES = tuple(
    (variable, leaf.file_variable if leaf.is_secret else "", leaf.section, leaf.key)
    for leaf in leaves()
    for variable in leaf.variables
)
# Of a comma or semicolon in an address no other address follows, but in a query there may be anything.
_BETWEEN = re.compile(rf"[,;](?=(?:[\w.-]{{1,64}}=)?(?:{'|'.join(SCHEMES)})://)", re.IGNORECASE)
_NAMED_URL = re.compile(r"([^=:/@?]*)=([\"'<]?\w+:.*)")


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

    Raises ``ConfigError`` with the line, variable or option to mend, the key, and what is allowed there.
    """
    return put_together(path, overrides, environ).validate()


def put_together(
    path: Path | None,
    overrides: Mapping[Leaf, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    text: str | None = None,
) -> Document:
    """The file with what goes before it, to be validated. ``text`` is taken for what the file holds, if it is given.

    An empty variable counts as one that is not set, and so does one that Kubernetes made for a service.
    ``CAMSHAFT_CAMERA`` adds cameras, see ``cameras_of``. Raises ``ConfigError`` for what cannot be read at all.
    """
    document = Document()
    if path is not None and text is not None:
        document.take(text, str(path), environ)
    elif path is not None:
        document.read(path, environ)
    for variable, file, section, key in _VARIABLES:
        if variable in environ or file in environ:
            text, where = _variable(variable, environ, secret=bool(file))
            if text:
                document.put((section, key), text, Origin(where))
    text, where = _variable(CAMERA_VARIABLE, environ, secret=True)
    for name, url in cameras_of(text):
        document.put(("cameras", name, "url"), url, Origin(where, watched=where != CAMERA_VARIABLE))
    for name, url in cameras_of(environ.get(DEMO_VARIABLE, "")):
        if not document.has_camera(name):  # else the operator has since called one like the simulated one
            document.put(("cameras", name, "url"), url, Origin("camshaft serve, which simulates it", simulated=True))
    for leaf, value in (overrides or {}).items():
        document.put((leaf.section, leaf.key), value, Origin(leaf.option))
    return document


def secret_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """The files that variables name as holding a setting, or cameras."""
    variables = [in_file(CAMERA_VARIABLE), *(file for _, file, _, _ in _VARIABLES if file)]
    return (Path(environ[variable]) for variable in variables if environ.get(variable))


def cameras_of(value: str) -> Iterator[tuple[str, str]]:
    """Name and URL of each ``[NAME=]URL`` in ``CAMSHAFT_CAMERA``; several are separated by spaces, or as lists are.

    Cameras without a name are called ``camera``, ``camera-2``, ``camera-3``.
    """
    unnamed = 0
    for word in _words(_unquoted(value)):
        if match := _NAMED_URL.fullmatch(word):
            yield match[1], match[2]
        else:
            unnamed += 1
            yield "camera" if unnamed == 1 else f"camera-{unnamed}", word


def _words(value: str) -> Iterator[str]:
    for word in value.split():
        start = 0
        for found in _BETWEEN.finditer(word):
            if "?" not in word[start : found.start()]:
                yield word[start : found.start()]
                start = found.end()
        if rest := word[start:].strip(",;"):
            yield rest


def _variable(name: str, environ: Mapping[str, str], *, secret: bool) -> tuple[str, str]:
    """The value of a variable, or of the file that another one names, and which of the two it is."""
    text = environ.get(name, "") if secret else _unquoted(environ.get(name, ""))
    if is_service_link(name, text):
        text = ""
    file = environ.get(in_file(name), "") if secret else ""
    if not file:
        return text, name
    if text:
        raise ConfigError(f"{name} is given as well; remove one of the two", where=in_file(name))
    return read_secret(Path(file), in_file(name)), in_file(name)


def _unquoted(text: str) -> str:
    """The text without the quotes and line ends that ``docker run --env-file`` and compose files leave at its ends."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]
    return text[1:-1].strip() if quoted else text
