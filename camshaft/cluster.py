"""``camshaft viewers``, ``why``, ``nodes``, ``close`` and ``health``: how a cluster that runs is."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from camshaft.options import Given, configured
from camshaft.remote import DEFAULT_API, api_option, ca_option, json_option
from camshaft.table import table, tell
from common import process
from common.errors import CamshaftError

if TYPE_CHECKING:
    from camshaft.api import Api

_SERVES = {"serve", "demo"}  # the commands that supervise a broker
_MB = 1 << 20
_POLL = 0.25  # seconds between questions whether a process has ended


@click.command()
@api_option
@ca_option
@json_option
def viewers(api: str, ca_file: str | None, as_json: bool) -> None:
    """List who watches what, from where, and with what result."""
    from camshaft.api import Api

    found = Api(api, ca_file).viewers()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("Nobody watches.")
    else:
        heads = ("SESSION", "CAMERA", "STREAM", "WHO", "REMOTE", "FOR", "VIDEO", "AUDIO", "MBYTES", "LOST", "STATE")
        tell(table([heads, *(_viewer(each, time.time()) for each in found)]))


@click.group(invoke_without_command=True)
@api_option
@ca_option
@json_option
@click.pass_context
def nodes(context: click.Context, api: str, ca_file: str | None, as_json: bool) -> None:
    """List the processes of the cluster and what each one does."""
    if context.invoked_subcommand is not None:
        return
    from camshaft.api import Api

    found = Api(api, ca_file).nodes()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    heads = ("NODE", "ROLE", "HOST", "STATE", "CPU", "MEMORY", "CAMERAS", "VIEWERS", "VERSION")
    tell(table([heads, *map(_node, found)]))


@nodes.command()
@click.argument("node")
@api_option
@ca_option
@click.option("--wait/--no-wait", default=True, help="Wait until it has ended.")
@click.option(
    "--within",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait; exit code 1 after that.",
)
@click.pass_context
def drain(context: click.Context, node: str, api: str, ca_file: str | None, wait: bool, within: float) -> None:
    """Drain the process NODE: its work moves to others, it takes nothing new, and then it ends.

    Whatever keeps it running, such as serve, starts it again.
    """
    asked = _api(context, api, ca_file)
    before = _pid(asked, node)
    asked.drain(node)
    if not wait:
        click.echo(f"{node} drains.")
        return
    until = time.monotonic() + within
    while _pid(asked, node) == before:
        if time.monotonic() >= until:
            problem = (
                f"{node} has not ended within {within:g} s: its drain.timeout is longer, or it hangs; "
                "`camshaft nodes` shows its state, and SIGKILL ends it (its cameras then go to others within a second)"
            )
            raise CamshaftError(problem)
        time.sleep(_POLL)
    click.echo(f"{node} has ended.")


@nodes.command()
@api_option
@ca_option
@click.pass_context
def rebalance(context: click.Context, api: str, ca_file: str | None) -> None:
    """Have players move to egresses that have clearly fewer viewers, a few at a time.

    Pages move, and so do WHEP players that read the session's events; others stay. Cameras balance by themselves.
    """
    _api(context, api, ca_file).even_out()
    click.echo("Players have been asked to move; `camshaft nodes` shows how many viewers each process has.")


def _api(context: click.Context, api: str, ca_file: str | None) -> Api:
    """The broker of a command below ``nodes``, which may have the options, too."""
    from camshaft.api import Api

    above = context.parent.params if context.parent is not None else {}
    return Api(api if api != DEFAULT_API else above.get("api", api), ca_file or above.get("ca_file"))


def _pid(api: Api, name: str) -> tuple[str, int] | None:
    """Host and process of a node that is alive."""
    return next(((each["host"], each["pid"]) for each in api.nodes() if each["node"] == name and each["alive"]), None)


@click.command()
@click.argument("session", required=False)
@api_option
@ca_option
@json_option
def why(session: str | None, api: str, ca_file: str | None, as_json: bool) -> None:
    """Say why SESSION has no picture: which link is broken, what was tried, and what to do.

    Without SESSION, of all that have none and of the last that had none. Exit code 1: nothing is known to be broken.
    """
    from camshaft.api import Api

    broker = Api(api, ca_file)
    found = broker.without_picture() if session is None else [broker.why(session)]
    if as_json:
        click.echo(json.dumps(found if session is None else found[0], indent=2))
    elif not found:
        click.echo("Every session has a picture.")
    else:
        for number, each in enumerate(found):
            tell(([""] if number else []) + _why(each))
    if not any(each["link"] != "none" for each in found):
        sys.exit(1)


def _why(view: dict[str, Any]) -> list[str]:
    when = time.strftime("%H:%M:%S", time.localtime(view["at"]))
    head = f"{view['session']}, camera {view['camera']}, {'over' if view['over'] else 'now'} ({when}): {view['link']}"
    lines = [*filter(None, (view["sentence"], view["advice"])), *(f"- {fact}" for fact in view["facts"])]
    return [head, *(f"  {line}" for line in lines)]


@click.command()
@click.argument("session")
@api_option
@ca_option
def close(session: str, api: str, ca_file: str | None) -> None:
    """Close the viewer SESSION, named as `camshaft viewers` lists it."""
    from camshaft.api import Api

    Api(api, ca_file).close(session)
    click.echo(f"Session {session} is closed.")


@click.command()
@api_option
@ca_option
def upgrade(api: str, ca_file: str | None) -> None:
    """Have `camshaft serve` on this machine replace its processes with the installed version, while viewers watch.

    Workers go first, one after the other, and hand over their work; the broker goes last.
    """
    import psutil

    from camshaft.api import Api

    broker = Api(api, ca_file).nodes()[0]
    problem = "the cluster is not a `camshaft serve` on this machine; replace its processes one by one (`nodes drain`)"
    try:
        above = psutil.Process(broker["pid"]).parent()
        ours = broker["host"] == socket.gethostname() and above is not None and _SERVES & set(above.cmdline())
        if not ours or above is None:
            raise CamshaftError(problem)
        above.send_signal(signal.SIGUSR2)
    except psutil.NoSuchProcess:
        raise CamshaftError(problem) from None
    except psutil.AccessDenied:
        raise CamshaftError("only its user or root may do that; for a service: systemctl kill -s USR2") from None
    click.echo("The upgrade begins; the log says how it goes.")


@click.command()
@configured("http")
def health(given: Given) -> None:
    """Say whether the broker on this machine could serve a viewer now; exit code 0 if so. For health checks."""
    from camshaft.ready import ask_ready

    http = given.config().http
    ready, reasons = asyncio.run(ask_ready(http.listen, http.scheme))
    tell(["ready" if ready else f"not ready: {reasons}"])
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
    state = "lost" if not node["alive"] else "draining" if node.get("draining") else "alive"
    load = node["load"]
    return (
        *(node["node"], node["role"], node["host"], state),
        *(f"{load['cpu']:.0%}", f"{load['memory'] / _MB:.0f} MB"),
        *(str(len(node["cameras"])), str(node["viewers"]), node["version"]),
    )
