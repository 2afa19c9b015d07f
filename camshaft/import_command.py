"""``camshaft import``: a file of another program as a ``camshaft.yaml``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import yaml

from camshaft.table import tell
from common import process
from common.config_document import in_words
from common.errors import ConfigError, unreadable
from common.yaml_loader import Loader

MAX_BYTES = 8 << 20  # ten thousand cameras; a larger file is none that people write
_PROGRAMS = ("go2rtc", "mediamtx", "frigate", "homeassistant")


class _Loader(Loader):
    """Reads keys as they are written: to these programs a camera is called ``off``, or ``001``."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping whose keys are text. Raises ``yaml.YAMLError``."""
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


def _elsewhere(loader: _Loader, suffix: str, node: yaml.Node) -> object:
    """A value with a tag of the program's own: text as it is written, ``!secret NAME``."""
    if isinstance(node, yaml.ScalarNode):
        return f"!{suffix} {loader.construct_scalar(node)}"
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Loader.add_multi_constructor("!", _elsewhere)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "program",
    type=click.Choice(_PROGRAMS),
    help="The program that the file belongs to; default: recognized from its contents.",
)
def import_command(file: Path, program: str | None) -> None:
    """Print a camshaft.yaml with the cameras of FILE: of go2rtc, MediaMTX, Frigate or Home Assistant.

    What cannot be converted is named on standard error, with the reason. Passwords are printed as they are. Exit
    code 0: FILE has cameras; 1: it has none; 2: it cannot be read.
    """
    from camshaft.importing.convert import convert, write  # late: help is asked for in a hurry

    found = convert(_read(file), program or "", str(file))
    click.echo(write(found, file.name), nl=False)
    tell((f"left out: {line}" for line in found.left_out), err=True)
    if found.variables:
        click.echo(f"set these variables before the start: {', '.join(found.variables)}", err=True)
    count = len(found.cameras)
    click.echo(f"{count} {'camera' if count == 1 else 'cameras'} of {found.program} taken", err=True)
    sys.exit(process.EXIT_OK if found.cameras else process.EXIT_FAILED)


def _read(file: Path) -> Any:
    """The document in a file. Raises ``ConfigError``."""
    where = str(file)
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"holds more than {MAX_BYTES >> 20} MB", where=where)
        return yaml.load(data.decode("utf-8-sig"), _Loader)  # noqa: S506 - it is derived from the safe one
    except OSError as exc:
        raise ConfigError(unreadable(exc), where=where) from None
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=where) from None
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"not valid YAML: {in_words(exc.problem or '')}", where=f"{where}{line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError("not valid YAML", where=where) from None
