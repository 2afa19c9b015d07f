"""The nursery where its supervisor has given it up; all else of it is tried with the supervisor."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal
from camshaft import nursery

def main(arguments):
    os.write(int(os.environ["OUT"]), b"ran")

nursery.TIMEOUT = 0.001
opened = nursery.Nursery.opened([], main)
if opened is None:
    print("impossible")
    raise SystemExit
reading, writing = os.pipe()
os.kill(opened._pid, signal.SIGSTOP)  # a machine that swaps
try:
    opened.start(["x"], {}, {"OUT": writing})
except nursery.NurseryGoneError:
    print("gone")
os.close(writing)
os.kill(opened._pid, signal.SIGCONT)
opened._connection.settimeout(60)
opened._connection.recv(4)  # it has forked all the same
print(os.read(reading, 10))
opened.close()
"""


def test_a_process_that_the_supervisor_has_given_up_does_not_begin() -> None:
    """Another one was started in its place."""
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, stdout=subprocess.PIPE, text=True, timeout=60)
    assert run.stdout in ("gone\nb''\n", "impossible\n")
