"""``camshaft logs``: what all processes on this machine say, as they say it."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import click
import structlog

from camshaft.options import Given, configured
from common.errors import ConfigError
from common.log import printable
from common.log_taps import followed

BEFORE = (
    "what was said before stands where the standard error of `camshaft serve` goes, such as `journalctl -u camshaft` "
    "or `docker compose logs`; follow what is said from now on with -f"
)


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Show each line as it is written, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, for programs.")
@configured("broker")
def logs(given: Given, follow: bool, as_json: bool) -> None:
    """Follow the log of all processes on this machine.

    It works for the user that runs them, and for root, who has to name their bus: --broker-address ipc:///run/camshaft/bus.
    """
    if not follow:
        raise click.UsageError(BEFORE)
    from common.claim import seems_served
    from common.endpoints import Endpoints

    endpoints = Endpoints.parse(given.config().broker.address)
    bus = endpoints.directory
    if bus is None:
        raise ConfigError("these processes are on several machines; each has its own log", key="broker.address")
    if bus.is_dir() and not seems_served(endpoints.control):
        click.echo(f"camshaft: no broker has its bus at {bus} now; what is said there will be shown", err=True)
    _follow(bus, as_json=as_json)


def _follow(bus: Path, *, as_json: bool) -> None:
    """Raises ``ConfigError``."""
    show = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback)
    for each in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what is listened at has to be removed
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, signal.default_int_handler)
    try:
        with followed(bus) as lines:
            for line in lines:
                click.echo(line if as_json else _shown(line, show))
    except BrokenPipeError:  # of `camshaft logs -f | head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python would still write at its end
    except OSError as exc:
        problem = f"there is no log to follow at {bus} ({exc.strerror}): no broker of this user has its bus there"
        raise ConfigError(problem, key="broker.address") from None
    except KeyboardInterrupt:
        return


def _shown(line: str, show: structlog.dev.ConsoleRenderer) -> str:
    """A line for people; one that is none of ours as it is. Nothing in it does anything to the terminal."""
    try:
        event = {
            printable(key): printable(value, but="\n\t") if isinstance(value, str) else value
            for key, value in json.loads(line).items()
        }
        return show(None, "", event)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return printable(line, but="\t")
