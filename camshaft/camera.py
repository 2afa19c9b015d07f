"""``camshaft camera``: the cameras of a running cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from camshaft.argv import SUB_URL, URL
from camshaft.remote import TRANSPORTS, api_option, ca_option, json_option
from camshaft.table import table, tell
from common.cameras import redact
from common.errors import ConfigError

TIMES = ("since", "retry_at")  # of what the API says of a camera: Unix times

url_argument = click.argument("url", envvar=URL)


_OPTIONS = (
    click.option("--sub", metavar="URL", envvar=SUB_URL, help=f"Its sub-stream, for small views.  [{SUB_URL}]"),
    click.option("--shown-as", metavar="TEXT", help="The name that people see, such as 'Kitchen, back door'."),
    click.option("--group", metavar="TEXT", help="The heading under which lists show it."),
    click.option("--order", type=int, help="Its place in lists: lower numbers come first."),
    click.option("--transport", type=click.Choice(TRANSPORTS), help="Transport of RTP."),
    click.option("--on-demand/--always", default=None, help="Pull it only while somebody watches, or always."),
    click.option(
        "--keep-after", type=float, metavar="SECONDS", help="How long an on-demand camera is kept without viewers."
    ),
    click.option(
        "--one-session/--several-sessions", default=None, help="Whether the camera serves one client at a time."
    ),
    click.option("--tls-verify/--no-tls-verify", default=None, help="rtsps: whether its certificate is verified."),
    click.option("--tls-fingerprint", metavar="HEX", help="rtsps: SHA-256 of the only accepted certificate."),
    click.option("--tls-legacy/--no-tls-legacy", default=None, help="rtsps: whether old ciphers are allowed."),
)
_FIELDS = {"shown_as": "name"} | {
    name: name for name in ("group", "order", "transport", "on_demand", "keep_after", "one_session")
}
"""The options that are fields of a camera, by their names in the API."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a camera's settings."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _wanted(url: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that options name, as the API takes them; ``None`` there takes back what was said before."""
    tls = {key: options[f"tls_{key}"] for key in ("verify", "fingerprint", "legacy")}
    told = {key: None if value == "-" else value for key, value in tls.items() if value is not None}
    wanted = {field: options[name] for name, field in _FIELDS.items() if options[name] is not None}
    if url:
        wanted["url"] = url_given(url)
    if told:
        wanted["tls"] = told
    if options["sub"]:
        wanted["streams"] = {"sub": None if options["sub"] == "-" else {"url": options["sub"]}}
    return wanted


@click.group()
def camera() -> None:
    """Add, list, change and remove the cameras of a running cluster."""


@camera.command()
@click.argument("name")
@url_argument
@_settings
@api_option
@ca_option
@json_option
def add(name: str, url: str, api: str, ca_file: str | None, as_json: bool, **options: Any) -> None:
    """Add a camera under NAME. It survives restarts.

    URL may be - to read it from standard input, or left out if CAMSHAFT_URL holds it. A password on a command line
    can be read by every user of this machine; it is moved out of sight at once, but stays in the shell's history.
    """
    from camshaft.api import Api

    added = Api(api, ca_file).add(name, _wanted(url, options))
    click.echo(json.dumps(added, indent=2) if as_json else f"Camera {name} is added.")


@camera.command("list")
@api_option
@ca_option
@json_option
def list_(api: str, ca_file: str | None, as_json: bool) -> None:
    """List the cameras and their states."""
    from camshaft.api import Api

    cameras = Api(api, ca_file).cameras()
    if as_json:
        click.echo(json.dumps(cameras, indent=2))
    elif not cameras:
        click.echo("There are no cameras; add one: camshaft camera add NAME URL")
    else:
        named = any(each.get("name") not in (None, "", each["id"]) for each in cameras)
        rows = [("NAME", "SHOWN AS", "STATE", "TRACKS", "VIEWERS", "URL"), *map(_row, cameras)]
        tell(table(rows if named else [(row[0], *row[2:]) for row in rows]))
        failed = (each for each in cameras if each.get("failed"))
        tell(f"{each['id']}: {each['sentence']} {each.get('detail') or ''}".rstrip() for each in failed)


@camera.command()
@click.argument("name")
@api_option
@ca_option
@json_option
def show(name: str, api: str, ca_file: str | None, as_json: bool) -> None:
    """Show everything known about the camera NAME."""
    from camshaft.api import Api

    found = Api(api, ca_file).camera(name)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        tell(table(_lines(found)))


@camera.command()
@click.argument("name")
@click.option("--url", envvar=URL, metavar="URL", help=f"A new address; - reads it from standard input.  [{URL}]")
@_settings
@api_option
@ca_option
def edit(name: str, api: str, ca_file: str | None, url: str | None, **options: Any) -> None:
    """Change the camera NAME; what is not given stays as it is. Works only for cameras added at run time.

    Use - to remove a --sub or --tls-fingerprint, and '' to remove a name or a group.
    """
    from camshaft.api import Api

    change = _wanted(url, options)
    if not change:
        raise ConfigError("say what to change; --help lists what can be changed", where="camera edit")
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
                lines.append((name, str(value)))
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
