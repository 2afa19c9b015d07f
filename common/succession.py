"""Where a process that ends meets the one that takes its place, on one machine, and what both tell their supervisor.

``serve`` gives each egress the path of a Unix socket, in a directory of its own user's alone. The first process listens
there; one that is started under the same name while it does so is its successor (``egress.succession``). The supervisor
hears at ``serve`` beside it: ``wanted`` from one that ends and has no successor yet, ``ready`` from a successor. Who
wants one is answered, so that it does not wait for what never comes.
"""

from __future__ import annotations

import asyncio
import socket
from enum import StrEnum
from pathlib import Path

SUCCESSION = "CAMSHAFT_SUCCESSION"  # environment variable: the path
SUPERVISOR = "serve"  # name of the supervisor's socket
MAX_WORD = 256  # bytes


class Word(StrEnum):
    """The words to the supervisor; behind each stands the name of the program."""

    WANTED = "wanted"
    READY = "ready"


class Reply(StrEnum):
    """The supervisor's answers to ``Word.WANTED``."""

    COMING = "coming"  # a successor is there, or begins
    NONE = "none"


async def ask(path: Path, within: float) -> bool | None:
    """Ask the supervisor for a successor, by the path where it is to come to. Whether one comes.

    ``None`` if nobody answers within so many seconds: there is no supervisor, it stands still, or it is of a release
    that starts one and answers nothing.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        try:
            made.bind("")  # a name that the kernel chooses: unix(7), "autobind"
            made.connect(str(path.with_name(SUPERVISOR)))  # and nobody else is heard
            made.send(_said(path, Word.WANTED))
            async with asyncio.timeout(within):
                answer = await asyncio.get_running_loop().sock_recv(made, MAX_WORD)
        except (OSError, TimeoutError):
            return None
    return answer == Reply.COMING.encode()


def tell(path: Path, word: Word) -> bool:
    """Tell the supervisor, by the path where successors come to. ``False`` if it does not listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        try:
            made.sendto(_said(path, word), str(path.with_name(SUPERVISOR)))
        except OSError:
            return False
    return True


def _said(path: Path, word: Word) -> bytes:
    return f"{word} {path.name}".encode()
