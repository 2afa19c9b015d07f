"""The place where processes of ``serve`` meet their successors, and what is heard there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from camshaft.children import Children
from camshaft.nursery import Child
from camshaft.plan import Program
from camshaft.successions import MAX_IN_VAIN, PREFIX, Successions, heir_of
from common.control import Role
from common.succession import SUCCESSION, SUPERVISOR, Word, ask, tell
from rigs.waiting import until
from tests.camshaft.test_children import Process

PATIENCE = 20.0  # seconds
NAME = "egress-0"
PROGRAMS = [Program(NAME, (), {}, role=Role.EGRESS), Program("broker", (), {})]


class Stage:
    """Programs that run as long as a test wants them to."""

    def __init__(self) -> None:
        self.children = Children(lambda _: None)
        self.started: dict[str, Process] = {}
        self.held = asyncio.Event()  # what is started runs when this is set
        self.held.set()
        self.successions = Successions(PROGRAMS, self.children, self.start)

    def start(self, program: Program, name: str) -> asyncio.Task[int]:
        return asyncio.create_task(self._run(name))

    async def _run(self, name: str) -> int:
        await self.held.wait()
        self.started[name] = Process()
        hearing, beating = socket.socketpair()
        with beating:
            return await self.children.ended(name, cast(Child, self.started[name]), hearing.detach())

    async def runs(self, name: str) -> Process:
        async with asyncio.timeout(PATIENCE):
            await self.children.begun(name)
        return self.started[name]

    async def told(self, path: Path, word: str, name: str = NAME) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as caller:
            caller.sendto(f"{word} {name}".encode(), str(path.with_name(SUPERVISOR)))
        await asyncio.sleep(0.02)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the system keeps such directories."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
async def stage(runtime: Path) -> Stage:
    made = Stage()
    made.successions.open()
    return made


@pytest.fixture
async def path(stage: Stage) -> AsyncIterator[Path]:
    """Where the first egress meets its successor."""
    yield Path(stage.successions.placed(PROGRAMS[0]).environ[SUCCESSION])
    stage.successions.close()


async def test_one_is_started_where_it_is_asked_for_and_has_the_name_at_last(stage: Stage, path: Path) -> None:
    first = stage.start(PROGRAMS[0], NAME)
    process = await stage.runs(NAME)
    await stage.told(path, "wanted")
    heir = await stage.runs(heir_of(NAME))
    assert stage.successions.stands_by(NAME) is False
    assert tell(path, Word.READY)
    await until(lambda: stage.successions.stands_by(NAME), PATIENCE)
    process.over.set()
    await first
    following = asyncio.create_task(stage.successions.succeed(NAME))
    await stage.runs(NAME)
    assert [*stage.children.names] == [NAME]
    heir.over.set()
    assert await following == 3
    assert stage.successions.stands_by(NAME) is None


async def test_one_that_ended_long_ago_does_not_stand_for_the_program(stage: Stage, path: Path) -> None:
    """Its exit code would be taken for that of a start that never was: of an address in use, all of ``serve`` ends."""
    stage.start(PROGRAMS[0], NAME)
    process = await stage.runs(NAME)
    stage.successions.stand_by(NAME)
    (await stage.runs(heir_of(NAME))).over.set()
    process.over.set()
    await until(lambda: not stage.children.names, PATIENCE)
    assert await stage.successions.succeed(NAME) is None


async def test_one_that_cannot_be_started_is_not_waited_for(stage: Stage, path: Path) -> None:
    stage.start(PROGRAMS[0], NAME)
    await stage.runs(NAME)
    stage.held.clear()
    stage.successions.stand_by(NAME)
    [heir] = stage.successions.heirs
    following = asyncio.create_task(stage.successions.succeed(NAME))
    await asyncio.sleep(0)
    heir.cancel()
    assert await asyncio.wait_for(following, PATIENCE) is None


@pytest.mark.parametrize(
    "said",
    ["wanted nobody", "wanted broker", "wanted egress-0+", "ready nobody", "READY egress-0", "", "\0", "x" * 300],
)
async def test_words_that_mean_nothing_start_nothing_and_are_not_kept(stage: Stage, path: Path, said: str) -> None:
    stage.start(PROGRAMS[0], NAME)
    await stage.runs(NAME)
    word, _, name = said.partition(" ")
    await stage.told(path, word, name)
    assert [*stage.children.names] == [NAME]
    assert not stage.successions._ready
    await stage.told(path, "ready")  # nobody stands by
    assert stage.successions.stands_by(NAME) is None
    assert not stage.successions._ready


async def test_one_that_is_asked_for_again_and_again_is_started_once(stage: Stage, path: Path) -> None:
    stage.start(PROGRAMS[0], NAME)
    await stage.runs(NAME)
    for _ in range(40):
        tell(path, Word.WANTED)
    await stage.runs(heir_of(NAME))
    await asyncio.sleep(0.05)
    assert sorted(stage.children.names) == [NAME, heir_of(NAME)]


async def test_who_asks_for_one_hears_whether_it_comes(stage: Stage, path: Path) -> None:
    assert await ask(path, PATIENCE) is False, "the program does not run"
    stage.start(PROGRAMS[0], NAME)
    await stage.runs(NAME)
    assert await ask(path, PATIENCE) is True
    await stage.runs(heir_of(NAME))
    assert await ask(path, PATIENCE) is True, "it is there"
    stage.successions.close()
    assert await ask(path, PATIENCE) is None


async def test_no_more_come_where_several_ended_before_they_were_ready(stage: Stage, path: Path) -> None:
    """As where what is installed now lacks a module: who ends is not to wait for what never comes."""
    first = stage.start(PROGRAMS[0], NAME)
    process = await stage.runs(NAME)
    for _ in range(MAX_IN_VAIN):
        assert await ask(path, PATIENCE) is True
        (await stage.runs(heir_of(NAME))).over.set()
        await until(lambda: stage.successions.stands_by(NAME) is None, PATIENCE)
    assert await ask(path, PATIENCE) is False
    process.over.set()
    await first
    assert await stage.successions.succeed(NAME) is None
    stage.start(PROGRAMS[0], NAME)
    await stage.runs(NAME)
    assert await ask(path, PATIENCE) is True, "the program itself began meanwhile"


async def test_a_supervisor_that_stands_still_is_not_waited_for(runtime: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as still:
        still.bind(str(runtime / SUPERVISOR))
        assert await ask(runtime / NAME, 0.05) is None


def listened_in(directory: Path) -> socket.socket:
    directory.mkdir(mode=0o700)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(directory / SUPERVISOR))
    (directory / NAME).touch()
    return made


async def test_the_directory_of_a_supervisor_that_was_killed_is_removed_by_the_next(runtime: Path) -> None:
    killed, lives = runtime / f"{PREFIX}killed", runtime / f"{PREFIX}lives"
    others = [runtime / f"{PREFIX}of-another-program", runtime / f"{PREFIX}open-to-all", runtime / "elsewhere"]
    listened_in(killed).close()
    others[0].mkdir(mode=0o700)
    for directory in others[1:]:
        listened_in(directory).close()
        directory.chmod(0o755)
    (runtime / f"{PREFIX}link").symlink_to(others[2])
    with listened_in(lives):
        stage = Stage()
        stage.successions.open()
        left = {each.name for each in runtime.iterdir()}
        assert killed.name not in left
        assert {lives.name, f"{PREFIX}link", *(each.name for each in others)} <= left
        stage.successions.close()
    assert len([*runtime.iterdir()]) == len(left) - 1
