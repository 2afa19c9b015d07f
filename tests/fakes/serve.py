"""``serve`` with fake programs: ``serve.py DIRECTORY NAME=BEHAVIOUR[:CPU]...``. Ready when DIRECTORY/ready exists.

Programs are forked from a nursery, unless FAKE_NURSERY is "no"; where it is "anew" another follows one that is gone,
and where it is "once" none can begin. On SIGHUP the keys in DIRECTORY/changed have changed: the broker takes cameras
and limits, all others limits.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from camshaft import restarts
from camshaft.nursery import CONNECTION, Nursery, be
from camshaft.plan import Program
from camshaft.supervisor import Supervisor
from common import log, process
from common.control import Role

PROGRAM = Path(__file__).with_name("program.py")


def _program(argument: str, directory: Path) -> Program:
    name, _, rest = argument.partition("=")
    behaviour, _, cpu = rest.partition(":")
    live = ("cameras", "limits") if name == "broker" else ("limits",)
    role = next((role for role in Role if name.startswith(role.value)), None)
    return Program(name, (behaviour, name, str(directory)), os.environ, int(cpu) if cpu else None, live, role)


def _program_main(arguments: Sequence[str]) -> None:
    from program import main as run  # beside us

    assert sys.argv[1:] == list(arguments)
    sys.exit(run())


ANEW = {"anew": (sys.executable, str(Path(__file__))), "once": (sys.executable, "-c", "")}


def main() -> int:
    if CONNECTION in os.environ:
        be(["program"], _program_main)
    nursery = None if os.environ.get("FAKE_NURSERY") == "no" else Nursery.opened(["program"], _program_main)
    directory = Path(sys.argv[1])
    plan = [_program(argument, directory) for argument in sys.argv[2:]]
    restarts.MAX_FALSE_STARTS = int(os.environ.get("FAKE_FALSE_STARTS", restarts.MAX_FALSE_STARTS))
    log.configure("debug", "json", node="serve")

    async def ready() -> tuple[bool, str]:
        return (directory / "ready").exists(), "no file"

    supervisor = Supervisor(
        plan,
        ready=ready,
        announce=lambda: print("ready", flush=True),
        command=(sys.executable, str(PROGRAM)),
        nursery=nursery,
        nursery_command=ANEW.get(os.environ.get("FAKE_NURSERY", ""), ()),
    )

    async def run(stop: asyncio.Event) -> None:
        nonlocal code
        code = await supervisor.run(stop)

    def changed() -> None:
        file = directory / "changed"
        supervisor.reload(file.read_text().split() if file.exists() else ())

    code = 0
    return process.run(run, changed) or code


if __name__ == "__main__":
    sys.exit(main())
