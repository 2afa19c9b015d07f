"""The order in which the processes of ``serve`` are replaced."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from camshaft import rolling
from camshaft.plan import Program, programs
from camshaft.rolling import roll, spare
from common.config import Config


class Fleet:
    """Processes that are well as soon as they are started, but for those that never are."""

    def __init__(
        self,
        plan: list[Program],
        never: str = "",
        hangs: str = "",
        *,
        killable: bool = True,
        heirs: bool = False,
        failures: int = 0,
        failed_before: str = "",
    ) -> None:
        self._failures, self._tried = failures, -1  # of what never is well
        self._failed_before = failed_before
        self._heirs = heirs  # whether successors get ready
        self.done: list[str] = []
        self._never = never
        self._hangs, self._killable = hangs, killable
        self._numbers = itertools.count(1)
        self._running = {program.name: next(self._numbers) for program in plan}

    def begin(self, program: Program) -> None:
        self.done.append(f"begin {program.name}")
        self._running[program.name] = next(self._numbers)

    def renew(self, name: str) -> None:
        self.done.append(f"renew {name}")
        if name != self._hangs:
            self._running[name] = next(self._numbers)

    def stand_by(self, name: str) -> str:
        if self._heirs:
            self.done.append(f"stand by {name}")
        return f"{name}+"

    def stands_by(self, name: str) -> bool | None:
        return True if self._heirs else None

    def leave(self, name: str) -> None:
        self.done.append(f"leave {name}")
        if name != self._hangs:
            del self._running[name]

    def kill(self, name: str) -> None:
        if name not in self._running:
            return
        self.done.append(f"kill {name}")
        if self._killable:
            self._running[name] = next(self._numbers)

    def process(self, name: str) -> int | None:
        began = any(name == self._never and step.endswith(name) for step in self.done)
        return None if began else self._running.get(name)

    def failures(self, name: str) -> int:
        if name == self._failed_before:
            return rolling.HOPELESS_AFTER
        began = name == self._never and f"begin {name}" in self.done
        self._tried += began
        return min(self._failures, self._tried) if began else 0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL", "SETTLED"):
        monkeypatch.setattr(rolling, name, 0.0)


def plan(**sections: object) -> list[Program]:
    config = Config.model_validate({"egress": {"workers": 2}, "transcode": {"workers": 0}, **sections})
    return programs(config, {}, cores=2, demo_port=8554)


async def test_workers_come_first_with_a_spare_to_hand_over_to_and_the_broker_last() -> None:
    fleet = Fleet(plan())
    assert await roll(plan(), fleet, drain=0.0)
    assert fleet.done == [
        "begin ingest-spare",
        "renew ingest-0",
        "leave ingest-spare",
        "begin egress-spare",
        "renew egress-0",
        "renew egress-1",
        "leave egress-spare",
        "renew broker",
    ]


async def test_an_egress_has_a_successor_that_takes_what_it_has() -> None:
    fleet = Fleet(plan(), heirs=True)
    assert await roll(plan(), fleet, drain=0.0)
    assert fleet.done[3:] == [
        "stand by egress-0",
        "renew egress-0",
        "stand by egress-1",
        "renew egress-1",
        "renew broker",
    ]


@pytest.mark.parametrize("never", ["egress-spare", "egress-0"])
async def test_what_does_not_become_well_ends_it_and_the_rest_goes_on(
    never: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "PATIENCE", 0.05)
    fleet = Fleet(plan(), never)
    assert not await roll(plan(), fleet, drain=0.0)
    assert "renew egress-1" not in fleet.done
    assert "renew broker" not in fleet.done
    assert fleet.done[-1] == "leave egress-spare"


async def test_what_dies_again_and_again_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    class Flapping(Fleet):
        def process(self, name: str) -> int | None:
            return next(self._numbers) if name == "egress-spare" else super().process(name)

    monkeypatch.setattr(rolling, "PATIENCE", 0.05)
    fleet = Flapping(plan())
    assert not await roll(plan(), fleet, drain=0.0)
    assert fleet.done[-2:] == ["begin egress-spare", "leave egress-spare"]


async def test_what_ends_again_and_again_is_not_waited_for() -> None:
    """As where what is installed now lacks a module: nothing that serves was told to end by then."""
    fleet = Fleet(plan(), "ingest-spare", failures=rolling.HOPELESS_AFTER)
    async with asyncio.timeout(5.0):
        assert not await roll(plan(), fleet, drain=0.0)
    assert fleet.done == ["begin ingest-spare", "leave ingest-spare"]


async def test_what_failed_before_an_upgrade_is_no_part_of_it() -> None:
    """As the broker did in the one before, which came to nothing for that."""
    fleet = Fleet(plan(), failed_before="broker")
    assert await roll(plan(), fleet, drain=0.0)
    assert fleet.done[-1] == "renew broker"


@pytest.mark.parametrize("hangs", ["egress-0", "egress-spare"])
async def test_what_does_not_end_is_killed_and_the_rest_goes_on(hangs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "END_GRACE", 0.05)
    fleet = Fleet(plan(), hangs=hangs)
    assert await roll(plan(), fleet, drain=0.0)
    assert [step for step in fleet.done if step.startswith("kill")] == [f"kill {hangs}"]
    assert fleet.done[-1] == "renew broker"


async def test_what_cannot_even_be_killed_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("END_GRACE", "PATIENCE"):
        monkeypatch.setattr(rolling, name, 0.05)
    fleet = Fleet(plan(), hangs="egress-0", killable=False)
    assert not await roll(plan(), fleet, drain=0.0)
    assert fleet.done[-2:] == ["kill egress-0", "leave egress-spare"]


def test_a_spare_takes_the_ports_that_come_next() -> None:
    last = plan(media={"port": 9000, "tcp": "7000"})[-1]
    assert (last.name, spare(last).name) == ("egress-1", "egress-spare")
    assert spare(last).arguments == ("egress", "--node", "egress-spare")
    assert spare(last).environ["CAMSHAFT_MEDIA_PORT"] == "9002"
    assert spare(last).environ["CAMSHAFT_MEDIA_TCP"] == "7002"
    assert spare(plan(media={"port": 0})[-1]).environ["CAMSHAFT_MEDIA_PORT"] == "0"
