"""The configuration is read again when it has changed, and the log says what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common import reloader as module
from common.config import Config
from common.config_file import load
from common.errors import ConfigError
from common.live import Taken
from common.reloader import Look, Reloader, Settled, look_at

BOUND = 10.0  # seconds


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.02)
    monkeypatch.setattr(module, "TRY_INTERVAL", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "camshaft.yaml"
    file.write_text("limits: {offers: 1}")
    return file


class Watch:
    """Keeps what a reloader has done."""

    def __init__(self, reloader: Reloader) -> None:
        self.reloader = reloader
        self.taken: asyncio.Queue[Taken] = asyncio.Queue()
        reloader.on_taken = self.taken.put_nowait

    @property
    def offers(self) -> int:
        return self.reloader.live.running.limits.offers

    async def next(self) -> Taken:
        async with asyncio.timeout(BOUND):
            return await self.taken.get()


@asynccontextmanager
async def watching(file: Path, *more: Path, supervised: bool = False, **options: object) -> AsyncIterator[Watch]:
    reloader = Reloader(lambda: load(file, environ={}), (file, *more), supervised=supervised, **options)
    async with reloader.running():
        yield Watch(reloader)


async def logged(logs: list, words: str) -> dict:
    """The first line that holds these words."""
    async with asyncio.timeout(BOUND):
        while not (found := [line for line in logs if words in line["event"]]):  # noqa: ASYNC110 - a list has no event to wait for
            await asyncio.sleep(0.01)
    return found[0]


def replace(file: Path, text: str) -> None:
    """As editors do it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


@pytest.mark.parametrize("write", [Path.write_text, replace], ids=["written over", "replaced"])
async def test_a_file_that_changes_is_taken(file: Path, write: Callable[[Path, str], object]) -> None:
    with capture_logs() as logs:
        async with watching(file) as watch:
            write(file, "limits: {offers: 2, sessions: 3}\nmedia: {port: 7}")
            taken = await watch.next()
            assert (taken.changed, taken.at_restart) == (("limits.offers", "limits.sessions"), ("media.port",))
            assert watch.offers == 2
    assert [(line["event"], line.get("changed") or line.get("settings")) for line in logs] == [
        ("configuration read again", "limits.offers, limits.sessions"),
        ("some changed settings need a restart", "media.port"),
    ]


async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """Kubernetes: the file is a link to ``..data/file``, and ``..data`` is a link that is swapped."""
    for number in (1, 2):
        (tmp_path / f"v{number}").mkdir()
        (tmp_path / f"v{number}" / "camshaft.yaml").write_text(f"limits: {{offers: {number}}}")
        os.utime(tmp_path / f"v{number}" / "camshaft.yaml", ns=(1, 1))
    (tmp_path / "..data").symlink_to("v1")
    file = tmp_path / "camshaft.yaml"
    file.symlink_to("..data/camshaft.yaml")
    async with watching(file) as watch:
        (tmp_path / "..new").symlink_to("v2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await watch.next()
        assert watch.offers == 2


async def test_a_mistake_changes_nothing_and_is_told_once_and_then_mended(file: Path) -> None:
    with capture_logs() as logs:
        async with watching(file) as watch:
            file.write_text("limits: {offers: 2}\nhttp:\n  listn: x")
            line = await logged(logs, "has a mistake")
            assert f"{file}, line 3: http.listn: unknown key; did you mean listen?" in line["mistake"]
            assert watch.offers == 1
            await asyncio.sleep(0.2)
            file.write_text("limits: {offers: 3}")
            assert (await watch.next()).changed == ("limits.offers",)
    assert sum("mistake" in line["event"] for line in logs) == 1


async def test_a_file_that_is_half_written_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows from each look to the next: what is read is the whole."""
    parts = iter(["limits: {offers: 2}\n", "http:\n", "  hosts: [a.exa", "mple]\n"])

    def looked_at(files: tuple[Path, ...]) -> tuple[Look, ...]:
        looks = look_at(files)
        with file.open("a") as writing:
            writing.write(next(parts, ""))
        return looks

    with capture_logs() as logs:
        async with watching(file) as watch:
            file.write_text("")
            monkeypatch.setattr(module, "look_at", looked_at)
            taken = await watch.next()
            assert taken.changed == ("http.hosts", "limits.offers")
    assert not [line for line in logs if line["log_level"] == "error"]


@pytest.mark.parametrize(("text", "words"), [("", "is empty; write {}"), (None, "is gone")])
async def test_an_empty_or_missing_file_takes_no_camera_away(file: Path, text: str | None, words: str) -> None:
    with capture_logs() as logs:
        async with watching(file) as watch:
            if text is None:
                file.unlink()
            else:
                file.write_text(text)
            line = await logged(logs, "has a mistake")
            assert words in line["mistake"] or (text is None and "cannot be read" in line["mistake"])
            assert watch.offers == 1
            file.write_text("{}")
            assert (await watch.next()).changed == ("limits.offers",)


async def test_a_file_that_was_not_there_is_taken_when_it_comes(tmp_path: Path) -> None:
    file = tmp_path / "camshaft.yaml"
    reloader = Reloader(lambda: load(file if file.exists() else None, environ={}), (file,))
    async with reloader.running():
        watch = Watch(reloader)
        file.write_text("limits: {offers: 9}")
        await watch.next()
        assert watch.offers == 9


async def test_who_asks_is_answered_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 60.0)
    with capture_logs() as logs:
        async with watching(file) as watch:
            watch.reloader.ask()
            assert (await watch.next()).changed == ()
            file.write_text("limits: {offers: 2}")
            watch.reloader.ask()
            assert (await watch.next()).changed == ("limits.offers",)
    assert [line["event"] for line in logs] == [
        "configuration read again; nothing has changed",
        "configuration read again",
    ]


async def test_one_that_is_supervised_looks_at_no_file_and_leaves_the_telling_to_others(file: Path) -> None:
    with capture_logs() as logs:
        async with watching(file, supervised=True) as watch:
            file.write_text("limits: {offers: 2}\nmedia: {port: 7}")
            await asyncio.sleep(0.2)
            assert watch.taken.empty()
            watch.reloader.ask()
            await watch.next()
            assert watch.offers == 2
    assert not [line for line in logs if line["log_level"] != "debug"]


async def test_only_what_concerns_a_process_is_told(file: Path) -> None:
    with capture_logs() as logs:
        async with watching(file, sections=("media", "limits")) as watch:
            file.write_text("media: {port: 7}\nhttp: {listen: ':1'}\ncameras: {a: {url: rtsp://a/}}")
            await watch.next()
    assert [line.get("changed") or line.get("settings") for line in logs] == ["limits.offers", "media.port"]


async def test_a_long_list_is_cut(file: Path) -> None:
    with capture_logs() as logs:
        async with watching(file) as watch:
            file.write_text("cameras:\n" + "".join(f"  c{number}: {{url: rtsp://h/}}\n" for number in range(50)))
            await watch.next()
    assert logs[0]["changed"].endswith("cameras.c19 and 31 more")


async def test_a_file_that_holds_a_secret_is_looked_at_too(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "turn"
    secret.write_text("turn:u:hunter2@h:1")
    environ = {"CAMSHAFT_HTTP_ICE_SERVERS_FILE": str(secret)}
    reloader = Reloader(lambda: load(file, environ=environ), (file, secret))
    with capture_logs() as logs:
        async with reloader.running():
            watch = Watch(reloader)
            secret.write_text("turn:u:hunter3@h:1")
            assert (await watch.next()).changed == ("http.ice_servers",)
    assert "hunter" not in str(logs)


async def test_a_file_that_never_stands_still_is_not_taken(file: Path) -> None:
    number = 0

    def rewriting() -> Config:
        nonlocal number
        number += 1
        file.write_text(f"limits: {{offers: {number + 100_000}}}" + " " * number)
        return load(file, environ={})

    with capture_logs() as logs:
        reloader = Reloader(rewriting, (file,), supervised=True)
        async with reloader.running():
            reloader.ask()
            await logged(logs, "keeps changing")
    assert reloader.live.running == reloader.config


async def test_a_mistake_that_an_owner_finds_is_told(file: Path) -> None:
    def check(new: Config) -> None:
        raise ConfigError("cannot be read", key="limits.offers")

    with capture_logs() as logs:
        reloader = Reloader(lambda: load(file, environ={}), (file,))
        reloader.live.on("limits", take=lambda _: None, check=check)
        async with reloader.running():
            file.write_text("limits: {offers: 2}")
            assert (await logged(logs, "has a mistake"))["mistake"] == "limits.offers: cannot be read"
    assert reloader.live.running.limits.offers == 1


def test_the_first_reading_raises_what_is_wrong(file: Path) -> None:
    file.write_text("x: 1")
    with pytest.raises(ConfigError):
        Reloader(lambda: load(file, environ={}), (file,))


def test_files_are_read_when_two_looks_have_found_them_the_same() -> None:
    a, b, c = ((Look(1, inode, 1, 1),) for inode in (1, 2, 3))
    settled = Settled(a)
    assert [settled.look(look) for look in (a, a, b, c, c)] == [False, False, False, False, True]
    settled.read = c
    assert [settled.look(look) for look in (c, b, c, c)] == [False, False, False, False]


def test_a_file_that_is_none_is_looked_at_in_vain(tmp_path: Path) -> None:
    assert look_at((tmp_path / "none", Path("\0"))) == (Look(), Look())
