"""``camshaft config``: what is configured, whether it is right, and where each setting was made. Starts nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from camshaft.cores import cores
from camshaft.effective import effective
from camshaft.options import DEFAULT_FILE, Given, configured
from camshaft.table import table, tell
from camshaft.workers import KINDS
from common import process
from common.address import is_loopback, split_listen
from common.config import Config
from common.config_leaves import leaves
from common.errors import ConfigError

_SECTIONS = tuple(dict.fromkeys(leaf.section for leaf in leaves()))

_file_argument = click.argument("file", required=False, type=click.Path(path_type=Path))
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@click.group("config")
def config_group() -> None:
    """Check and show the configuration: the file, the variables and the options together."""


@config_group.command()
@_file_argument
@_json_option
@configured()
def check(given: Given, file: Path | None, as_json: bool) -> None:
    """Check FILE, and list everything that is wrong with it, with line and key.

    The default is the file that a process started here would read. Environment variables count, too. Exit code 0: no
    mistakes; 2: mistakes.
    """
    given = _given(given, file)
    config, mistakes = _read(given)
    if as_json:
        found = [{"where": each.where, "key": each.key, "problem": each.problem} for each in mistakes]
        click.echo(json.dumps(found, indent=2))
    elif mistakes:
        tell(mistakes)
    else:
        what = str(given.file) if given.file else f"There is no {DEFAULT_FILE} here; what else is configured"
        count = len(config.cameras) if config is not None else 0
        click.echo(f"{what} is right: {count} {'camera' if count == 1 else 'cameras'}.")
    sys.exit(process.EXIT_CONFIG if mistakes else process.EXIT_OK)


@config_group.command()
@_file_argument
@_json_option
@configured(*_SECTIONS)
def show(given: Given, file: Path | None, as_json: bool) -> None:
    """Show every setting in effect, and where it comes from: the default, a line of FILE, a variable, an option.

    Passwords and secrets are hidden. For cameras, only settings that were made are shown.
    """
    document = _given(given, file).document()
    settings = list(effective(document, document.validate()))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in settings], indent=2))
    else:
        rows = [("KEY", "VALUE", "FROM"), *((each.key, each.text, each.origin) for each in settings)]
        tell(table(rows))


def _given(given: Given, file: Path | None) -> Given:
    return given if file is None else replace(given, file=file)


def _read(given: Given) -> tuple[Config | None, list[ConfigError]]:
    """The configuration, or all that is wrong with it; what only ``serve`` would find included."""
    from broker.access.policy import check_door  # late: help is asked for in a hurry

    try:
        document = given.document()
        if mistakes := document.mistakes():
            return None, mistakes
        config = document.validate()
    except ConfigError as exc:
        return None, [exc]
    try:
        for kind in KINDS:
            kind.processes(config, cores())
        check_door(config, local=is_loopback(split_listen(config.http.listen)[0]))
    except ConfigError as exc:
        where = exc.where or document.origin(tuple(exc.key.split("."))).where
        return None, [ConfigError(exc.problem, where=where, key=exc.key)]
    return config, []
