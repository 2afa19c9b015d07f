"""``python -m bench``: scenarios, a plain load, and the measurement of any WHEP server."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click
import psutil

from bench.measure import Meter, memory
from bench.results import Result, Run
from bench.rig import JOINS_A_SECOND, SETTLE, Plan
from bench.scenarios import SCENARIOS
from bench.scenarios.replacing import KILLED
from bench.servers import Server
from bench.servers.camshaft import Camshaft
from bench.servers.peers import Go2Rtc, Janus, MediaMtx
from rigs.load.crowd import PROFILES, Crowd
from rigs.load.signalling import Whep
from rigs.load.tap import Tap
from rigs.load.viewer import Options
from rigs.process import forbid_real_time

PEERS = "mediamtx=PATH, go2rtc=PATH, janus, or camshaft=CHECKOUT, which is another version of ours"
RESULTS = Path(__file__).with_name("results")

_load_options = [
    click.option("--viewers", type=click.IntRange(1), help="Number of viewers."),
    click.option("--seconds", type=float, default=20.0, show_default=True, help="Length of a steady window."),
    click.option(
        "--gro", is_flag=True, help="Receive trains of packets whole (UDP_GRO); cheaper than any real network."
    ),
    click.option("--no-nack", is_flag=True, help="Do not ask for lost packets again."),
    click.option("--srtp", multiple=True, help="SRTP profile to use, best first; repeatable."),
]


def load_options(command: Any) -> Any:
    """The options that every load has."""
    for option in reversed(_load_options):
        command = option(command)
    return command


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure what servers spend on WebRTC viewers. Without a command: run the scenario fanout."""
    forbid_real_time()
    if context.invoked_subcommand is None:
        context.invoke(run, names=("fanout",), viewers=None, seconds=20.0, no_nack=False, srtp=())


@main.command(name="list")
def list_scenarios() -> None:
    """Name the scenarios."""
    for name, scenario in SCENARIOS.items():
        click.echo(f"{name:12} {scenario.summary}")


@main.command()
@click.argument("names", nargs=-1, type=click.Choice([*SCENARIOS, "all"]), required=True)
@load_options
@click.option("--peer", "peers", multiple=True, help=f"{PEERS}; repeatable.")
@click.option("--ingest", default=1, show_default=True, help="Ingest processes of the cluster.")
@click.option("--egress", default=1, show_default=True, help="Egress processes of the cluster.")
@click.option(
    "--transport", type=click.Choice(["tcp", "udp"]), default="tcp", help="How the cameras of `ingest` are pulled."
)
@click.option(
    "--rounds",
    default=1,
    show_default=True,
    help="Turns that each server takes in `loads` and `growth`; ends of each role in `kills` and `rolling`, else 20.",
)
@click.option("--sound", is_flag=True, help="Let the cameras of `loads` and `growth` send Opus as well.")
@click.option(
    "--role", "roles", multiple=True, type=click.Choice(KILLED), help="In `kills` and `rolling`, not all; repeatable."
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="Directory for the results.")
def run(
    names: tuple[str, ...],
    peers: tuple[str, ...],
    ingest: int,
    egress: int,
    transport: str,
    rounds: int,
    sound: bool,
    roles: tuple[str, ...],
    out: Path,
    **load: Any,
) -> None:
    """Run scenarios, one after the other, and write their results as JSON and Markdown."""
    reached = True
    for name in SCENARIOS if "all" in names else names:
        started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        result = Result(name, _command_line(), started)
        servers = [_peer(peer) for peer in peers]
        cache = out.absolute() / "clips"
        ours = Camshaft(ingest, egress)
        rest = {"transport": transport, "rounds": rounds, "sound": sound, "roles": roles, **_plan(load)}
        plan = Plan(result, ours, servers, cache=cache, **rest)
        try:
            _run(SCENARIOS[name].run(plan))
        finally:  # what was measured before something failed is kept
            click.echo(result.to_markdown())
            click.echo(f"-> {result.write(out)}")
        reached = reached and all(check.reached for check in result.checks)
    sys.exit(0 if reached else 1)


@main.command()
@click.option("--whep", "urls", multiple=True, required=True, help="WHEP URL; repeatable, viewers spread over them.")
@click.option("--pid", "pids", multiple=True, help="PID or ROLE=PID of the server's processes; repeatable.")
@click.option("--camera", help="RTSP URL of the camera that the first URL shows, to measure the delay from it.")
@click.option("--rate", default=JOINS_A_SECOND, show_default=True, help="Joins a second.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory for the results.")
@load_options
def measure(
    urls: tuple[str, ...], pids: tuple[str, ...], camera: str | None, rate: float, out: Path | None, **load: Any
) -> None:
    """Measure a WHEP server that is already running."""
    started = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = Result("measure", _command_line(), started)
    _run(_measure(result, urls, _roles(pids), camera, rate, **_plan(load)))
    click.echo(result.to_markdown())
    if out is not None:
        click.echo(f"-> {result.write(out)}")


@main.command(name="load")
@click.option("--whep", "urls", multiple=True, required=True, help="WHEP URL; repeatable, viewers spread over them.")
@click.option("--rate", default=JOINS_A_SECOND, show_default=True, help="Joins a second.")
@click.option("--leave", type=float, help="Let so many viewers a second leave and others join in their place.")
@click.option("--remb", type=int, default=0, help="Bandwidth in bit/s that viewers report as their estimate.")
@click.option("--twcc", is_flag=True, help="Send transport-wide feedback instead of REMB.")
@click.option("--each", is_flag=True, help="Report every viewer, not only their sum.")
@load_options
def generate(
    urls: tuple[str, ...], rate: float, leave: float | None, remb: int, twcc: bool, each: bool, **load: Any
) -> None:
    """Load a WHEP server and report what the viewers saw, as JSON."""
    plan = _plan(load)
    options = Options(nack=plan["options"].nack, remb=remb, twcc=twcc)
    ways = [Whep(url) for url in urls]
    window = _run(_generate(ways, rate, leave, options, **{k: v for k, v in plan.items() if k != "options"}))
    click.echo(json.dumps(window.to_json(viewers=each), indent=1))


async def _measure(
    result: Result,
    urls: tuple[str, ...],
    pids: dict[str, list[int]],
    camera: str | None,
    rate: float,
    *,
    viewers: int | None,
    seconds: float,
    gro: bool,
    options: Options,
    profiles: tuple[str, ...],
) -> None:
    idle = {role: memory(members) for role, members in pids.items()}
    async with contextlib.AsyncExitStack() as stack:
        tap = await stack.enter_async_context(Tap(camera)) if camera else None
        crowd = await stack.enter_async_context(Crowd(options, profiles=profiles, gro=gro, timeline=tap))
        await _join(crowd, [Whep(url) for url in urls], viewers or 10, rate)
        await asyncio.sleep(SETTLE)
        meter = Meter({**pids, "load": [os.getpid()]})
        crowd.begin()
        await asyncio.sleep(seconds)
        measured, window = meter.read(), crowd.end()
    name = psutil.Process(next(iter(pids.values()))[0]).name() if pids else "server"
    result.runs.append(Run(name, "", "as it runs", len(urls), len(window.viewers), measured, window, idle))


async def _generate(
    ways: list[Whep],
    rate: float,
    leave: float | None,
    options: Options,
    *,
    viewers: int | None,
    seconds: float,
    gro: bool,
    profiles: tuple[str, ...],
) -> Any:
    async with Crowd(options, profiles=profiles, gro=gro) as crowd:
        await _join(crowd, ways, viewers or 10, rate)
        crowd.begin()
        end = time.monotonic() + seconds
        while leave and time.monotonic() < end:
            await crowd.leave(crowd.members[:1])
            await crowd.join(ways[0])
            await asyncio.sleep(1 / leave)
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        return crowd.end()


async def _join(crowd: Crowd, ways: list[Whep], viewers: int, rate: float) -> None:
    await crowd.spread(ways, viewers, a_second=rate)
    if not crowd.members:
        raise click.ClickException(f"nobody could join: {'; '.join(sorted(set(crowd.end().failures)))}")
    await crowd.watching()


def _plan(load: dict[str, Any]) -> dict[str, Any]:
    return {
        "viewers": load["viewers"],
        "seconds": load["seconds"],
        "gro": load["gro"],
        "options": Options(nack=not load["no_nack"]),
        "profiles": load["srtp"] or PROFILES,
    }


def _peer(text: str) -> Server:
    name, _equals, path = text.partition("=")
    if name == "mediamtx" and path:
        return MediaMtx(str(Path(path).absolute()))
    if name == "go2rtc" and path:
        return Go2Rtc(str(Path(path).absolute()))
    if name == "janus":
        return Janus(path) if path else Janus()
    if name == "camshaft" and path:
        checkout = Path(path).absolute()
        return Camshaft(name=f"Camshaft of {checkout.name}", checkout=checkout)
    raise click.BadParameter(f"{text!r} is none of {PEERS}")


def _roles(pids: tuple[str, ...]) -> dict[str, list[int]]:
    roles: dict[str, list[int]] = {}
    for text in pids:
        role, _equals, number = text.rpartition("=")
        if not number.isdigit():
            raise click.BadParameter(f"{text!r} is neither PID nor ROLE=PID")
        roles.setdefault(role or "server", []).append(int(number))
    return roles


def _command_line() -> str:
    return f"python -m bench {shlex.join(sys.argv[1:])}"


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: servers that we have started are ended
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)
