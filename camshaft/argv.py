"""Keeps passwords out of the process list: what a command line shows, every user of the machine can read.

A camera's URL with its password is the natural thing to type, so it is accepted; before anything else is done, or even
imported, the process replaces itself by one that has it in a variable. For the instant until then it can be seen;
an operator who minds gives the variable, a file or standard input to begin with.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from common.cameras import redact
from common.settings import SECRETS, in_file, option_of, variable_of

CAMERA = "CAMSHAFT_CAMERA"
URL, SUB_URL = "CAMSHAFT_URL", "CAMSHAFT_SUB_URL"
API_TOKEN = "CAMSHAFT_API_TOKEN"  # noqa: S105 - the name: it is no option, for others read command lines

_SECRETS = {option_of(*setting): variable_of(*setting) for setting in SECRETS}  # whatever they hold
_SEVERAL = {CAMERA: " ", variable_of("http", "ice_servers"): ","}  # what stands between the values
_URLS = {"--camera": CAMERA, "--sub": SUB_URL, "--url": URL, "--api": "CAMSHAFT_API"}  # if they hold a password
_URL_COMMANDS = (["probe"], ["camera", "add"])  # take a camera's URL as an argument


def hide(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]] | None:
    """Arguments and environment that say the same without a password in the arguments; ``None`` if there is none.

    A URL where none belongs stays, redacted, for the command line's parser to refuse.
    """
    words = [argument for argument in arguments if not argument.startswith("-")]
    takes_url = any(words[: len(command)] == command for command in _URL_COMMANDS)
    kept: list[str] = []
    moved: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        variable = _SECRETS.get(option) or _URLS.get(option)
        if variable is None:
            if takes_url and not argument.startswith("-") and _may_hold_password(argument):
                moved[URL] = argument
            else:
                kept.append(redact(argument))
            continue
        given = value if equals else next(rest, None)
        if given is None or (option in _URLS and not _may_hold_password(given)):
            kept += [argument] if equals or given is None else [argument, given]
            continue
        before = moved.get(variable) or (environ.get(CAMERA) if variable == CAMERA else "")
        moved[variable] = f"{before}{_SEVERAL[variable]}{given}" if before and variable in _SEVERAL else given
    if kept == list(arguments):
        return None
    # An option beats a variable, and so the one that names a file.
    beaten = {in_file(variable) for variable in moved if variable in _SECRETS.values()}
    return kept, {name: value for name, value in environ.items() if name not in beaten} | moved


def _may_hold_password(url: str) -> bool:
    """Whether a password may be in it, also where it is not spelled as a URL is: ``rtsp:/user:password@host``."""
    return "@" in url or redact(url) != url


def hide_own() -> None:
    """Replace this process by one whose arguments hold no password, if they do now. Otherwise return."""
    arguments = sys.argv[1:]
    hidden = hide(arguments, os.environ)
    if hidden is not None:
        kept, environ = hidden
        interpreter = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
        os.execve(sys.executable, [*interpreter, *kept], environ)  # noqa: S606 - it is ourselves
