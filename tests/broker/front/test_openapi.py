"""The document says what is true: a body made from it is accepted, and answers are as it says."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from broker.front.openapi import document
from common.cameras import CameraState
from common.config_cameras import CameraConfig
from common.config_file import parse_camera
from common.config_types import CameraUrl
from common.control import TrackStats
from common.media import Kind, Track
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.schema import Schemas
from tests.fakes.workers import FakeEgress, FakeIngest

SCHEMAS = Schemas(document())
JSON, PROBLEM = "application/json", "application/problem+json"


def operation(method: str, path: str) -> dict[str, Any]:
    described: dict[str, Any] = document()["paths"][path][method]
    return described


def body_of(method: str, path: str) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies as the document has them. A URL with *** is one that was hidden, which is said in its own error."""
    schema = operation(method, path)["requestBody"]["content"][JSON]["schema"]
    return SCHEMAS.values(schema).filter(lambda body: "***" not in (body.get("url") or ""))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras={"door": {"url": "rtsp://host/door"}}) as broker:
        yield broker


async def answered(broker: RunningBroker, method: str, path: str, real: str = "", **options: Any) -> tuple[int, Any]:
    """Ask, and hold the answer against the document. ``real`` is ``path`` with its parameters."""
    async with broker.http.request(method, real or path, **options) as response:
        described = operation(method, path)["responses"]
        assert str(response.status) in described, await response.text()
        content = described[str(response.status)].get("content")
        if content is None:
            assert await response.read() == b""
            return response.status, None
        answer = await response.json(content_type=None)
        schema = content[response.content_type]["schema"]
        assert list(SCHEMAS.mismatches(answer, schema)) == []
        return response.status, answer


@pytest.mark.thorough
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=body_of("post", "/api/cameras"), change=body_of("patch", "/api/cameras/{id}"))
async def test_a_camera_made_from_the_document_is_accepted(broker: RunningBroker, body, change) -> None:
    status, camera = await answered(broker, "post", "/api/cameras", json=body)
    assert status == (409 if body["id"] == "door" else 201)
    if status == 201:
        own = f"/api/cameras/{camera['id']}"
        assert (await answered(broker, "patch", "/api/cameras/{id}", own, json=change))[0] == 200
        assert (await answered(broker, "delete", "/api/cameras/{id}", own))[0] == 204


@given(body=body_of("post", "/api/cameras"))
def test_what_the_document_allows_is_valid(body: dict[str, Any]) -> None:
    assert isinstance(parse_camera({key: value for key, value in body.items() if key != "id"}), CameraConfig)


@pytest.mark.parametrize("url", ["RTSP://0'", "rtsp://554>", 'rtsp://camera/live"'])
def test_the_document_refuses_an_address_with_a_quote_that_is_not_of_it(url: str) -> None:
    assert not re.search(TypeAdapter(CameraUrl).json_schema()["pattern"], url)


async def test_answers_are_as_the_document_says(broker: RunningBroker) -> None:
    async with FakeIngest(broker.endpoints, "in-1") as ingest, FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        track = Track(Kind.VIDEO, "H264", 90_000, profile="42e01f", warning="It stutters.")
        ingest.show("door", CameraState.PLAYING, tracks=(track,), stats=(TrackStats(Kind.VIDEO),), transport="tcp")
        offer = {"data": "v=0\r\n", "headers": {"Content-Type": "application/sdp"}}
        async with broker.http.post("/whep/door", **offer) as response:
            session = response.headers["Location"].rpartition("/")[2]
        await broker.until("/api/viewers", lambda viewers: viewers and viewers[0]["state"] == "connected")
        await broker.until("/api/cameras/door", lambda camera: camera["tracks"] and camera["tracks"][0]["warning"])
        for path in ("/api/cameras", "/api/viewers", "/api/nodes", "/healthz", "/readyz"):
            status, answer = await answered(broker, "get", path)
            assert status == 200
            assert answer
        await answered(broker, "get", "/api/cameras/{id}", "/api/cameras/door")
        await answered(broker, "get", "/api/viewers/{session}", f"/api/viewers/{session}")
    async with asyncio.timeout(10.0):
        while (await answered(broker, "get", "/readyz"))[0] != 503:  # noqa: ASYNC110 - HTTP has no event to wait for
            await asyncio.sleep(0.05)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "path", "real", "body", "status"),
    [
        ("post", "/api/cameras", "/api/cameras", {}, 422),
        ("post", "/api/cameras", "/api/cameras", [], 400),
        ("post", "/api/cameras", "/api/cameras", {"id": "door", "url": "rtsp://host/"}, 409),
        ("patch", "/api/cameras/{id}", "/api/cameras/none", {}, 404),
        ("get", "/api/viewers/{session}", "/api/viewers/none", None, 404),
    ],
)
async def test_refusals_are_as_the_document_says(broker, method: str, path: str, real: str, body, status: int) -> None:
    given = {} if body is None else {"data": json.dumps(body), "headers": {"Content-Type": JSON}}
    assert (await answered(broker, method, path, real, **given))[0] == status
