"""``serve`` with fake programs: ``serve.py DIRECTORY NAME=BEHAVIOUR...``. Ready when ``DIRECTORY/ready`` exists."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from camshaft import restarts
from camshaft.plan import Program
from camshaft.supervisor import Supervisor
from common import log, process

PROGRAM = Path(__file__).with_name("program.py")


def main() -> int:
    directory = Path(sys.argv[1])
    plan = [
        Program(name, (behaviour, name, str(directory)), os.environ)
        for name, behaviour in (argument.split("=") for argument in sys.argv[2:])
    ]
    restarts.MAX_FALSE_STARTS = int(os.environ.get("FAKE_FALSE_STARTS", restarts.MAX_FALSE_STARTS))
    log.configure("debug", "json", node="serve")

    async def ready() -> tuple[bool, str]:
        return (directory / "ready").exists(), "no file"

    async def run(stop: asyncio.Event) -> None:
        nonlocal code
        supervisor = Supervisor(
            plan, ready=ready, announce=lambda: print("ready", flush=True), command=(sys.executable, str(PROGRAM))
        )
        code = await supervisor.run(stop)

    code = 0
    return process.run(run) or code


if __name__ == "__main__":
    sys.exit(main())
