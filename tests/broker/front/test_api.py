import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.front.openapi import OPERATIONS, document
from broker.front.routes import ROUTES
from common.cameras import CameraState
from common.control import Load, TrackStats, ViewerReport, ViewerState
from common.media import Kind, Track
from common.sessions import public_name
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

URL = "rtsp://user:secret@host/door"
CAMERAS = {"door": {"url": URL, "on_demand": True}}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


async def call(broker: RunningBroker, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of the answer; a problem becomes its code."""
    headers = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) else json.dumps(body)
    async with broker.http.request(method, path, data=data, headers=headers) as response:
        if response.status == 204:
            return 204, None
        answer = await response.json()
        if response.content_type == "application/problem+json":
            assert answer["status"] == response.status
            assert "secret" not in answer["detail"]
            return response.status, answer["code"]
        return response.status, answer


# Cameras


async def test_a_configured_camera_is_shown(broker: RunningBroker) -> None:
    (camera,) = await broker.json("/api/cameras")
    assert camera == await broker.json("/api/cameras/door")
    assert camera == {
        "id": "door",
        "name": "door",
        "group": "",
        "order": 0,
        "url": "rtsp://***@host/door",
        "transport": "auto",
        "on_demand": True,
        "keep_after": 10.0,
        "one_session": False,
        "tls": {"verify": True, "fingerprint": None, "legacy": False},
        "source": "config",
        "place": "the configuration",
        "state": "idle",
        "sentence": CameraState.IDLE.sentence,
        "detail": "",
        "sound": "",
        "for_all": True,
        "failed": False,
        "connected_over": "",
        "tracks": [],
        "statistics": [],
        "since": None,
        "reconnects": 0,
        "last_error": "",
        "retry_at": None,
        "viewers": 0,
        "worker": None,
        "streams": {
            "main": {
                "url": "rtsp://***@host/door",
                "state": "idle",
                "sentence": CameraState.IDLE.sentence,
                "failed": False,
                "tracks": [],
                "viewers": 0,
                "worker": None,
            }
        },
    }


async def test_a_camera_is_added_shown_changed_and_removed(broker: RunningBroker) -> None:
    status, camera = await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL, "transport": "udp"})
    assert status == 201
    assert (camera["url"], camera["transport"], camera["source"]) == ("rtsp://***@host/door", "udp", "api")
    assert await call(broker, "GET", "/api/cameras/yard") == (200, camera)
    assert [camera["id"] for camera in await broker.json("/api/cameras")] == ["door", "yard"]

    change = {"url": "rtsp://***@host/door", "keep_after": 5, "on_demand": True}
    status, changed = await call(broker, "PATCH", "/api/cameras/yard", change)
    assert (status, changed["keep_after"], changed["transport"]) == (200, 5.0, "udp")
    assert await call(broker, "DELETE", "/api/cameras/yard") == (204, None)
    assert await call(broker, "GET", "/api/cameras/yard") == (404, "unknown_camera")


async def test_changes_at_the_same_time_are_all_made(broker: RunningBroker) -> None:
    await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL})
    changes: list[dict[str, Any]] = [{"name": "Yard"}, {"group": "Outside"}, {"order": 7}, {"on_demand": True}]
    changes += [{"keep_after": 3.0}, {"transport": "tcp"}, {"streams": {"sub": {"url": "rtsp://host/sub"}}}]
    answers = await asyncio.gather(*(call(broker, "PATCH", "/api/cameras/yard", change) for change in changes))
    assert {status for status, _ in answers} == {200}
    _, camera = await call(broker, "GET", "/api/cameras/yard")
    assert camera["streams"]["sub"]["url"] == "rtsp://host/sub"
    assert all(camera[key] == value for change in changes for key, value in change.items() if key != "streams")


async def test_the_address_of_a_new_camera(broker: RunningBroker) -> None:
    async with broker.http.post("/api/cameras", json={"id": "yard", "url": URL}) as response:
        assert response.headers["Location"] == "/api/cameras/yard"


async def test_a_page_learns_how_its_requests_arrive(broker: RunningBroker) -> None:
    headers = {"Host": "10.0.0.7:8080", "X-Forwarded-Host": "cams.example"}
    async with broker.http.get("/api/arrival", headers=headers) as response:
        arrival = await response.json()
    assert (arrival["host"], arrival["forwarded_host"]) == ("10.0.0.7:8080", "cams.example")
    assert (arrival["believed"], arrival["refused"]) == (False, "")
    rfc_7239 = {"Forwarded": "for=192.0.2.7;host=cams.example;proto=https"}
    for headers, said in (
        (rfc_7239, ("cams.example", "https", True)),
        (rfc_7239 | {"X-Forwarded-Proto": "http"}, ("", "http", False)),  # that proxy writes no Forwarded of its own
    ):
        async with broker.http.get("/api/arrival", headers=headers) as response:
            arrival = await response.json()
        assert tuple(arrival[f"forwarded_{name}"] for name in ("host", "proto", "for")) == said
        assert arrival["scheme"] == "http"  # said, and not believed


async def test_a_merge_patch_has_a_type_of_its_own(broker: RunningBroker) -> None:
    await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL})
    body = {"tls": {"verify": False}}
    status, camera = await call(
        broker, "PATCH", "/api/cameras/yard", body, Content_Type="application/merge-patch+json; charset=utf-8"
    )
    assert (status, camera["tls"]["verify"]) == (200, False)


async def test_an_added_camera_survives_a_restart(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker:
        await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL})
        async with FakeIngest(broker.endpoints, "in-1"):
            playing = await broker.until("/api/cameras/yard", lambda camera: camera["state"] == "playing")
    async with broker_in(tmp_path) as broker:
        again = await broker.json("/api/cameras/yard")
    assert again["url"] == playing["url"]
    assert again["tracks"] == playing["tracks"] != []


async def test_the_worker_is_told_the_password_that_is_hidden(broker: RunningBroker) -> None:
    async with FakeIngest(broker.endpoints, "in-1") as ingest:
        await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL})
        await call(broker, "PATCH", "/api/cameras/yard", {"url": "rtsp://***@host/other"})
        await ingest.until(lambda: [m for m in ingest.messages if m.camera.url == "rtsp://user:secret@host/other"])


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/api/cameras", b"", (400, "not_json")),
        ("POST", "/api/cameras", b"{", (400, "not_json")),
        ("POST", "/api/cameras", b"\xff", (400, "malformed_text")),
        ("POST", "/api/cameras", b"[" * 10_000, (400, "not_json")),
        ("POST", "/api/cameras", b"[" * 20_000, (413, "too_large")),
        ("POST", "/api/cameras", b'{"id": "x", "keep_after": ' + b"9" * 5_000 + b"}", (400, "not_json")),
        ("POST", "/api/cameras", b'{"id": "x", "url": "rtsp://h/", "keep_after": NaN}', (400, "not_json")),
        ("POST", "/api/cameras", b'{"id": "x", "url": "rtsp://h/", "keep_after": 1e400}', (422, "invalid_camera")),
        ("POST", "/api/cameras", [], (400, "not_an_object")),
        ("POST", "/api/cameras", None, (400, "not_an_object")),
        ("POST", "/api/cameras", {}, (422, "invalid_camera")),
        ("POST", "/api/cameras", {"id": "x", "url": "ftp://user:secret@host"}, (422, "invalid_camera")),
        ("POST", "/api/cameras", {"id": "x", "url": URL, "color": URL}, (422, "invalid_camera")),
        ("POST", "/api/cameras", {"id": URL, "url": URL}, (422, "invalid_camera")),
        ("POST", "/api/cameras", {"id": "door", "url": URL}, (409, "camera_exists")),
        ("POST", "/api/cameras", {"id": "x", "url": "rtsp://" + "x" * 70_000}, (413, "too_large")),
        ("PATCH", "/api/cameras/door", {"on_demand": False}, (409, "camera_is_configured")),
        ("DELETE", "/api/cameras/door", None, (409, "camera_is_configured")),
        ("PATCH", "/api/cameras/porch", {}, (404, "unknown_camera")),
        ("DELETE", "/api/cameras/porch", None, (404, "unknown_camera")),
        ("GET", "/api/cameras/porch", None, (404, "unknown_camera")),
        ("PUT", "/api/cameras/door", {}, (405, "method_not_allowed")),
        ("POST", "/api/viewers", {}, (405, "method_not_allowed")),
        ("GET", "/api/nothing", None, (404, "not_found")),
    ],
)
async def test_what_is_wrong_is_refused_with_a_reason(broker, method: str, path: str, body, expected) -> None:
    assert await call(broker, method, path, body) == expected


async def test_a_refusal_names_the_key_and_what_is_allowed(broker: RunningBroker) -> None:
    body = {"id": "x", "url": URL, "color": "red"}
    async with broker.http.post("/api/cameras", json=body) as response:
        detail = (await response.json())["detail"]
    allowed = "url, transport, on_demand, keep_after, one_session, tls, streams, name, group, order"
    assert detail == f"color: unknown key; allowed here: {allowed}"


async def test_a_source_whose_kind_is_not_allowed_is_refused(broker: RunningBroker) -> None:
    async with broker.http.post("/api/cameras", json={"id": "yard", "url": "file:///etc/hostname"}) as response:
        assert response.status == 422
        assert "add file to sources.allow" in await response.text()


async def test_a_configured_camera_is_changed_in_its_file(broker: RunningBroker) -> None:
    async with broker.http.delete("/api/cameras/door") as response:
        assert "comes from the configuration; change it there" in (await response.json())["detail"]


async def test_another_content_type_is_refused(broker: RunningBroker) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):  # what a form of another site could send
        answer = await call(broker, "POST", "/api/cameras", {"id": "x", "url": URL}, Content_Type=content_type)
        assert answer == (415, "wrong_content_type")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/cameras"), ("PATCH", "/api/cameras/x"), ("DELETE", "/x")])
async def test_pages_of_other_origins_change_nothing(broker: RunningBroker, method: str, path: str) -> None:
    answer = await call(broker, method, path, {"id": "x", "url": URL}, Origin="https://elsewhere.example")
    assert answer == (403, "cross_origin")


async def test_our_own_pages_may(broker: RunningBroker) -> None:
    origin = broker.url.rstrip("/")
    assert (await call(broker, "POST", "/api/cameras", {"id": "x", "url": URL}, Origin=origin))[0] == 201


async def test_a_rebound_name_is_refused_everywhere(broker: RunningBroker) -> None:
    for path in ("/", "/api/cameras", "/healthz", "/static/player.js", "/ws"):
        assert await call(broker, "GET", path, Host="evil.example") == (421, "unknown_host")


async def test_answers_are_not_readable_by_other_origins(broker: RunningBroker) -> None:
    async with broker.http.get("/api/cameras", headers={"Origin": "https://elsewhere.example"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_a_worker_reports_is_shown(broker: RunningBroker) -> None:
    await call(broker, "POST", "/api/cameras", {"id": "yard", "url": URL})
    async with FakeIngest(broker.endpoints, "in-1") as ingest:
        await broker.until("/api/cameras/yard", lambda camera: camera["state"] == "playing")
        ingest.show(
            "yard",
            CameraState.UNREACHABLE,
            detail=f"{URL}: timed out",
            transport="udp",
            tracks=(Track(Kind.AUDIO, "AAC", 44_100, 2, problem="Browsers cannot play AAC.", warning="It stutters."),),
            stats=(TrackStats(Kind.AUDIO, packets=7, lost=1),),
            since=1_700_000_000.0,
            reconnects=3,
            last_error=f"{URL} refused",
            retry_at=1_700_000_005.0,
        )
        camera = await broker.until("/api/cameras/yard", lambda camera: camera["reconnects"] == 3)
    assert camera["state"] == "unreachable"
    assert camera["failed"]
    assert camera["detail"] == "rtsp://***@host/door: timed out"
    assert camera["last_error"] == "rtsp://***@host/door refused"
    assert camera["connected_over"] == "udp"
    assert camera["worker"] == "in-1"
    assert camera["since"] == 1_700_000_000.0
    assert camera["retry_at"] == 1_700_000_005.0
    (track,) = camera["tracks"]
    assert (track["codec"], track["playable"], track["problem"]) == ("AAC", False, "Browsers cannot play AAC.")
    assert track["warning"] == "It stutters."
    (statistics,) = camera["statistics"]
    assert (statistics["kind"], statistics["packets"], statistics["lost"]) == ("audio", 7, 1)


# Viewers and nodes


async def test_viewers(broker: RunningBroker) -> None:
    assert await broker.json("/api/viewers") == []
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        viewer = ViewerReport("s1", "door", ViewerState.CONNECTED, 1.5, "192.0.2.1:5000", "AEAD_AES_128_GCM", "H264")
        egress.report(viewers=(viewer,))
        (shown,) = await broker.until("/api/viewers", len)
        assert shown["node"] == "out-1"
        assert {key: shown[key] for key in ("session", "camera", "state", "started", "remote", "srtp", "video")} == {
            "session": public_name("s1"),
            "camera": "door",
            "state": "connected",
            "started": 1.5,
            "remote": "192.0.2.1:5000",
            "srtp": "AEAD_AES_128_GCM",
            "video": "H264",
        }
        assert (await broker.json("/api/cameras/door"))["viewers"] == 1


async def test_nodes(broker: RunningBroker) -> None:
    async with FakeIngest(broker.endpoints, "in-1") as ingest, FakeEgress(broker.endpoints, "out-1") as egress:
        ingest.report(load=Load(0.25, 1_000_000), counters={"rtp_garbage": 3})
        egress.report(draining=True, subscribed=("door",))
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3 and nodes[1]["counters"] and nodes[2]["cameras"])
        first, second, third = await broker.json("/api/nodes")
    assert (first["node"], first["role"], first["alive"]) == ("broker", "broker", True)
    assert first["counters"]["relay_frames_in"] == 0
    assert first["load"]["memory"] > 0
    assert (second["node"], second["role"], second["load"]) == (
        "in-1",
        "ingest",
        {"cpu": 0.25, "memory": 1_000_000, "free": 0},
    )
    assert second["counters"] == {"rtp_garbage": 3}
    assert 0 <= second["silent_for"] < 5
    assert (third["node"], third["role"], third["draining"], third["cameras"]) == ("out-1", "egress", True, ["door"])


async def test_strangers_on_the_control_port_are_counted(broker: RunningBroker) -> None:
    _, writer = await asyncio.open_unix_connection(broker.endpoints.control.removeprefix("ipc://"))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    writer.close()
    await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("control_strangers"))


async def test_garbage_on_the_control_port_is_counted(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        for garbage in (b"", b"\xff", b"\x80", b"\x81\xa4type\xa6report", b"x" * 100_000):
            egress.send(garbage)
        egress.channel.send(b"several", b"frames")
        egress.channel.send(b"")
        await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("control_garbage") == 7)
        assert len(await broker.json("/api/nodes")) == 2


# The document


async def test_the_document_is_served(broker: RunningBroker) -> None:
    served = json.loads(json.dumps(document() | {"servers": [{"url": "/"}]}))
    assert await broker.json("/api/openapi.json") == served


def test_every_route_is_described_and_no_other() -> None:
    routes = {(route.method.lower(), route.path) for route in ROUTES if route.method != "OPTIONS"}
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    pages = {
        "/",
        "/watch/{camera}",
        "/sign-in",
        "/sign-in/start",
        "/sign-in/callback",
        "/account",
        "/api/docs",
        "/static/{name}",
        "/mse/{camera}",
        "/ws",
    }
    assert described == {(method, path) for method, path in routes if path not in pages}


def test_every_reference_of_the_document_leads_somewhere() -> None:
    text = json.dumps(document())
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in document()["components"]["schemas"], name


async def test_answers_have_the_keys_that_are_described(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        egress.report(viewers=(ViewerReport("s1", "door", ViewerState.CONNECTED),))
        await broker.until("/api/viewers", len)
        schemas = document()["components"]["schemas"]
        for path, schema in (
            ("/api/cameras", "CameraView"),
            ("/api/viewers", "ViewerView"),
            ("/api/nodes", "NodeView"),
        ):
            (answer, *_) = await broker.json(path)
            assert answer.keys() == schemas[schema]["properties"].keys()
        assert (await broker.json("/api/viewers/s1")).keys() == schemas["SessionView"]["properties"].keys()
