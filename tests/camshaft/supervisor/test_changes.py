"""A configuration that has changed is passed on to real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.fakes.supervised import Cluster, catches, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("hang_up")
def test_a_change_is_passed_on_to_those_that_take_it(cluster: Callable[..., Cluster]) -> None:
    serve = cluster(broker="reloads", egress_0="reloads")
    serve.started("broker")
    serve.started("egress-0")
    serve.become_ready()
    wait_until(lambda: catches(serve.process.pid, signal.SIGHUP), "it has not begun")
    serve.process.send_signal(signal.SIGHUP)
    serve.started("broker.reloads")
    (serve.directory / "changed").write_text("limits.offers log.level")
    serve.process.send_signal(signal.SIGHUP)
    serve.started("broker.reloads", 2)
    serve.started("egress-0.reloads")
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert len(serve.pids("egress-0.reloads")) == 1


@pytest.mark.usefixtures("hang_up")
def test_a_program_that_has_just_begun_is_told_when_it_listens(cluster: Callable[..., Cluster]) -> None:
    """SIGHUP before that would end it."""
    serve = cluster(broker="reloads")
    first = serve.started("broker")
    wait_until(lambda: catches(serve.process.pid, signal.SIGHUP), "it has not begun")
    os.kill(first, signal.SIGKILL)
    second = serve.started("broker", 2)
    serve.process.send_signal(signal.SIGHUP)
    assert serve.started("broker.reloads") == second
    serve.process.terminate()
    assert serve.end()[0] == 0
    assert serve.pids("broker") == [first, second]
