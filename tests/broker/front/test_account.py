"""Signing in and out, passwords and users, over HTTP."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.access.passwords import FREE
from broker.front import rights
from broker.front.account import WAITING
from broker.front.gate import COOKIE
from tests.fakes.accounts import ADMIN_TOKEN, BEN, ROOT, broker_with_ben, browser, sign_in
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"


@pytest.fixture
async def broker(cheap_passwords: None, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_with_ben(tmp_path) as broker:
        yield broker


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
        assert "the log has the link of the latest one" in problem["detail"]
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
        framed = {"Accept": "text/html", "Sec-Fetch-Dest": "iframe"}  # where the form may not be shown
        page = await ben.get("/watch/yard", headers=framed, allow_redirects=False)
        assert page.status == 401
        assert "?token=TOKEN to the address of the frame" in await page.text()
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
    assert (answer.status, (await answer.json())["detail"]) == (403, "The name or password is wrong.")
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
        assert (answer.status, (await answer.json())["detail"]) == (409, "There is already a user 'ben'.")


async def test_names_that_one_user_may_be_meant_by_are_one_account_to_who_guesses(broker: RunningBroker) -> None:
    names = ["ben", "Ben", "bEn", "beN", "BEN", "BEn", "bEN"] * 3
    told = [await sign_in(broker.http, name, "wrong guess") for name in names]
    assert [answer.status for answer in told] == [403] * FREE["account"] + [429]


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
async def test_where_users_cannot_be_written_that_is_said_and_passes(broker: RunningBroker, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "camshaft.db.people", isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT * FROM user").fetchall()
        answer = await sign_in(broker.http)
        assert (answer.status, (await answer.json())["code"]) == (503, "people_failed")
    assert (await sign_in(broker.http)).status == 204


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
