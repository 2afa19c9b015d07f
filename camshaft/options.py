"""Command line options made from the configuration model, so that an option, a variable and a key are one thing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from common.access import AccessRole
from common.cameras import CAMERA_ID
from common.config import CONFIG_VARIABLE, Config
from common.config_document import Document
from common.config_file import put_together, secret_files
from common.config_leaves import Leaf, leaves
from common.control import RELAY_NODE, NodeName, Role
from common.errors import ConfigError

DEFAULT_FILE = Path("camshaft.yaml")

Command = Callable[..., Any]

access_role = click.option(
    "--role",
    type=click.Choice([role.value for role in AccessRole]),
    default=AccessRole.VIEWER.value,
    help="Right to watch cameras (viewer, the default), to read /metrics alone (monitor), or to do everything (admin).",
)
"""The option of commands that give somebody a right."""


@dataclass(frozen=True, slots=True)
class Given:
    """The operator's wishes: a file, and options to lay over it."""

    file: Path | None
    overrides: Mapping[Leaf, Any]

    @classmethod
    def by_environment(cls) -> Given:
        """The wishes of somebody who gave no option."""
        return cls(_file(os.environ.get(CONFIG_VARIABLE)), {})

    def config(self) -> Config:
        """The configuration, as it is now. Raises ``ConfigError``."""
        return self.document().validate()

    def document(self) -> Document:
        """The configuration, to be validated. Raises ``ConfigError`` for what cannot be read at all."""
        return put_together(self.file or _default_file(), self.overrides, os.environ)

    def config_of(self, text: str) -> Config:
        """The configuration, had the file this text. Raises ``ConfigError``."""
        return put_together(self.file or DEFAULT_FILE, self.overrides, os.environ, text).validate()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is made of; the first may not be there yet."""
        return (self.file or DEFAULT_FILE, *secret_files(os.environ))


def configured(*sections: str) -> Callable[[Command], Command]:
    """Add ``--config`` and an option for each leaf of ``sections``; the command gets them as its first argument."""
    wanted = {_parameter(leaf): leaf for leaf in leaves() if leaf.section in sections}

    def decorate(command: Command) -> Command:
        def given(*args: Any, config_file: str | None, **options: Any) -> Any:
            # An empty option, like an empty variable, counts as one that is not given.
            overrides = {leaf: value for name, leaf in wanted.items() if (value := options.pop(name))}
            return command(Given(_file(config_file), overrides), *args, **options)

        run: Command = wraps(command)(given)
        for leaf in reversed(wanted.values()):
            run = _option(leaf)(run)
        return click.option(
            "--config",
            "config_file",
            metavar="FILE",
            envvar=CONFIG_VARIABLE,
            help=f"Configuration file.  [{CONFIG_VARIABLE}; default: ./{DEFAULT_FILE} if there is one]",
        )(run)

    return decorate


def node_option(role: Role) -> Callable[[Command], Command]:
    """Add ``--node``; the command gets the node's name as ``node``."""
    return click.option(
        "--node",
        metavar="NAME",
        envvar="CAMSHAFT_NODE",
        callback=lambda _context, _parameter, name: _node(name, role),
        help="This process's name; no other of the cluster may have it.  [CAMSHAFT_NODE; default: made up]",
    )


def check_node(name: str) -> NodeName:
    """The name, if a worker may have it: it goes by the rules of a camera's. Raises ``ConfigError``."""
    if not CAMERA_ID.fullmatch(name):
        problem = "a node's name has 1 to 64 letters, digits, '.', '_' or '-', and starts with a letter or a digit"
        raise ConfigError(problem, where="--node")
    if name == RELAY_NODE:
        raise ConfigError(f"{name!r} is the media relay's name; choose another", where="--node")
    return NodeName(name)


def _node(name: str | None, role: Role) -> NodeName:
    if name:
        return check_node(name)
    from common.worker.link import default_node  # late: it takes ZeroMQ

    return default_node(role)


def _option(leaf: Leaf) -> Callable[[Command], Command]:
    default = leaf.field.get_default(call_default_factory=True)
    shown = "" if default in (None, "", ()) else f"; default: {default}"
    return click.option(
        *leaf.options,
        _parameter(leaf),
        metavar=leaf.key.upper(),
        multiple=leaf.is_list,
        help=f"{leaf.field.description}  [{leaf.variable}{shown}]",
    )


def _parameter(leaf: Leaf) -> str:
    return f"{leaf.section}_{leaf.key}"


def _file(name: str | None) -> Path | None:
    if name:
        return Path(name)
    return _default_file()


def _default_file() -> Path | None:
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None
