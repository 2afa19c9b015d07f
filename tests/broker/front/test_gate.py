"""Each route for nobody, a monitor, viewers of this and another camera, and an admin, by what it may show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from multidict import CIMultiDict

from broker.access.tokens import digest_of
from broker.director.events import Holder
from broker.director.status import SessionStatus
from broker.front.gate import COOKIE, Right
from broker.front.routes import ROUTES
from broker.front.views import viewer_view
from common.cameras import CameraName
from common.control import NodeName
from common.sessions import SessionName, public_name
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.matrix import SIGN_OUT, Shown, check_matrix
from tests.fakes.workers import FakeEgress

TOKENS = {
    "monitor": {"sha256": digest_of("t-monitor"), "role": "monitor"},
    "other": {"sha256": digest_of("t-other"), "cameras": ["hall"]},
    "viewer": {"sha256": digest_of("t-viewer"), "cameras": ["yar?"]},
    "admin": {"sha256": digest_of("t-admin"), "role": "admin"},
}
CAMERAS = {"yard": {"url": "rtsp://10.0.0.1/"}, "hall": {"url": "rtsp://10.0.0.2/"}}
RIGHTS = {
    "monitor": {"role": "monitor"},
    "other": {"cameras": ["hall"]},
    "viewer": {"cameras": ["yar?"]},
    "admin": {"role": "admin"},
}
SIGNING = "a secret of 32 characters or more"
OFFER = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=CAMERAS) as broker:
        yield broker


def header(who: str) -> dict[str, str]:
    return {} if who == "nobody" else {"Authorization": f"Bearer t-{who}"}


def query(who: str) -> dict[str, str]:
    return {} if who == "nobody" else {"token": f"t-{who}"}


async def ready(broker: RunningBroker) -> None:
    """The egress has joined."""
    await broker.until("/api/nodes?token=t-admin", lambda nodes: len(nodes) == 2)


async def session_of(broker: RunningBroker) -> str:
    """A session of the viewer's, with its egress; the name that its address has."""
    headers = header("viewer") | {"Content-Type": "application/sdp"}
    async with broker.http.post("/whep/yard", data=OFFER, headers=headers) as answer:
        assert answer.status == 201
        return answer.headers["Location"].rpartition("/")[2]


def signed(who: str) -> dict[str, Any]:
    """A token that another program has signed; the stranger's, with another key."""
    if who == "nobody":
        return {}
    key = SIGNING if who != "stranger" else SIGNING[::-1]
    token = jwt.encode({"sub": who, "exp": 4_000_000_000, **RIGHTS.get(who, {"role": "admin"})}, key)
    return {"headers": {"Authorization": f"Bearer {token}"}}


def by_proxy(who: str) -> dict[str, Any]:
    """The headers of a proxy that is believed; the stranger's, of two that contradict each other."""
    if who == "stranger":
        return {"headers": CIMultiDict([("Remote-User", "a"), ("Remote-User", "b"), ("Remote-Groups", "admin")])}
    return {} if who == "nobody" else {"headers": {"Remote-User": who, "Remote-Groups": f"x, {who}"}}


async def cookies(broker: RunningBroker) -> Shown:
    """Browsers in which people have signed in with a password; the stranger's has a cookie that was made up."""
    kept = {"nobody": {}, "stranger": {COOKIE: "x" * 43}}
    for who, rights in RIGHTS.items():
        form = {"user": who, "password": f"password of {who}"}
        added = await broker.http.post("/api/users", json={**form, **rights}, headers=header("admin"))
        assert added.status == 201
        async with broker.http.post("/api/login", json=form) as answer:
            kept[who] = {COOKIE: answer.cookies[COOKIE].value}
    broker.http.cookie_jar.clear()
    return lambda who: {"cookies": kept[who]}


WAYS: dict[str, Shown] = {
    "header": lambda who: {"headers": header(who)},
    "query": lambda who: {"params": query(who)},
    "signed": signed,
    "proxy": by_proxy,
}


@pytest.mark.thorough
@pytest.mark.parametrize("way", [*WAYS, "cookie"])
async def test_each_route_lets_in_whom_it_should(way: str, tmp_path: Path) -> None:
    auth = {"tokens": TOKENS, "user_header": "Remote-User", "groups_header": "Remote-Groups", "groups": RIGHTS}
    http = {"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]}
    sections = {"auth": auth, "http": http, "jwt": {"secret": SIGNING}, "cameras": CAMERAS}
    async with broker_in(tmp_path, **sections) as broker, FakeEgress(broker.endpoints, "out-1"):
        await ready(broker)
        session = await session_of(broker)
        shown = WAYS[way] if way in WAYS else await cookies(broker)
        await check_matrix(broker, session, shown, but=[SIGN_OUT] if way == "cookie" else [])


async def test_every_route_but_a_few_asks_for_a_right() -> None:
    open_to_all = {(route.method, route.path) for route in ROUTES if route.right is Right.ANYBODY}
    assert open_to_all == {
        ("GET", "/static/{name}"),
        ("GET", "/sign-in"),
        ("GET", "/sign-in/start"),
        ("GET", "/sign-in/callback"),
        ("GET", "/api/login"),
        ("POST", "/api/login"),
        ("DELETE", "/api/login"),
        ("POST", "/api/first-admin"),
        ("GET", "/api/arrival"),
        ("OPTIONS", "/whep/{camera}"),
        ("OPTIONS", "/whep/{camera}/{session}"),
        ("OPTIONS", "/whep/{camera}/{session}/events"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }


async def test_a_viewer_sees_its_cameras_and_not_where_they_are(broker: RunningBroker) -> None:
    async with broker.http.get("/api/cameras", headers=header("viewer")) as answer:
        (camera,) = await answer.json()
    assert (camera["id"], camera["url"], camera["place"]) == ("yard", "", None)
    assert {stream["url"] for stream in camera["streams"].values()} == {""}
    for who, names in (("other", ["hall"]), ("monitor", [])):
        async with broker.http.get("/api/cameras", headers=header(who)) as answer:
            assert [camera["id"] for camera in await answer.json()] == names
    async with broker.http.get("/api/cameras", headers=header("admin")) as answer:
        assert {camera["url"] for camera in await answer.json()} == {"rtsp://10.0.0.1/", "rtsp://10.0.0.2/"}


async def test_whether_there_is_a_camera_is_not_told_to_who_may_not_see_it(broker: RunningBroker) -> None:
    answers = []
    for camera in ("yard", "none"):
        async with broker.http.get(f"/api/cameras/{camera}", headers=header("other")) as answer:
            answers.append((answer.status, await answer.text()))
    assert answers[0] == answers[1]


async def hear(socket: aiohttp.ClientWebSocketResponse, type: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        while (message := json.loads((await socket.receive()).data))["type"] != type:
            pass
    return message


async def test_a_socket_hears_of_the_cameras_that_its_owner_may_see(broker: RunningBroker) -> None:
    async with broker.http.ws_connect("/ws?token=t-viewer") as socket:
        await socket.send_json({"type": "subscribe"})
        assert [camera["camera"] for camera in (await hear(socket, "cameras"))["cameras"]] == ["yard"]
        for id, url in (("back", "rtsp://10.0.0.3/"), ("yarn", "rtsp://10.0.0.4/")):
            added = await broker.http.post("/api/cameras", json={"id": id, "url": url}, headers=header("admin"))
            assert added.status == 201
        assert (await hear(socket, "camera"))["camera"] == "yarn"
        for id in ("back", "yarn"):
            assert (await broker.http.delete(f"/api/cameras/{id}", headers=header("admin"))).status == 204
        assert (await hear(socket, "removed"))["camera"] == "yarn"


async def test_a_socket_gets_no_other_camera(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await ready(broker)
        session = await session_of(broker)
        async with broker.http.ws_connect("/ws?token=t-other") as socket:
            await socket.send_json({"type": "offer", "camera": "yard", "sdp": OFFER, "id": 1})
            assert (await hear(socket, "error"))["code"] == "not_allowed"
            await socket.send_json({"type": "attach", "session": session})
            assert (await hear(socket, "error"))["code"] == "not_allowed"


async def test_a_player_that_can_set_no_header_finds_its_token_in_the_session(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await ready(broker)
        headers = {"Content-Type": "application/sdp"}
        async with broker.http.post("/whep/yard?token=t-viewer", data=OFFER, headers=headers) as answer:
            location = answer.headers["Location"]
        assert location.endswith("?token=t-viewer")
        state = location.replace("/whep/yard/", "/api/viewers/")
        for url, status in ((state.removesuffix("?token=t-viewer"), 401), (state, 200)):
            async with broker.http.get(url) as answer:
                assert answer.status == status
        async with broker.http.delete(location.removesuffix("?token=t-viewer")) as answer:
            assert answer.status == 200, "who knows a session's address owns it"


async def test_lists_say_by_whose_right_a_viewer_watches(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await ready(broker)
        await session_of(broker)
        (viewer,) = await (await broker.http.get("/api/viewers", headers=header("admin"))).json()
        assert viewer["principal"] == "token:viewer"


def test_whose_right_it_is_is_known_before_the_egress_has_reported_it() -> None:
    holder = Holder("token:viewer", 7.0)
    view = viewer_view(SessionStatus(SessionName("s"), CameraName("yard"), NodeName("out-1"), True, None, holder))
    assert (view.principal, view.expires, view.state) == ("token:viewer", 7.0, "connecting")


@pytest.mark.parametrize("method", ["GET", "PUT", "TRACE"])
async def test_what_is_no_route_is_none_for_everybody(broker: RunningBroker, method: str) -> None:
    async with broker.http.request(method, "/api/users/x/y") as answer:
        assert answer.status in (404, 405)


async def test_passwords_of_turn_servers_are_for_those_who_signed_in(tmp_path: Path) -> None:
    servers = {"listen": "127.0.0.1:0", "ice_servers": ["stun:192.0.2.1", "turn:u:secret@192.0.2.2"]}
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=CAMERAS, http=servers) as broker:
        async with broker.http.options("/whep/yard") as answer:
            assert "192.0.2.1" in str(answer.headers.getall("Link"))
            assert "secret" not in str(answer.headers)
        async with broker.http.options("/whep/yard?token=t-viewer") as answer:
            assert "secret" in str(answer.headers.getall("Link"))


async def test_each_refusal_and_each_change_is_a_line_of_the_log(
    broker: RunningBroker, capfd: pytest.CaptureFixture[str]
) -> None:
    await broker.http.get("/api/nodes", headers=header("viewer"))
    await broker.http.get("/api/cameras?token=wrong-secret")
    await broker.http.delete("/api/cameras/none", headers=header("admin"))
    await broker.http.post("/api/cameras", json={"id": "new", "url": "rtsp://10.0.0.3/"}, headers=header("admin"))
    said = "".join(capfd.readouterr())
    assert said.count("access refused") == 2
    assert "token:viewer" in said
    assert "GET /api/nodes" in said
    assert "wrong-secret" not in said
    assert said.count("changed by request") == 1  # what failed has changed nothing
    assert "token:admin" in said


async def test_a_viewer_that_is_let_in_is_named_and_its_session_is_not_given_away(
    broker: RunningBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await ready(broker)
        session = await session_of(broker)
    said = capsys.readouterr().out
    (line,) = [line for line in said.splitlines() if "viewer let in" in line]
    for word in (f"session={public_name(session)}", "camera=yard", "who=token:viewer", "address=127.0.0.1"):
        assert word in line
    assert session not in said
    assert "t-viewer" not in said
