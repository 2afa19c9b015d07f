"""A small program for the supervisor to run: behaves as its first argument says, and writes down that it was started.

``program.py BEHAVIOUR NAME DIRECTORY``: appends its process id to ``DIRECTORY/NAME``, and one that reloads also to
``DIRECTORY/NAME.reloads``, each time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from common import process
from common.succession import SUCCESSION, Word, tell


async def wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def blocked_once(stop: asyncio.Event) -> None:
    """Hang at the first start, be well at the second."""
    name, directory = sys.argv[2:4]
    if len((Path(directory) / name).read_text().split()) == 1:
        time.sleep(60)  # noqa: ASYNC251 - as what never returns
    await stop.wait()


async def heir(stop: asyncio.Event) -> None:
    """Be ready to take over; when told to end, wait for whoever takes over from us."""
    name, directory = sys.argv[2:4]
    place = Path(os.environ[SUCCESSION])
    tell(place, Word.READY)
    await stop.wait()
    started = (Path(directory) / name).read_text().split()
    if started[-1] == str(os.getpid()) and tell(place, Word.WANTED):
        while (Path(directory) / name).read_text().split()[-1] == str(os.getpid()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def config_error(stop: asyncio.Event) -> None:
    raise process.ConfigError("is wrong", where="camshaft.yaml, line 7", key="media.port")


async def address_in_use(stop: asyncio.Event) -> None:
    raise process.AddressInUseError("media", "UDP port 8189", "--media-port")


def main() -> int:
    behaviour, name, directory = sys.argv[1:4]
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with (Path(directory) / name).open("a") as file:
        print(os.getpid(), file=file)
    if behaviour == "crash":
        return 1
    if behaviour == "stubborn":
        time.sleep(60)
    mains = {"config-error": config_error, "address-in-use": address_in_use, "blocked-once": blocked_once, "heir": heir}

    def reload() -> None:
        with (Path(directory) / f"{name}.reloads").open("a") as file:
            print(os.getpid(), file=file)

    return process.run(mains.get(behaviour, wait), reload if behaviour == "reloads" else None)


if __name__ == "__main__":
    sys.exit(main())
