"""``camshaft viewers``, ``nodes``, ``close`` and ``health``: how a cluster that runs is."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import click

from camshaft.options import Given, configured
from camshaft.remote import api_option, ca_option, json_option
from camshaft.table import table
from common import process

_MB = 1 << 20


@click.command()
@api_option
@ca_option
@json_option
def viewers(api: str, ca_file: str | None, as_json: bool) -> None:
    """List who watches what, from where, and how it is."""
    from camshaft.api import Api

    found = Api(api, ca_file).viewers()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("Nobody watches.")
    else:
        heads = ("SESSION", "CAMERA", "STREAM", "WHO", "REMOTE", "FOR", "VIDEO", "AUDIO", "MBYTES", "LOST", "STATE")
        click.echo("\n".join(table([heads, *(_viewer(each, time.time()) for each in found)])))


@click.command()
@api_option
@ca_option
@json_option
def nodes(api: str, ca_file: str | None, as_json: bool) -> None:
    """List the processes of the cluster and what each does."""
    from camshaft.api import Api

    found = Api(api, ca_file).nodes()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    heads = ("NODE", "ROLE", "HOST", "STATE", "CPU", "MEMORY", "CAMERAS", "VIEWERS", "VERSION")
    click.echo("\n".join(table([heads, *map(_node, found)])))


@click.command()
@click.argument("session")
@api_option
@ca_option
def close(session: str, api: str, ca_file: str | None) -> None:
    """Close the viewer SESSION, by the name that `camshaft viewers` has for it."""
    from camshaft.api import Api

    Api(api, ca_file).close(session)
    click.echo(f"Session {session} is closed.")


@click.command()
@configured("http")
def health(given: Given) -> None:
    """Say whether the broker of this machine would serve a viewer now; exit code 0 if so. For health checks."""
    from camshaft.ready import ask_ready

    http = given.config().http
    ready, reasons = asyncio.run(ask_ready(http.listen, http.scheme))
    click.echo("ready" if ready else f"not ready: {reasons}")
    sys.exit(process.EXIT_OK if ready else process.EXIT_FAILED)


def _viewer(viewer: dict[str, Any], now: float) -> tuple[str, ...]:
    lasted = f"{now - viewer['started']:.0f} s" if viewer.get("started") else "-"
    cells = ("session", "camera", "stream", "principal", "remote")
    return (
        *(str(viewer.get(cell) or "-") for cell in cells),
        lasted,
        *(str(viewer.get(cell) or "-") for cell in ("video", "audio")),
        f"{viewer.get('bytes', 0) / _MB:.1f}",
        str(viewer.get("lost", 0)),
        f"{viewer['state']}{' ' if viewer.get('waiting') else ''}{viewer.get('waiting', '')}",
    )


def _node(node: dict[str, Any]) -> tuple[str, ...]:
    state = "lost" if not node["alive"] else "ending" if node.get("draining") else "alive"
    load = node["load"]
    return (
        *(node["node"], node["role"], node["host"], state),
        *(f"{load['cpu']:.0%}", f"{load['memory'] / _MB:.0f} MB"),
        *(str(len(node["cameras"])), str(node["viewers"]), node["version"]),
    )
