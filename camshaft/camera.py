"""``camshaft camera``: the cameras of a running cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from camshaft.argv import SUB_URL, URL
from camshaft.remote import TRANSPORTS, api_option, ca_option, json_option
from camshaft.table import table
from common.cameras import redact
from common.errors import ConfigError

TIMES = ("since", "retry_at")  # of what the API says of a camera: Unix times

url_argument = click.argument("url", envvar=URL)


@click.group()
def camera() -> None:
    """Add, list and remove the cameras of a running cluster."""


@camera.command()
@click.argument("name")
@url_argument
@click.option(
    "--sub",
    metavar="URL",
    envvar=SUB_URL,
    help=f"Address of its sub-stream, which viewers get that show it small.  [{SUB_URL}]",
)
@click.option("--shown-as", metavar="TEXT", help="The name that people see, such as 'Kitchen, back door'.")
@click.option("--group", metavar="TEXT", help="The heading that it stands below in lists.")
@click.option("--transport", type=click.Choice(TRANSPORTS), help="Transport of RTP.")
@click.option("--on-demand", is_flag=True, help="Pull the camera only while somebody watches.")
@click.option(
    "--keep-after", type=float, metavar="SECONDS", help="Time to keep an on-demand camera after its last viewer left."
)
@click.option("--no-tls-verify", is_flag=True, help="rtsps: accept any certificate.")
@click.option("--tls-fingerprint", metavar="HEX", help="rtsps: SHA-256 of the only certificate accepted.")
@click.option("--tls-legacy", is_flag=True, help="rtsps: allow the old ciphers of old cameras.")
@api_option
@ca_option
@json_option
def add(name: str, url: str, api: str, ca_file: str | None, as_json: bool, **options: Any) -> None:
    """Add a camera under NAME. It survives restarts.

    URL may be - to read it from standard input, or left out if CAMSHAFT_URL holds it. A password on a command line
    can be read by every user of this machine; it is moved out of sight at once, but stays in the shell's history.
    """
    from camshaft.api import Api

    tls = {
        key: value
        for key, value in {
            "verify": False if options["no_tls_verify"] else None,
            "fingerprint": options["tls_fingerprint"],
            "legacy": options["tls_legacy"] or None,
        }.items()
        if value is not None
    }
    wanted = {
        "url": url_given(url),
        "name": options["shown_as"],
        "group": options["group"],
        "transport": options["transport"],
        "on_demand": options["on_demand"] or None,
        "keep_after": options["keep_after"],
        "tls": tls or None,
        "streams": {"sub": {"url": options["sub"]}} if options["sub"] else None,
    }
    added = Api(api, ca_file).add(name, {key: value for key, value in wanted.items() if value is not None})
    click.echo(json.dumps(added, indent=2) if as_json else f"Camera {name} is added.")


@camera.command("list")
@api_option
@ca_option
@json_option
def list_(api: str, ca_file: str | None, as_json: bool) -> None:
    """List the cameras and how they are."""
    from camshaft.api import Api

    cameras = Api(api, ca_file).cameras()
    if as_json:
        click.echo(json.dumps(cameras, indent=2))
    elif not cameras:
        click.echo("There are no cameras; add one: camshaft camera add NAME URL")
    else:
        named = any(each.get("name") not in (None, "", each["id"]) for each in cameras)
        rows = [("NAME", "SHOWN AS", "STATE", "TRACKS", "VIEWERS", "URL"), *map(_row, cameras)]
        click.echo("\n".join(table(rows if named else [(row[0], *row[2:]) for row in rows])))
        for each in cameras:
            if each.get("failed"):
                click.echo(f"{each['id']}: {each['sentence']} {each.get('detail') or ''}".rstrip())


@camera.command()
@click.argument("name")
@api_option
@ca_option
@json_option
def show(name: str, api: str, ca_file: str | None, as_json: bool) -> None:
    """Show all that is known of the camera NAME."""
    from camshaft.api import Api

    found = Api(api, ca_file).camera(name)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(table(_lines(found))))


@camera.command()
@click.argument("name")
@click.option("--url", envvar=URL, metavar="URL", help=f"Another address; - reads it from standard input.  [{URL}]")
@click.option("--sub", metavar="URL", envvar=SUB_URL, help=f"Address of its sub-stream; - for none.  [{SUB_URL}]")
@click.option("--shown-as", metavar="TEXT", help="The name that people see.")
@click.option("--group", metavar="TEXT", help="The heading that it stands below in lists.")
@click.option("--order", type=int, help="Its place in lists: smaller ones come first.")
@click.option("--transport", type=click.Choice(TRANSPORTS), help="Transport of RTP.")
@click.option("--on-demand/--always", default=None, help="Pull it only while somebody watches, or always.")
@api_option
@ca_option
def edit(name: str, api: str, ca_file: str | None, **options: Any) -> None:
    """Change the camera NAME; what is not given stays as it is. Only cameras that were added at run time can be."""
    from camshaft.api import Api

    sub = options["sub"]
    change = {
        "url": url_given(options["url"]) if options["url"] else None,
        "name": options["shown_as"],
        "group": options["group"],
        "order": options["order"],
        "transport": options["transport"],
        "on_demand": options["on_demand"],
        "streams": None if sub is None else {"sub": None if sub == "-" else {"url": sub}},
    }
    change = {key: value for key, value in change.items() if value is not None}
    if not change:
        raise ConfigError("name what is to change; --help lists what can be", where="camera edit")
    Api(api, ca_file).change(name, change)
    click.echo(f"Camera {name} is changed.")


@camera.command()
@click.argument("name")
@api_option
@ca_option
def remove(name: str, api: str, ca_file: str | None) -> None:
    """Remove the camera NAME."""
    from camshaft.api import Api

    Api(api, ca_file).remove(name)
    click.echo(f"Camera {name} is removed.")


def _row(camera: dict[str, Any]) -> tuple[str, ...]:
    tracks = "+".join(track.get("name", track["codec"]) for track in camera.get("tracks", ())) or "-"
    viewers, url = str(camera.get("viewers", 0)), redact(camera["url"])
    return camera["id"], camera.get("name") or "", camera["state"], tracks, viewers, url


def _lines(camera: Mapping[str, Any], under: str = "") -> list[tuple[str, str]]:
    """All that the API says of a camera, a line for each value; what is empty is left out."""
    from common.log import printable

    lines = []
    for key, value in camera.items():
        name = f"{under}{key}"
        match value:
            case dict():
                lines += _lines(value, f"{name}.")
            case [dict(), *_]:
                for each in value:
                    kind = each.get("kind", "")
                    lines += _lines({k: v for k, v in each.items() if k != "kind"}, f"{name}.{kind}.")
            case None | "" | [] | False:
                continue
            case float() if key in TIMES:
                lines.append((name, datetime.fromtimestamp(value, UTC).isoformat(sep=" ", timespec="seconds")))
            case list():
                lines.append((name, ", ".join(map(str, value))))
            case True:
                lines.append((name, "yes"))
            case _:
                lines.append((name, printable(str(value))))
    return lines


def url_given(url: str) -> str:
    """The URL, read from standard input if it is ``-``. Raises ``ConfigError`` if there is none."""
    if url != "-":
        return url
    if sys.stdin.isatty():
        click.echo("URL: ", err=True, nl=False)
    line = sys.stdin.readline().strip()
    if not line:
        raise ConfigError("holds no URL", where="standard input")
    return line
