"""``camshaft token``: those of people's programs, whose digests stand in the configuration file, and those of workers.

Worker tokens are made on the broker's machine in the keyring beside its store; a broker that runs sees each change
within a second.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import yaml

from camshaft.options import Given, access_role, check_node, configured
from camshaft.table import table, tell
from camshaft.workers import KINDS
from common.access import AccessRole
from common.config_file import check_token
from common.control import Role
from common.errors import ConfigError

if TYPE_CHECKING:
    from broker.keyring import Keyring, Token

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
MAX_LIFETIME = 10 * 365 * 86_400  # seconds


@click.group()
def token() -> None:
    """Make tokens for programs that watch or manage cameras, and manage the tokens with which workers join."""


@token.command()
@click.argument("name")
@access_role
@click.option(
    "--camera",
    "cameras",
    metavar="NAME",
    multiple=True,
    help="A camera that it may watch, or a pattern such as shop-*.",
)
@click.option("--expires", metavar="TIME", help="How long it is valid, such as 24h or 90d; default: forever.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def new(name: str, role: str, cameras: tuple[str, ...], expires: str | None, *, as_json: bool) -> None:
    """Print a new token, and the lines that register it as NAME in the configuration file.

    The token itself is not stored anywhere: the file contains only its digest.
    """
    from broker.access.tokens import digest_of, new_token

    made = new_token()
    lines: dict[str, Any] = {"sha256": digest_of(made), "role": role}
    if cameras:
        lines["cameras"] = list(cameras)
    if expires:
        lines["expires"] = datetime.fromtimestamp(time.time() + _seconds(expires), UTC).replace(microsecond=0)
    _check(name, lines)
    if as_json:
        click.echo(json.dumps({"token": made, "auth": {"tokens": {name: lines}}}, default=str, indent=2))
        return
    click.echo(made)
    click.echo("\nIt is shown only once. To register it, put this into the configuration file:\n")
    click.echo(yaml.safe_dump({"auth": {"tokens": {name: lines}}}, sort_keys=False).rstrip())


def _check(name: str, lines: dict[str, Any]) -> None:
    """See that the file may have these lines. Raises ``ConfigError`` in words of the command line."""
    if lines["role"] == AccessRole.VIEWER and "cameras" not in lines:
        problem = "names no cameras, so it gives no rights; write --camera NAME for each, or --camera '*' for all"
        raise ConfigError(problem, where=f"token {name}")
    try:
        check_token(name, lines)
    except ConfigError as exc:
        where = "--camera" if ".cameras." in exc.key else f"token {name}"
        raise ConfigError(exc.problem, where=where) from None


@token.command()
@click.option(
    "--role", type=click.Choice([kind.role.value for kind in KINDS]), required=True, help="Role of the workers."
)
@click.option(
    "--node", metavar="NAME", default="", help="The only worker name it is valid for; default: any free name."
)
@click.option("--expires", metavar="TIME", help="How long it can be used, such as 30m, 24h or 7d; default: forever.")
@click.option(
    "--uses", type=click.IntRange(1, 1_000_000), help="Number of workers that may join with it; default: any."
)
@configured("store")
def worker(given: Given, role: str, node: str, expires: str | None, uses: int | None) -> None:
    """Print a token that lets workers of one role join; give it to them as CAMSHAFT_CLUSTER_TOKEN.

    A worker exchanges it for a key of its own. Unless it keeps that (--cluster-key-file) it needs the token again at
    each start, and each counts as a use.
    """
    if node:
        check_node(node)
    now = time.time()
    until = now + _seconds(expires) if expires else None
    with _keyring(given, make=True) as keyring:
        click.echo(keyring.make_token(Role(role), node=node, expires=until, uses=uses, now=now))


@token.command("list")
@configured("store")
def list_(given: Given) -> None:
    """List the tokens and the workers that joined with each."""
    with _keyring(given) as keyring:
        tokens = keyring.tokens()
    if not tokens:
        click.echo("There are no worker tokens; make one: camshaft token worker --role egress")
        return
    now = time.time()
    rows = [("TOKEN", "ROLE", "STATE", "NODE", "EXPIRES", "USES LEFT", "WORKERS")]
    tell(table([*rows, *(_row(each, now) for each in tokens)]))


@token.command()
@click.argument("name")
@configured("store")
def revoke(given: Given, name: str) -> None:
    """Revoke the token NAME and the keys of all workers that joined with it, or the key of the one worker NAME."""
    with _keyring(given) as keyring:
        joined_with = next((each.id for each in keyring.tokens() if name in each.nodes and not each.revoked), None)
        nodes = keyring.revoke(name)
        of_a_token = any(each.id == name for each in keyring.tokens())
    if of_a_token:
        click.echo(f"Token {name} is revoked. Workers that this shuts out: {', '.join(nodes) or 'none'}.")
    else:
        click.echo(f"The key of worker {name} is revoked.")
        if joined_with is not None:
            click.echo(
                f"A worker with its token can join again: to prevent that, type camshaft token revoke {joined_with}."
            )


@contextmanager
def _keyring(given: Given, *, make: bool = False) -> Iterator[Keyring]:
    from broker.keyring import Keyring, keyring_path

    path = keyring_path(given.config().store.path)
    if not make and not path.exists():
        raise ConfigError(f"{path} does not exist: no worker token was made here; check --store-path", key="store.path")
    with closing(Keyring(path)) as keyring:
        yield keyring


def _row(each: Token, now: float) -> tuple[str, ...]:
    expired = each.expires is not None and each.expires <= now
    state = "revoked" if each.revoked else "expired" if expired else "used up" if each.uses == 0 else "good"
    until = (
        "never" if each.expires is None else f"{datetime.fromtimestamp(each.expires, UTC).astimezone():%Y-%m-%d %H:%M}"
    )
    uses = "any" if each.uses is None else str(each.uses)
    return each.id, each.role.value, state, each.node or "any", until, uses, ", ".join(each.nodes) or "-"


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= MAX_LIFETIME:
        raise ConfigError(f"{text!r} is not a time such as 30m, 24h or 7d, at most ten years", where="--expires")
    return seconds
