"""The process of ``rigs.cradle``: it imports the product, and forks what is ``camshaft`` in the world of who asks."""

from __future__ import annotations

import ctypes
import os
import resource
from collections.abc import Sequence

from camshaft.cli import cli
from camshaft.nursery import be
from camshaft.serve import IMPORTED
from rigs.cradle import DESCRIPTORS, DIRECTORY, NETWORK, OUTPUT

CLONE_NEWNET = 0x40000000  # linux/sched.h


def _become(arguments: Sequence[str]) -> None:
    """Be ``camshaft`` in the world of who asked for it."""
    os.chdir(os.environ.pop(DIRECTORY))
    soft, hard = map(int, os.environ.pop(DESCRIPTORS).split(":"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    output = int(os.environ.pop(OUTPUT))
    if network := os.environ.pop(NETWORK, None):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(int(network), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(int(network))
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    cli([*arguments], prog_name="camshaft")


if __name__ == "__main__":
    be(IMPORTED, _become)
