"""Viewers by TCP: their connections go along, and those of sessions that do not are closed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from egress.succession import parting, telling
from egress.succession.states import SessionState
from egress.viewer import Viewer
from tests.egress.test_worker_by_tcp import hears, watch_by_tcp
from tests.fakes.egress_processes import PATIENCE, Processes, one, until
from tests.fakes.egress_worker import NODE


@pytest.mark.thorough
async def test_a_connection_goes_on_and_one_whose_session_does_not_is_closed(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def state_of(viewer: Viewer) -> SessionState:
        state = parting.state_of(viewer)
        return replace(state, principal="x" * 2_000) if viewer.session == "s2" else state  # which cannot be read

    monkeypatch.setattr(telling, "state_of", state_of)
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        first, second = await watch_by_tcp(broker, "s1"), await watch_by_tcp(broker, "s2")
        async with first, second:
            await broker.until(lambda: broker.watches("yard"))
            await hears(broker, first, 20)
            await hears(broker, second, 5)
            processes.start(group)
            await until(lambda: processes.log.of("a successor is ready"))
            processes.stops[0].ask()
            await asyncio.wait_for(processes.tasks[0], PATIENCE)
            await second.ends()
            assert second.browser.closed, "after its last words"
            await hears(broker, first, 50)
            assert first.browser.duplicates == 0
            numbers = [packet.sequence_number for packet in first.browser.packets]
            assert numbers == [numbers[0] + place & 0xFFFF for place in range(len(numbers))]
            await broker.until(lambda: broker.reports[NODE].counters.get("tcp_connections") == 1)
            assert [viewer.transport for viewer in processes.report.viewers] == ["tcp"]
        processes.stops[1].ask(at_once=True)
