import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broker.access.tokens import digest_of
from broker.front.ice_servers import IceServer
from broker.front.whep import SDP, SDPFRAG
from common.control import Ended, HangUp, Offer, RestartIce
from common.sessions import public_name
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.log import Recorder
from tests.fakes.whep import FRAGMENT, OFFER, post, refusal
from tests.fakes.workers import H264, FakeEgress, FakeIngest


@pytest.fixture
def log(monkeypatch) -> Recorder:
    log = Recorder()
    monkeypatch.setattr("broker.notices.log", log)
    return log


@pytest.fixture
async def broker(tmp_path: Path, log: Recorder) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


async def test_an_offer_is_answered(broker: RunningBroker, egress: FakeEgress) -> None:
    response = await post(broker)
    assert response.status == 201
    assert response.content_type == SDP
    assert await response.text() == f"answer of {OFFER}"
    path, _, session = response.headers["Location"].rpartition("/")
    assert path == "/whep/door"
    assert len(session) >= 22  # 128 bits in base64
    assert response.headers["ETag"].startswith('"')
    assert response.headers["Accept-Patch"] == SDPFRAG
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Location", "ETag", "Link", "Accept-Patch"} <= set(
        response.headers["Access-Control-Expose-Headers"].split(", ")
    )
    offer = await egress.told(Offer)
    assert (offer.session, offer.camera, offer.sdp) == (session, "door", OFFER)


@pytest.mark.parametrize(
    ("name", "prefix", "before"),
    [
        ("X-Ingress-Path", "/api/hassio_ingress/aB-3_x", "/api/hassio_ingress/aB-3_x"),
        *(
            ("X-Forwarded-Prefix", prefix, before)
            for prefix, before in {
                "/cams": "/cams",
                "/a/b.c/": "/a/b.c",
                "/": "",
                "cams": "",
                "//evil.example": "",
                "/a b": "",
            }.items()
        ),
    ],
)
async def test_the_location_lies_below_the_path_that_a_proxy_names(
    tmp_path: Path, name: str, prefix: str, before: str
) -> None:
    async with broker_in(tmp_path, cameras=CAMERAS, auth="none") as broker, FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        headers = {"Content-Type": SDP, name: prefix}
        response = await broker.http.post("/whep/door", data=OFFER, headers=headers)
        assert response.headers["Location"].rpartition("/")[0] == f"{before}/whep/door"


async def test_the_offer_carries_the_tracks_of_the_camera(broker: RunningBroker, egress: FakeEgress) -> None:
    async with FakeIngest(broker.endpoints, "in-1"):
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        await post(broker)
    assert (await egress.told(Offer)).tracks == (H264,)


async def test_a_height_and_a_stream_may_be_given(broker: RunningBroker, egress: FakeEgress) -> None:
    for query in ("stream=auto&height=240", "stream=main", "height=", "other=1"):
        response = await broker.http.post(f"/whep/door?{query}", data=OFFER, headers={"Content-Type": SDP})
        assert response.status == (400 if query == "height=" else 201)


async def test_no_two_sessions_have_the_same_name(broker: RunningBroker, egress: FakeEgress) -> None:
    responses = await asyncio.gather(*(post(broker) for _ in range(20)))
    assert len({response.headers["Location"] for response in responses}) == 20


async def test_the_whole_life_of_a_session(broker: RunningBroker, egress: FakeEgress) -> None:
    response = await post(broker)
    location, tag = response.headers["Location"], response.headers["ETag"]
    session = location.rpartition("/")[2]

    response = await broker.http.patch(location, data=FRAGMENT, headers={"Content-Type": SDPFRAG, "If-Match": tag})
    assert response.status == 204

    view = await broker.until(f"/api/viewers/{session}", lambda view: view["state"] == "connected")
    assert (view["session"], view["camera"]["camera"]) == (public_name(session), "door")

    response = await broker.http.delete(location)
    assert response.status == 200
    assert await egress.told(HangUp) == HangUp(session)
    assert await refusal(await broker.http.get(f"/api/viewers/{session}")) == (404, "unknown_session")
    for method in ("PATCH", "DELETE"):
        headers = {"Content-Type": SDPFRAG, "If-Match": tag}
        response = await broker.http.request(method, location, data=FRAGMENT, headers=headers)
        assert await refusal(response) == (404, "unknown_session")


async def test_a_session_that_its_egress_ended_is_gone(broker: RunningBroker, egress: FakeEgress) -> None:
    location = (await post(broker)).headers["Location"]
    egress.send(Ended(location.rpartition("/")[2], "consent expired"))
    await broker.until(
        f"/api/viewers/{location.rpartition('/')[2]}", lambda view: view.get("code") == "unknown_session"
    )


async def test_a_session_belongs_to_its_camera(broker: RunningBroker, egress: FakeEgress) -> None:
    location = (await post(broker)).headers["Location"]
    response = await broker.http.delete(location.replace("door", "yard"))
    assert await refusal(response) == (404, "unknown_session")
    assert (await broker.http.delete(location)).status == 200


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (428, "if_match_missing")),
        ({"If-Match": '"other"'}, (412, "etag_mismatch")),
        ({"If-Match": "garbage"}, (412, "etag_mismatch")),
        ({"If-Match": '"' * 8_000}, (412, "etag_mismatch")),
        ({"If-Match": "*"}, (400, "malformed_sdpfrag")),
    ],
)
async def test_preconditions_of_a_patch(broker: RunningBroker, egress: FakeEgress, headers, expected) -> None:
    location = (await post(broker)).headers["Location"]
    other = FRAGMENT.replace("EsAw", "other").replace("a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-pwd:short")
    response = await broker.http.patch(location, data=other, headers=headers | {"Content-Type": SDPFRAG})
    assert await refusal(response) == expected


async def patched(broker, location: str, ufrag: str, condition: str | None) -> aiohttp.ClientResponse:
    headers = {"Content-Type": SDPFRAG} | ({} if condition is None else {"If-Match": condition})
    return await broker.http.patch(location, data=FRAGMENT.replace("EsAw", ufrag), headers=headers)


@pytest.mark.parametrize("condition", ["*", None, "tag"])
async def test_other_credentials_restart_ice_in_the_same_session(broker, egress, condition: str | None) -> None:
    offered = await post(broker)
    location, tag = offered.headers["Location"], offered.headers["ETag"]
    response = await patched(broker, location, "newufrag", tag if condition == "tag" else condition)
    assert response.status == 200
    assert response.content_type == SDPFRAG
    assert await response.text() == "a=ice-ufrag:for-newufrag\r\n"
    asked = await egress.told(RestartIce)
    session = location.rpartition("/")[2]
    assert (asked.session, asked.ufrag, asked.password) == (session, "newufrag", "P2uYro0UCOQ4zxjKXaWCBui1")
    newer = response.headers["ETag"]
    assert newer != tag
    # From now on there is another ICE session, also for what comes by its own credentials.
    for each, status in (("*", 204), (None, 204), (newer, 204), (tag, 412)):
        assert (await patched(broker, location, "newufrag", each)).status == status
    again = await patched(broker, location, "thirdone", "*")
    assert (again.status, again.headers["ETag"] in (tag, newer)) == (200, False)
    assert (await broker.http.delete(location)).status == 200
    assert await egress.told(HangUp) == HangUp(session)


async def test_an_ice_restart_that_is_refused_leaves_the_session_alone(broker, egress, monkeypatch) -> None:
    location = (await post(broker)).headers["Location"]
    egress.refusal = (429, "ice_restart_rate", "Too often.")
    response = await patched(broker, location, "newufrag", "*")
    assert await refusal(response) == (429, "ice_restart_rate")
    assert response.headers["Retry-After"]
    monkeypatch.setattr("broker.director.restarts.WITHIN", 0.1)
    egress.refusal, egress.silent = None, True
    assert await refusal(await patched(broker, location, "newufrag", "*")) == (503, "egress_timeout")
    assert (await patched(broker, location, "EsAw", "*")).status == 204


async def test_a_broker_that_is_new_knows_of_ice_restarts(tmp_path: Path, broker, egress) -> None:
    location = (await post(broker)).headers["Location"]
    response = await patched(broker, location, "newufrag", "*")
    async with (
        broker_in(tmp_path, store={"path": tmp_path / "second.db"}, cameras=CAMERAS) as other,
        FakeEgress(other.endpoints, "out-1") as moved,
    ):
        moved.report(viewers=egress.state.viewers)
        await other.until(f"/api/viewers/{location.rpartition('/')[2]}", lambda view: view["state"] == "connected")
        for ufrag, tag, status in (
            ("newufrag", response.headers["ETag"], 204),
            ("newufrag", "*", 204),
            ("EsAw", '"of before"', 412),
        ):
            assert (await patched(other, location, ufrag, tag)).status == status


@pytest.mark.parametrize(
    ("headers", "fragment"),
    [
        ({"If-Match": "*"}, FRAGMENT),  # MediaMTX's reader.js, which starts anew every 2 s if this is refused
        ({}, FRAGMENT),  # whip-whep 1.2
        ({"If-Match": " * "}, FRAGMENT.partition("m=")[2].join(["m=", ""])),  # no credentials: nothing to restart with
    ],
)
async def test_candidates_with_the_offers_own_credentials_are_no_restart(broker, egress, headers, fragment) -> None:
    location = (await post(broker)).headers["Location"]
    response = await broker.http.patch(location, data=fragment, headers=headers | {"Content-Type": SDPFRAG})
    assert response.status == 204


async def test_addresses_may_end_in_a_slash(broker: RunningBroker, egress: FakeEgress) -> None:
    response = await post(broker, "door/")
    assert response.status == 201
    location = response.headers["Location"]
    assert not location.endswith("/")
    headers = {"Content-Type": SDPFRAG, "If-Match": response.headers["ETag"]}
    assert (await broker.http.patch(f"{location}/", data=FRAGMENT, headers=headers)).status == 204
    for path in ("/whep/door/", f"{location}/", "//whep/door", f"//{location[1:]}"):  # the last of http://host:8080/
        answer = await broker.http.options(f"{broker.url.rstrip('/')}{path}")
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert (await broker.http.delete(f"{location}/")).status == 200


async def test_a_preflight_allows_the_headers_that_players_add(broker: RunningBroker) -> None:
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    names = {"Access-Control-Request-Headers": "content-type,x-player-version"}
    response = await broker.http.options("/whep/door", headers=asked | names)
    assert response.status == 204
    allowed = response.headers["Access-Control-Allow-Headers"].lower().replace(" ", "").split(",")
    assert {"content-type", "if-match", "authorization", "x-player-version"} <= set(allowed)
    for others in (
        "x" * 7_000 + ", é\u2028",
        "x-player,X-Forwarded-Host",
        "x-forwarded-prefix",
        "Forwarded",
        "x-ingress-path",
    ):
        refused = {"Access-Control-Request-Headers": others}
        response = await broker.http.options("/whep/door", headers=asked | refused)
        assert response.headers["Access-Control-Allow-Headers"] == "Content-Type, If-Match, Authorization"


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (None, True),
        ("same", True),
        ("https://cams.example", True),  # named in http.hosts
        ("https://elsewhere.example", False),
        ("null", False),
        ("", False),
    ],
)
async def test_a_turn_password_is_told_to_pages_of_ours_alone(tmp_path: Path, origin: str | None, told: bool) -> None:
    http = {
        "listen": "127.0.0.1:0",
        "hosts": ["cams.example"],
        "ice_servers": ["stun:stun.example:3478", "turn:user:hunter2@turn.example"],
    }
    async with (
        broker_in(tmp_path, cameras=CAMERAS, http=http, auth="none") as broker,
        FakeEgress(broker.endpoints, "out-1"),
    ):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        origin = broker.url.rstrip("/") if origin == "same" else origin
        headers = {} if origin is None else {"Origin": origin}
        offered = await post(broker, headers={"Content-Type": SDP} | headers)
        assert offered.status == 201
        for response in (offered, await broker.http.options("/whep/door", headers=headers)):
            links = response.headers.getall("Link")
            assert "stun:stun.example" in links[0]
            assert any("hunter2" in link for link in links) is told


@pytest.mark.thorough
async def test_lists_and_logs_have_another_name_for_a_session(broker: RunningBroker, egress, log: Recorder) -> None:
    secret = (await post(broker)).headers["Location"].rpartition("/")[2]
    (listed,) = await broker.until("/api/viewers", lambda viewers: viewers and viewers[0]["state"] == "connected")
    assert listed["session"] == public_name(secret)
    assert secret not in json.dumps([listed, await broker.json(f"/api/viewers/{secret}")])
    assert (await broker.http.delete(f"/whep/door/{listed['session']}")).status == 404
    egress.send(Ended(secret, "consent expired"))
    await broker.until("/api/viewers", lambda viewers: not viewers)
    assert log.of("session ended")[0]["session"] == public_name(secret)
    assert secret not in str(log.lines)


async def test_one_of_several_entity_tags_is_enough(broker: RunningBroker, egress: FakeEgress) -> None:
    response = await post(broker)
    headers = {"Content-Type": SDPFRAG, "If-Match": f'"other", {response.headers["ETag"]}'}
    assert (await broker.http.patch(response.headers["Location"], data=FRAGMENT, headers=headers)).status == 204


@pytest.mark.parametrize("auth", [{"tokens": {"root": {"sha256": digest_of("t"), "role": "admin"}}}, "none"])
async def test_pages_of_every_origin_may_watch(tmp_path: Path, auth: object) -> None:
    async with broker_in(tmp_path, cameras=CAMERAS, auth=auth) as broker, FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes?token=t", lambda nodes: len(nodes) == 2)
        headers = {"Content-Type": SDP, "Origin": "https://elsewhere.example", "Authorization": "Bearer t"}
        assert (await post(broker, headers=headers)).status == 201


async def test_a_session_outlives_its_broker(tmp_path: Path, broker: RunningBroker, egress: FakeEgress) -> None:
    async with broker_in(tmp_path, store={"path": tmp_path / "second.db"}, cameras=CAMERAS) as second:
        response = await post(broker)
        location, tag = response.headers["Location"], response.headers["ETag"]
        pending = asyncio.create_task(
            second.http.get(f"/api/viewers/{location.rpartition('/')[2]}")
        )  # before its egress is back
        async with FakeEgress(second.endpoints, "out-1") as moved:
            moved.report(viewers=egress.state.viewers)
            assert (await pending).status == 200
            headers = {"Content-Type": SDPFRAG, "If-Match": tag}
            assert (await second.http.patch(location, data=FRAGMENT, headers=headers)).status == 204
            assert (await second.http.delete(location)).status == 200
            await moved.told(HangUp)


async def test_a_session_nobody_reports_is_unknown_after_the_grace(broker: RunningBroker, monkeypatch) -> None:
    monkeypatch.setattr("broker.director.state.GRACE", 0.2)
    response = await broker.http.get("/api/viewers/made-up")
    assert await refusal(response) == (404, "unknown_session")


def test_links_to_ice_servers() -> None:
    assert IceServer("stun:stun.example:3478").link == '<stun:stun.example:3478>; rel="ice-server"'
    assert IceServer("turn:turn.example?transport=udp", "us\\er", 'pa"ss').link == (
        '<turn:turn.example?transport=udp>; rel="ice-server"; username="us\\\\er"; credential="pa\\"ss"; '
        'credential-type="password"'
    )


async def test_ice_servers_are_named_and_their_passwords_nowhere_else(tmp_path: Path) -> None:
    servers = ["stun:stun.example:3478", "turn:us%3Aer:hunter2@turn.example:3478?transport=udp"]
    async with broker_in(tmp_path, cameras=CAMERAS, http={"listen": "127.0.0.1:0", "ice_servers": servers}) as broker:
        async with FakeEgress(broker.endpoints, "out-1"):
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            for response in (await post(broker), await broker.http.options("/whep/door")):
                links = [link for link in response.headers.getall("Link") if 'rel="ice-server"' in link]
                assert links == [
                    '<stun:stun.example:3478>; rel="ice-server"',
                    '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="us:er"; credential="hunter2"; '
                    'credential-type="password"',
                ]
        for path in ("/api/cameras", "/api/viewers", "/api/nodes", "/api/openapi.json"):
            assert "hunter2" not in str(await broker.json(path))
