"""The command line. It only builds a configuration and calls what does the work, which is imported when needed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from camshaft import __version__
from camshaft.argv import API_TOKEN, CAMERA
from camshaft.beginning import (
    BROKER_SECTIONS,
    RELAY_SECTIONS,
    begin,
    reloading,
    run_broker,
    run_process,
    run_relay,
    run_worker,
)
from camshaft.camera import camera, url_argument, url_given
from camshaft.cluster import close, health, nodes, upgrade, viewers, why
from camshaft.config_command import config_group
from camshaft.import_command import import_command
from camshaft.logs import logs
from camshaft.options import Given, configured, node_option
from camshaft.remote import TRANSPORTS
from camshaft.store_command import store_group
from camshaft.table import tell
from camshaft.tokens import token
from camshaft.users import user
from camshaft.words import meant
from camshaft.workers import KINDS, WorkerKind
from common import log, process, variables
from common.address import page_address, split_listen
from common.cameras import CameraName, CameraState, redact
from common.config import DEMO_VARIABLE, HttpConfig
from common.config_file import parse_camera
from common.config_leaves import leaves
from common.control import NodeName
from common.demand import DEMAND_FD
from common.errors import CameraError, CamshaftError, ConfigError
from common.kept import KEPT_FD
from common.pulse import PULSE_FD
from common.settings import in_file
from common.succession import SUCCESSION

if TYPE_CHECKING:
    from ingest.probe import ProbeResult

DEFAULT_API = page_address(*split_listen(HttpConfig().listen)).rstrip("/")
_DEMO_PASSWORD = "CAMSHAFT_DEMO_CAMERA_PASSWORD"  # noqa: S105 - a variable's name
_DESCRIPTORS = {process.SUPERVISOR_FD, PULSE_FD, DEMAND_FD, KEPT_FD, SUCCESSION}
_INTERNAL = {API_TOKEN, CAMERA, in_file(CAMERA), DEMO_VARIABLE, _DEMO_PASSWORD, *_DESCRIPTORS}
"""Variables that are no command's option: several cameras, secrets, and what serve tells its processes."""


class _Cli(click.Group):
    """Shows an error of ours as its sentence, with the exit code that says what kind it is."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            variables.check(os.environ, _INTERNAL | set(_settings()) | set(_variables(self)))
            return super().invoke(ctx)
        except click.UsageError as exc:
            raise meant(exc) from None
        except CamshaftError as exc:
            tell([f"camshaft: {exc}"], err=True)
            ctx.exit(process.exit_code(exc))


def _settings() -> Iterator[str]:
    """Every variable that is a setting's."""
    for leaf in leaves():
        yield from leaf.variables
        if leaf.is_secret:
            yield leaf.file_variable


def _variables(command: click.Command) -> Iterator[str]:
    """Every variable of an option of ``command``, or of one below it."""
    for parameter in command.params:
        envvar = parameter.envvar
        yield from [envvar] if isinstance(envvar, str) else envvar or ()
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        yield from _variables(below)


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="camshaft")
def cli() -> None:
    """RTSP cameras in, WebRTC viewers out.

    Every option is also a variable and a key of the configuration file: --http-listen is CAMSHAFT_HTTP_LISTEN, and
    listen below http. Options override variables, and variables override the file.
    """


# The cluster

_SERVE = (
    "http",
    "auth",
    "jwt",
    "oidc",
    "media",
    "broker",
    "cluster",
    "ingest",
    "egress",
    "transcode",
    "drain",
    "limits",
    "sources",
    "store",
    "log",
)


def _camera_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--camera",
        "cameras",
        metavar="[NAME=]URL",
        multiple=True,
        help=f"A camera to add. With a password use the variable: others may see an option for an instant.  [{CAMERA}]",
    )(command)


@cli.command()
@_camera_option
@click.option(
    "--demo-if-none",
    is_flag=True,
    envvar="CAMSHAFT_DEMO_IF_NONE",
    help="Simulate a camera if none is configured; use free addresses if another program has the usual ones.",
)
@configured(*_SERVE)
def serve(given: Given, cameras: Sequence[str], demo_if_none: bool) -> None:
    """Run a whole cluster on this machine: a broker, its relay, ingest, egress, and transcode processes when needed."""
    _serve(given, cameras, demo=None if demo_if_none else False)


@cli.command()
@_camera_option
@configured(*_SERVE)
def demo(given: Given, cameras: Sequence[str]) -> None:
    """Like serve, with a simulated camera."""
    _serve(given, cameras, demo=True)


def _serve(given: Given, cameras: Sequence[str], *, demo: bool | None) -> None:
    from camshaft.serve import serve as run

    if cameras:
        os.environ[CAMERA] = " ".join([os.environ.get(CAMERA, ""), *cameras]).strip()
    sys.exit(run(given, begin_process, demo=demo))


def begin_process(arguments: Sequence[str]) -> None:
    """Be a process of ``serve``."""
    if not begin(arguments):  # the simulated camera
        cli(arguments, prog_name="camshaft")


@cli.command()
@configured(*BROKER_SECTIONS)
def broker(given: Given) -> None:
    """Run the broker: control plane, front door (page, WHEP, WebSocket, REST), and the relay unless it runs apart."""
    run_broker(given)


@cli.command()
@configured(*RELAY_SECTIONS)
def relay(given: Given) -> None:
    """Run the media relay next to a broker whose broker.relay is set to apart, on the same machine.

    Then no picture depends on the broker: it may hang, end and be replaced while viewers watch.
    """
    run_relay(given)


def _worker_command(kind: WorkerKind) -> click.Command:
    @click.command(kind.role.value, help=kind.help)
    @node_option(kind.role)
    @configured(*kind.sections)
    def command(given: Given, node: NodeName) -> None:
        run_worker(kind, given, node)

    return command


for _kind in KINDS:
    cli.add_command(_worker_command(_kind))


cli.add_command(token)
cli.add_command(user)
cli.add_command(store_group)
cli.add_command(camera)
for _command in (viewers, nodes, why, close, health, upgrade, logs):
    cli.add_command(_command)
cli.add_command(config_group)
cli.add_command(import_command)


# Cameras


@cli.command()
@url_argument
@click.option("--transport", type=click.Choice(TRANSPORTS), default="auto", help="Transport of RTP.")
@click.option("--no-tls-verify", is_flag=True, help="rtsps: accept any certificate.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@configured("sources", "log")
def probe(given: Given, url: str, transport: str, no_tls_verify: bool, as_json: bool) -> None:
    """Connect to a camera and say what it sends, or why it sends nothing. Needs no cluster.

    URL may be - to read it from standard input, or left out if CAMSHAFT_URL holds it, as for camera add.
    """
    config = given.config()
    log.configure("error" if config.log.level == "info" else config.log.level, config.log.format)  # it says it itself
    camera = parse_camera({"url": url_given(url), "transport": transport, "tls": {"verify": not no_tls_verify}})
    from ingest.probe import probe as look

    try:
        spec = replace(camera.spec(CameraName("probe")), networks=config.sources.networks)
        result = asyncio.run(look(spec))
    except CameraError as exc:
        failure = {"state": exc.state, "detail": redact(exc.detail)}
        if as_json:
            click.echo(json.dumps(failure, indent=2))
        else:
            tell([redact(str(exc))])
        sys.exit(process.EXIT_FAILED)
    if as_json:
        click.echo(json.dumps({"state": CameraState.PLAYING, **asdict(result)}, indent=2))
    else:
        tell(_told(result))


def _told(result: ProbeResult) -> Iterator[str]:
    """A probe's findings, for a person."""
    yield f"The camera plays over {result.transport}."
    for seen in result.tracks:
        track = seen.track
        facts = [
            track.name or "unknown",
            f"profile {track.profile}" if track.profile else "",
            f"{seen.width}x{seen.height}" if seen.width else f"{track.clock_rate} Hz",
            f"{seen.frame_rate:g} frames/s" if seen.frame_rate else "",
            f"a keyframe every {seen.keyframe_interval:g} s" if seen.keyframe_interval else "",
            f"{seen.bitrate / 1000:.0f} kbit/s" if seen.bitrate else "",
        ]
        yield f"{track.kind}: {', '.join(filter(None, facts))}"
    yield from result.problems


# The simulated camera


def _demo_option(name: str, text: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    variable = f"CAMSHAFT_DEMO_CAMERA_{name.strip('-').upper()}"
    shown = f"; default: {more['default']}" if "default" in more else ""
    return click.option(name, envvar=variable, help=f"{text}  [{variable}{shown}]", **more)


@cli.command("demo-camera")
@_demo_option("--listen", "RTSP address.", metavar="HOST:PORT", default="127.0.0.1:8554")
@_demo_option("--user", "Require this user, and the password in CAMSHAFT_DEMO_CAMERA_PASSWORD.", metavar="NAME")
@_demo_option("--audio", "Codec of the sound.", type=click.Choice(["opus", "pcmu", "none"]), default="opus")
@_demo_option("--size", "Size of the picture.", metavar="WIDTHxHEIGHT", default="1280x720")
@_demo_option("--fps", "Pictures a second.", type=click.IntRange(1, 60), default=30)
@_demo_option("--gop", "Seconds from one keyframe to the next.", type=click.FloatRange(0.1, 60), default=2.0)
@_demo_option(
    "--bitrate", "Bitrate of the picture, bit/s.", type=click.IntRange(50_000, 100_000_000), default=2_000_000
)
@configured("log")
def demo_camera(given: Given, listen: str, user: str | None, size: str, **options: Any) -> None:
    """Run a simulated camera: a clock and a beep each second, on any path.

    The picture's clock shows seconds and hundredths of this machine's time.
    """
    from camshaft.demo_camera.camera import run
    from camshaft.demo_camera.rtsp import Account
    from camshaft.demo_camera.settings import Audio, Settings

    reloader = reloading(given, "log")
    width, height = _size(size)
    settings = Settings(width, height, options["fps"], options["gop"], options["bitrate"], Audio(options["audio"]))
    account = Account(user, os.environ.get(_DEMO_PASSWORD, "")) if user else None

    async def main(stop: asyncio.Event) -> None:
        async with reloader.running():
            await run(settings, _listen(listen), account, stop)

    run_process("demo-camera", reloader, main)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        size = int(width), int(height)
    except ValueError:
        size = 0, 0
    if not (64 <= size[0] <= 7680 and 64 <= size[1] <= 4320) or size[0] % 2 or size[1] % 2:
        raise ConfigError(f"{text!r} is not WIDTHxHEIGHT with even numbers from 64x64 to 7680x4320", where="--size")
    return size


def _listen(text: str) -> str:
    try:
        split_listen(text)
    except ValueError as exc:
        raise ConfigError(str(exc), where="--listen") from None
    return text
