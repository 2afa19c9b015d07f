"""A process that nobody watches ends when its loop hangs, and only then."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from common import own_watch as module
from common.own_watch import OwnWatch
from tests.common.test_process import line, program

LOOKS = 4
QUICK = "from common import own_watch\nown_watch.LOOK_INTERVAL = 0.02\n"
HANGS = QUICK + "def hang():\n    time.sleep(60)\n"
WATCHES = """
import threading
async def main(stop):
    say("own-watch" in [each.name for each in threading.enumerate()])
def run(**environ):
    os.environ.update(environ)
    process.run(main)
    time.sleep(0.3)
    os.environ.pop("WATCHDOG_USEC", None)
run()
run(WATCHDOG_USEC="60000000")
run(CAMSHAFT_PULSE_FD=str(os.pipe()[1]))
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.005)


@pytest.mark.usefixtures("quick")
def test_one_that_falls_silent_is_told_of_once() -> None:
    told = threading.Semaphore(0)
    with OwnWatch(LOOKS, told.release) as watch:
        watch.beat()
        assert told.acquire(timeout=10)
        assert not told.acquire(timeout=0.1)


@pytest.mark.usefixtures("quick")
def test_one_that_is_over_may_be_silent() -> None:
    told = threading.Semaphore(0)
    with OwnWatch(LOOKS, told.release) as watch:
        watch.beat()
    assert not told.acquire(timeout=0.1)


@pytest.mark.thorough
def test_a_process_that_was_stopped_goes_on_and_one_that_hangs_ends_and_says_where() -> None:
    with program(HANGS + "sys.exit(process.run(wait, hang, pulse=0.02, hung_looks=60))") as child:
        assert line(child) == "running"
        child.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        child.send_signal(signal.SIGCONT)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGHUP)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "the event loop hangs" in err
    assert "in hang" in err


def test_where_somebody_else_watches_it_does_not() -> None:
    """Alone, by systemd, by a supervisor."""
    with program(WATCHES) as child:
        out, _ = child.communicate(timeout=60)
    assert out.split() == ["True", "False", "False"]
