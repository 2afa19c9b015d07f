"""Signing in and changes of users that happen at the same time, and many guesses at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker.access.passwords import FREE
from broker.front import account
from broker.front.account import WAITING
from tests.fakes.accounts import ROOT, broker_with_ben, browser, sign_in
from tests.fakes.broker import RunningBroker, broker_in


@pytest.fixture
async def broker(cheap_passwords: None, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_with_ben(tmp_path) as broker:
        yield broker


@pytest.mark.thorough
async def test_others_are_answered_while_a_write_waits(broker: RunningBroker, tmp_path: Path) -> None:
    """It waits for the disk, or for another process: two seconds at most, in a thread."""
    with closing(sqlite3.connect(tmp_path / "camshaft.db.people", isolation_level=None)) as command:
        command.execute("BEGIN IMMEDIATE")
        signing = asyncio.create_task(sign_in(broker.http))
        asked = 0
        while not signing.done():
            assert (await broker.http.get("/api/me", headers=ROOT)).status == 200
            asked += 1
        assert (await signing).status == 503
    assert asked > 5, "each of them would have waited for all of it"
    assert (await sign_in(broker.http)).status == 204


async def test_rights_that_were_taken_while_another_change_waited_are_not_given_back(
    broker: RunningBroker, tmp_path: Path
) -> None:
    assert (await broker.http.patch("/api/users/ben", json={"role": "admin"}, headers=ROOT)).status == 200
    with closing(sqlite3.connect(next(tmp_path.rglob("*.people")), isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        forms = {"role": "viewer", "cameras": ["yard"]}, {"cameras": ["hall"]}
        changes = []
        for form in forms:
            changes.append(asyncio.create_task(broker.http.patch("/api/users/ben", json=form, headers=ROOT)))
            await asyncio.sleep(0.2)
        tool.execute("ROLLBACK")
    views = [await (await change).json() for change in changes]
    assert [(view["role"], view["cameras"]) for view in views] == [("viewer", ["yard"]), ("viewer", ["hall"])]


async def test_of_two_who_have_the_first_link_one_is_the_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with broker_in(tmp_path, auth={"mode": "required"}) as broker:
        code = capfd.readouterr().out.partition("#code=")[2].split()[0]
        forms = [{"code": code, "user": user, "password": "a password"} for user in ("anna", "eve")]
        answers = await asyncio.gather(*(broker.http.post("/api/first-admin", json=form) for form in forms))
        assert sorted(answer.status for answer in answers) == [204, 409]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Passwords are looked at once this is set."""
    go, look = threading.Event(), account.is_right

    def is_right(password: str, hash: str | None) -> bool:
        go.wait(10)
        return look(password, hash)

    monkeypatch.setattr(account, "is_right", is_right)
    yield go
    go.set()


async def test_of_many_guesses_at_once_none_is_free(broker: RunningBroker) -> None:
    answers = await asyncio.gather(*(sign_in(broker.http, password=f"guess {each}") for each in range(WAITING)))
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {403: FREE["account"], 429: WAITING - FREE["account"]}


@pytest.mark.parametrize("change", ["another password", "removed"])
async def test_a_password_that_changes_while_it_is_looked_at_is_wrong(
    broker: RunningBroker, looked_at: threading.Event, change: str
) -> None:
    """Somebody who knows the old one could else sign in over and over, and be in again when it is changed."""
    signing = asyncio.create_task(sign_in(broker.http))
    await asyncio.sleep(0.3)
    if change == "removed":
        assert (await broker.http.delete("/api/users/ben", headers=ROOT)).status == 204
    else:
        form = {"password": "ben's new password"}
        assert (await broker.http.patch("/api/users/ben", json=form, headers=ROOT)).status == 200
    looked_at.set()
    assert (await signing).status == 403


async def test_strangers_who_sign_in_all_the_time_keep_nobody_out_of_a_browser_that_is_known(
    broker: RunningBroker, looked_at: threading.Event
) -> None:
    async with browser(broker) as ben:
        looked_at.set()
        await sign_in(ben)
        looked_at.clear()
        strangers = [asyncio.create_task(sign_in(broker.http, f"user-{each}")) for each in range(2 * WAITING)]
        await asyncio.wait(strangers, return_when=asyncio.FIRST_COMPLETED)  # those for whom there was no room
        signing = asyncio.create_task(sign_in(ben))
        await asyncio.sleep(0.3)
        looked_at.set()
        assert (await signing).status == 204
        await asyncio.gather(*strangers)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/users", b'{"user":"mallory","password":"a way back in","role":"admin"}'),
        ("PATCH", "/api/users/ben", b'{"role":"admin"}'),
        ("POST", "/api/cameras", b'{"id":"new","url":"rtsp://10.0.0.9/"}'),
        ("PATCH", "/api/cameras/added", b'{"url":"rtsp://10.0.0.9/"}'),
    ],
)
async def test_a_change_that_was_begun_with_a_right_is_not_made_without(
    broker: RunningBroker, method: str, path: str, body: bytes
) -> None:
    """A body takes as long as its sender likes, and so did an admin who expected to be removed."""
    boss = {"user": "boss", "password": "boss's password", "role": "admin"}
    await broker.http.post("/api/users", json=boss, headers=ROOT)
    await broker.http.post("/api/cameras", json={"id": "added", "url": "rtsp://10.0.0.8/"}, headers=ROOT)
    async with browser(broker) as evil:
        await sign_in(evil, "boss", "boss's password")
        removed = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield body[:1]
            await removed.wait()
            yield body[1:]

        headers = {"Content-Type": "application/json"}
        asking = asyncio.create_task(evil.request(method, path, data=slowly(), headers=headers))
        await asyncio.sleep(0.3)
        before = [await broker.json(f"/api/{each}?token=t-root") for each in ("users", "cameras")]
        await broker.http.delete("/api/users/boss", headers=ROOT)
        removed.set()
        answer = await asking
        assert (answer.status, (await answer.json())["code"]) == (401, "right_ended")
        before[0] = [user for user in before[0] if user["user"] != "boss"]
        assert [await broker.json(f"/api/{each}?token=t-root") for each in ("users", "cameras")] == before


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="there are no priorities of this kind")
async def test_passwords_are_looked_at_a_little_later_than_the_rest_of_the_process_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where an operator has given it a better priority than others have, they are not to come before passwords."""
    given: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda _which, who: -10 if who == os.getpid() else 0)
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, priority: given.append(priority))
    monkeypatch.setattr(account, "hashed", lambda _password: "a hash")
    passwords = account.Account()
    await passwords.hashed("long enough")
    passwords.close()
    assert given == [-10 + account.NICENESS]
