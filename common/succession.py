"""Where a process that ends meets the one that takes its place, on one machine, and what both tell their supervisor.

``serve`` gives each egress the path of a Unix socket, in a directory of its own user's alone. The first process listens
there; one that is started under the same name while it does so is its successor (``egress.succession``). The supervisor
hears at ``serve`` beside it: ``wanted`` from one that ends and has no successor yet, ``ready`` from a successor.
"""

from __future__ import annotations

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


def tell(path: Path, word: Word) -> bool:
    """Tell the supervisor, by the path where successors come to. ``False`` if it does not listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.setblocking(False)
        try:
            made.sendto(f"{word} {path.name}".encode(), str(path.with_name(SUPERVISOR)))
        except OSError:
            return False
    return True
