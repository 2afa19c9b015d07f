"""Signing in and out, passwords and users, over HTTP."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.access.passwords import FREE
from broker.access.tokens import digest_of
from broker.front import account, rights
from broker.front.account import WAITING
from broker.front.gate import COOKIE
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

ADMIN_TOKEN = {"root": {"sha256": digest_of("t-root"), "role": "admin"}}
ROOT = {"Authorization": "Bearer t-root"}
BEN = {"user": "ben", "password": "ben's password", "cameras": ["yard"]}
OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"


@asynccontextmanager
async def browser(broker: RunningBroker) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody's, with cookies of its own."""
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.fixture
async def broker(cheap_passwords: None, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    cameras = {name: {"url": f"rtsp://10.0.0.1/{name}"} for name in ("yard", "hall")}
    async with broker_in(tmp_path, auth={"tokens": ADMIN_TOKEN}, cameras=cameras) as broker:
        assert (await broker.http.post("/api/users", json=BEN, headers=ROOT)).status == 201
        yield broker


async def sign_in(http: aiohttp.ClientSession, user: str = "ben", password: str = "ben's password") -> Any:
    return await http.post("/api/login", json={"user": user, "password": password})


async def test_a_link_of_before_there_was_an_admin_s_token_says_so(broker: RunningBroker) -> None:
    form = {"user": "anna", "password": "her password", "code": "that of an earlier start"}
    async with browser(broker) as anna:
        refused = await anna.post("/api/first-admin", json=form)
        assert (refused.status, (await refused.json())["code"]) == (403, "wrong_code")
        assert "camshaft user add NAME --role admin" in (await refused.json())["detail"]


async def test_the_first_start_makes_an_admin_by_its_link(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with broker_in(tmp_path, auth="required") as broker, browser(broker) as anna:
        link = re.search(r"http://\S+/sign-in#code=(\S+)", capfd.readouterr().out)
        assert link is not None
        form = {"user": "anna", "password": "her password", "code": link[1]}
        refused = await anna.post("/api/first-admin", json=form | {"code": "guess"})
        problem = await refused.json()
        assert (refused.status, problem["code"]) == (403, "wrong_code")
        assert "the log has that of the last one" in problem["detail"]
        assert (await (await anna.get("/api/login")).json())["first"]
        assert (await anna.post("/api/first-admin", json=form | {"password": "short"})).status == 422
        assert (await anna.post("/api/first-admin", json=form)).status == 204
        assert await (await anna.get("/api/me")).json() | {"expires": 0} == {
            "name": "anna",
            "kind": "user",
            "role": "admin",
            "cameras": [],
            "expires": 0,
        }
        again = await anna.post("/api/first-admin", json=form | {"user": "eve"})
        assert (again.status, (await again.json())["code"]) == (409, "not_first")
        assert not (await (await anna.get("/api/login")).json())["first"]
    async with broker_in(tmp_path, auth="required") as broker:  # the next start
        assert "code=" not in capfd.readouterr().out
        assert (await sign_in(broker.http, "anna", "her password")).status == 204


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"user": "ben"}, "password: is missing."),
        ({"user": 7, "password": "x"}, "user: must be text."),
        ({"user": "b" * 65, "password": "x"}, "user: must have 64 characters or fewer."),
        ({"user": "eve", "password": "long enough", "role": "boss"}, "role: must be one of: viewer, monitor, admin."),
        ({"user": "eve", "password": "long enough", "cameras": ["a/b"]}, "cameras.0: must be a camera's name"),
        ({"user": "eve", "password": "long enough", "x": 1}, "x: is not known here."),
    ],
)
async def test_a_form_that_is_wrong_is_told_its_field_in_words_for_people(
    broker: RunningBroker, form: dict[str, Any], sentence: str
) -> None:
    async with broker.http.post("/api/users", json=form, headers=ROOT) as answer:
        found = await answer.json()
    assert (found["code"], found["detail"][: len(sentence)]) == ("invalid_form", sentence)


async def test_who_signs_in_is_known_until_it_signs_out(broker: RunningBroker) -> None:
    async with browser(broker) as ben:
        page = await ben.get("/watch/yard", allow_redirects=False)
        assert (page.status, page.headers["Location"]) == (303, "../sign-in?next=watch%2Fyard")
        page = await ben.get("/watch/yard?stream=sub&x=%26", allow_redirects=False)
        assert page.headers["Location"] == "../sign-in?next=watch%2Fyard%3Fstream%3Dsub%26x%3D%2526"
        assert (await ben.get("/sign-in")).status == 200
        answer = await sign_in(ben)
        assert answer.status == 204
        cookie = answer.cookies[COOKIE]
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert not cookie["secure"], "this is plain HTTP, where a browser would keep no secure one"
        assert (await ben.get("/watch/yard")).status == 200
        assert (await ben.get("/watch/hall")).status == 403
        assert (await ben.get("/api/users")).status == 403
        assert (await ben.delete("/api/login")).status == 204
        assert (await ben.get("/api/me")).status == 401
        assert (await broker.http.get("/api/me", cookies={COOKIE: cookie.value})).status == 401, "not only forgotten"


@pytest.mark.parametrize(("user", "password"), [("ben", "wrong"), ("nobody", "ben's password"), ("", ""), ("ben", "")])
async def test_a_wrong_name_looks_like_a_wrong_password(broker: RunningBroker, user: str, password: str) -> None:
    answer = await sign_in(broker.http, user, password)
    assert (answer.status, (await answer.json())["detail"]) == (403, "Name or password is wrong.")
    assert COOKIE not in answer.cookies


async def test_a_page_of_another_site_signs_nobody_in_and_uses_no_cookie(broker: RunningBroker) -> None:
    elsewhere = {"Origin": "https://elsewhere.example"}
    async with browser(broker) as ben:
        form = {"user": "ben", "password": "ben's password"}
        assert (await ben.post("/api/login", json=form, headers=elsewhere)).status == 403
        await sign_in(ben)
        offer = {"Content-Type": "application/sdp"}
        assert (await ben.post("/whep/yard", data=OFFER, headers=offer | elsewhere)).status == 401
        assert (await ben.post("/whep/yard", data=OFFER, headers=offer)).status == 503, "there is no egress"
        assert (await ben.get("/ws", headers=elsewhere)).status == 403


async def test_a_phone_may_begin_a_name_with_a_capital(broker: RunningBroker) -> None:
    async with browser(broker) as ben:
        assert (await sign_in(ben, "Ben", "ben's password")).status == 204
        assert (await (await ben.get("/api/me")).json())["name"] == "ben"
        marks = {cookie.key for cookie in ben.cookie_jar}
        assert len(marks) == 2, "signed in, and known by the name that it has"
    form = {"user": "BEN", "password": "long enough", "cameras": ["*"]}
    async with broker.http.post("/api/users", json=form, headers=ROOT) as answer:
        assert (answer.status, (await answer.json())["detail"]) == (409, "There is a user 'ben' already.")


async def test_names_that_one_user_may_be_meant_by_are_one_account_to_who_guesses(broker: RunningBroker) -> None:
    names = ["ben", "Ben", "bEn", "beN", "BEN", "BEn", "bEN"] * 3
    told = [await sign_in(broker.http, name, "wrong guess") for name in names]
    assert [answer.status for answer in told] == [403] * FREE["account"] + [429]


async def test_who_guesses_has_to_wait(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth={"tokens": ADMIN_TOKEN}) as broker, browser(broker) as ben:
        await broker.http.post("/api/users", json=BEN, headers=ROOT)
        await sign_in(ben)  # as a browser that is known
        statuses = [(await sign_in(broker.http, password="guess")).status for _ in range(FREE["account"])]
        assert set(statuses) == {403}
        answer = await sign_in(broker.http)
        assert answer.status == 429, "not even with the right one"
        assert int(answer.headers["Retry-After"]) >= 1
        assert (await sign_in(ben)).status == 204, "its owner is not locked out"


async def test_only_so_many_wait_for_their_password_to_be_looked_at(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth={"tokens": ADMIN_TOKEN}) as broker:  # passwords cost what they do
        answers = await asyncio.gather(*(sign_in(broker.http, f"user-{each}") for each in range(3 * WAITING)))
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {403, 429}
    assert statuses.count(403) >= WAITING


async def test_ones_own_password_is_changed(broker: RunningBroker) -> None:
    async with browser(broker) as here, browser(broker) as there:
        await sign_in(here)
        await sign_in(there)
        new = {"old": "ben's password", "new": "another password"}
        async with here.put("/api/me/password", json=new | {"old": "wrong"}) as answer:
            assert (answer.status, (await answer.json())["detail"]) == (403, "The old password is wrong.")
        assert (await here.put("/api/me/password", json=new | {"new": "short"})).status == 422
        assert (await here.put("/api/me/password", json=new)).status == 204
        assert (await here.get("/api/me")).status == 200
        assert (await there.get("/api/me")).status == 401
        assert (await sign_in(there)).status == 403
        assert (await sign_in(there, password="another password")).status == 204
    assert (await broker.http.put("/api/me/password", json=new, headers=ROOT)).status == 409


async def test_where_nobody_has_to_sign_in_yet_the_first_user_is_an_admin(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        refused = await broker.http.post("/api/users", json=BEN)
        assert (refused.status, (await refused.json())["code"]) == (409, "no_admin")
        assert (await broker.http.post("/api/users", json=BEN | {"role": "admin"})).status == 201
        assert (await broker.http.get("/api/users")).status == 401, "from now on everybody has to"


async def test_an_admin_adds_changes_and_removes_users(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth={"tokens": ADMIN_TOKEN}) as broker, browser(broker) as boss:
        form = {"user": "boss", "password": "boss's password", "role": "admin"}
        assert (await broker.http.post("/api/users", json=form, headers=ROOT)).status == 201
        await sign_in(boss, "boss", "boss's password")
        added = await boss.post("/api/users", json=BEN)
        assert await added.json() == {"user": "ben", "role": "viewer", "cameras": ["yard"]}
        changed = await boss.patch("/api/users/ben", json={"cameras": ["*"]})
        assert (await changed.json())["cameras"] == ["*"]
        assert (await boss.patch("/api/users/ben", json={"password": "yet another"})).status == 200
        assert (await sign_in(broker.http, "ben", "yet another")).status == 204
        assert [user["user"] for user in await (await boss.get("/api/users")).json()] == ["ben", "boss"]
        assert (await boss.delete("/api/users/ben")).status == 204
        for method in (boss.patch, boss.delete):
            assert (await method("/api/users/ben", json={})).status == 404
        assert (await boss.delete("/api/users/boss")).status == 204, "there is the token's admin yet"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"user": "x"},
        BEN | {"user": "a b"},
        BEN | {"user": 7},
        BEN | {"password": "short"},
        BEN | {"cameras": []},
        BEN | {"cameras": ["a b"]},
        BEN | {"role": "king"},
        BEN | {"more": 1},
    ],
)
async def test_a_form_that_is_wrong_says_what(broker: RunningBroker, form: dict[str, Any]) -> None:
    answer = await broker.http.post("/api/users", json=form, headers=ROOT)
    assert answer.status == 422
    assert "password" not in str(await answer.json()) or "password" not in str(form.get("password", ""))


async def test_where_users_are_off_there_are_none(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth={"tokens": ADMIN_TOKEN, "people": False}) as broker:
        assert (await broker.http.get("/api/users", headers=ROOT)).status == 409
        assert (await sign_in(broker.http)).status == 409
        assert not list(tmp_path.glob("*.people"))


async def test_whoever_loses_its_right_loses_its_picture(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as egress, browser(broker) as ben:
        await broker.until("/api/nodes?token=t-root", lambda nodes: len(nodes) == 2)
        await sign_in(ben)
        async with ben.ws_connect("/ws") as socket:
            await socket.send_json({"type": "offer", "camera": "yard", "sdp": OFFER})
            while (message := await socket.receive_json(timeout=5))["type"] != "answer":
                pass
            session = message["session"]
            await broker.http.delete("/api/users/ben", headers=ROOT)
            said = []
            while (message := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
                said.append(message.json())
            assert socket.close_code == 4401
        await egress.until(lambda: any(getattr(each, "session", "") == session for each in egress.messages))
        ended = [each for each in said if each["type"] == "close"]
        assert [(each["session"], each["reason"]) for each in ended] == [(session, "right_ended")]
        assert "sign in again" in ended[0]["sentence"]


async def test_a_page_that_does_not_read_keeps_nobody_elses_right_alive(
    broker: RunningBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its farewell could not be sent, and whoever looks after the rights waited for that."""
    monkeypatch.setattr(rights, "INTERVAL", 0.3)
    eve = BEN | {"user": "eve"}
    assert (await broker.http.post("/api/users", json=eve, headers=ROOT)).status == 201
    async with FakeEgress(broker.endpoints, "out-1"), browser(broker) as evil, browser(broker) as ben:
        await broker.until("/api/nodes?token=t-root", lambda nodes: len(nodes) == 2)
        await sign_in(evil, "eve")
        await sign_in(ben)
        patience = aiohttp.ClientWSTimeout(ws_close=0.1)  # nor does it read the goodbye
        async with evil.ws_connect("/ws", timeout=patience) as deaf, ben.ws_connect("/ws") as socket:
            deaf._response.connection.transport.pause_reading()
            for each in range(100):  # 6 MB of answers, more than the kernel takes
                await deaf.send_json({"type": "offer", "camera": "yard", "sdp": f"{each:060000}"})
            await broker.until("/api/viewers?token=t-root", lambda viewers: len(viewers) == 100)
            await broker.http.delete("/api/users/eve", headers=ROOT)
            await broker.until("/api/viewers?token=t-root", lambda viewers: not viewers)  # her right is gone, and seen
            await broker.http.delete("/api/users/ben", headers=ROOT)
            async with asyncio.timeout(PATIENCE):
                while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert socket.close_code == 4401


async def test_where_users_cannot_be_written_that_is_said_and_passes(broker: RunningBroker, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "camshaft.db.people", isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT * FROM user").fetchall()
        answer = await sign_in(broker.http)
        assert (answer.status, (await answer.json())["code"]) == (503, "people_failed")
    assert (await sign_in(broker.http)).status == 204


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


async def test_who_guesses_the_first_link_from_many_addresses_keeps_nobody_from_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    http = {"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}
    async with broker_in(tmp_path, auth={"mode": "required"}, http=http) as broker:
        code = capfd.readouterr().out.partition("#code=")[2].split()[0]
        form = {"code": code, "user": "anna", "password": "a password"}

        async def ask(address: str, **wrong: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await broker.http.post("/api/first-admin", json=form | wrong, headers=headers)).status

        guesses = [await ask(f"192.0.2.{each}", code="guess") for each in range(1, 2 * FREE["account"])]
        assert set(guesses) == {403}
        assert [await ask("192.0.2.1", code="guess") for _ in range(FREE["address"])][-1] == 429
        assert await ask("192.0.2.99") == 204


# At the same time


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
