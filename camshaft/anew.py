"""The nursery of a ``serve`` whose first one is gone: a program that imports what is installed now, and then forks."""

from __future__ import annotations

from camshaft.cli import begin_process
from camshaft.nursery import be
from camshaft.serve import IMPORTED

if __name__ == "__main__":
    be(IMPORTED, begin_process)
