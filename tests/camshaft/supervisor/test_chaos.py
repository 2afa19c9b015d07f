"""Processes die, hang, drain and hand over at random, and upgrades come; then each program runs once.

All of them end whenever the supervisor is to.
"""

from __future__ import annotations

import asyncio
import types
from pathlib import Path
from random import Random

import pytest

from camshaft import reserves, supervisor
from camshaft.plan import Program
from camshaft.supervisor import Supervisor
from common.control import Role
from common.demand import Demand
from tests.fakes.crew import Crew
from tests.fakes.virtual_loop import VirtualLoop

PROGRAMS = (
    Program("relay", (), {}),
    Program("broker", (), {}, tells=True),
    *(Program(f"ingest-{n}", (), {}, role=Role.INGEST) for n in range(2)),
    *(Program(f"egress-{n}", (), {}, role=Role.EGRESS, tells=True) for n in range(2)),
    *(Program(f"egress-{n}", (), {}, role=Role.EGRESS, reserve=True, tells=True) for n in (2, 3)),
    Program("transcode-0", (), {}, role=Role.TRANSCODE, reserve=True),
)
LASTS = 120.0  # seconds of chaos
QUIET = 240.0  # seconds in which everything comes right: a whole upgrade, and the longest patience of any of its steps
END = 5.0  # seconds for the end of all


async def _lives(seed: int, *, calm: bool) -> None:
    chance = Random(seed)
    crew = Crew(chance)
    loop = asyncio.get_running_loop()

    async def ready() -> tuple[bool, str]:
        return True, ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "Starter", lambda *_: crew)
        patch.setattr(supervisor, "time", types.SimpleNamespace(monotonic=loop.time))
        patch.setattr(Supervisor, "_take_signals", lambda _self: None)
        patch.setattr(reserves, "QUIET", 10.0)
        stop = asyncio.Event()
        made = Supervisor(PROGRAMS, ready=ready, announce=bool, command=())
        running = asyncio.ensure_future(made.run(stop))
        try:
            await asyncio.sleep(5.0)
            until = loop.time() + LASTS
            while loop.time() < until:
                await asyncio.sleep(chance.choice((0.0, 0.1, 1.0, 4.0)))
                crew.fails = chance.choice((0.0, 0.0, 0.3))
                crew.demands = chance.choice(((Demand.MUCH,), (Demand.NONE,), tuple(Demand)))
                if chance.random() < 0.1:
                    made._upgrade()
                else:
                    crew.something_happens()
            if calm:
                crew.fails, crew.demands = 0.0, (Demand.NONE,)
                await asyncio.sleep(QUIET)
                assert not running.done()
                wanted = sorted(each.name for each in PROGRAMS if not each.reserve)
                assert sorted(each.program.name for each in crew.working()) == wanted
                assert sorted(made._children.names) == wanted
                assert (made._renewed, made._leaving, made._rolls()) == (set(), set(), False)
            stop.set()
            async with asyncio.timeout(END):
                assert await running == 0
            assert crew.working() == []
        finally:
            running.cancel()
            for each in crew.working():
                each.end(-9)
            await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("calm", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_each_program_runs_once_and_all_end(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, calm: bool
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(_lives(seed, calm=calm))
