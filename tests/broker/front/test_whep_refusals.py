"""Requests that WHEP refuses, and what it says of offers, fragments, methods, and an egress that does not answer."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.front.whep import SDP, SDPFRAG
from common.control import HangUp
from tests.fakes.broker import CAMERAS, RunningBroker, broker_in
from tests.fakes.whep import FRAGMENT, OFFER, post, refusal
from tests.fakes.workers import FakeEgress


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("stream=sub", 404, "unknown_stream"),
        ("stream=third", 400, "invalid_stream"),
        ("height=tall", 400, "invalid_height"),
        ("height=-1", 400, "invalid_height"),
        ("height=1e3", 400, "invalid_height"),
    ],
)
async def test_a_wish_that_cannot_be_met_is_refused_with_the_reason(
    broker: RunningBroker, egress: FakeEgress, query: str, status: int, code: str
) -> None:
    response = await broker.http.post(f"/whep/door?{query}", data=OFFER, headers={"Content-Type": SDP})
    assert await refusal(response) == (status, code)


@pytest.mark.parametrize(
    "content_type", ["application/sdp; charset=utf-8", "application/sdp;charset=UTF-8", "Application/SDP"]
)
async def test_a_content_type_is_read_as_http_has_it(broker: RunningBroker, egress, content_type: str) -> None:
    assert (await post(broker, headers={"Content-Type": content_type})).status == 201


@pytest.mark.parametrize("body", ["", "\r\n"])
async def test_an_empty_offer_is_refused_clearly(broker: RunningBroker, egress: FakeEgress, body: str) -> None:
    assert await refusal(await post(broker, data=body)) == (400, "empty_offer")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_methods_that_are_reserved(broker: RunningBroker, egress: FakeEgress, method: str) -> None:
    location = (await post(broker)).headers["Location"]
    for path in ("/whep/door", location):
        response = await broker.http.request(method, path)
        assert response.status == 405
        assert "OPTIONS" in response.headers["Allow"]


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/sdp", FRAGMENT, (415, "wrong_content_type")),
        (SDPFRAG, "", (400, "malformed_sdpfrag")),
        (SDPFRAG, "{}", (400, "malformed_sdpfrag")),
        (SDPFRAG, b"\xff\xfe", (400, "malformed_text")),
        (SDPFRAG, "a=candidate:1\r\n" * 101, (400, "too_many_candidates")),
        (SDPFRAG, "a" * 70_000, (413, "too_large")),
    ],
)
async def test_a_wrong_fragment(broker, egress, content_type: str, body: str | bytes, expected) -> None:
    response = await post(broker)
    headers = {"Content-Type": content_type, "If-Match": response.headers["ETag"]}
    response = await broker.http.patch(response.headers["Location"], data=body, headers=headers)
    assert await refusal(response) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"camera": "porch"}, (404, "unknown_camera")),
        ({"camera": "door%2Fx"}, (404, "unknown_camera")),
        ({"headers": {"Content-Type": "application/json"}}, (415, "wrong_content_type")),
        ({"headers": {"Content-Type": ""}}, (415, "wrong_content_type")),
        ({"data": ""}, (400, "empty_offer")),
        ({"data": "{}"}, (400, "malformed_sdp")),
        ({"data": b"v=0\r\n\xff\xfe"}, (400, "malformed_text")),
        ({"data": OFFER + "a" * 70_000}, (413, "too_large")),
    ],
)
async def test_a_wrong_offer_is_refused_with_a_reason(broker, egress, options, expected) -> None:
    assert await refusal(await post(broker, **options)) == expected
    assert egress.messages == []


async def test_an_offer_in_json_is_told_what_to_send(broker: RunningBroker) -> None:
    response = await post(broker, data=json.dumps({"type": "offer", "sdp": OFFER}))
    assert "localDescription.sdp as it is, without JSON" in (await response.json())["detail"]


async def test_an_offer_with_a_mark_of_its_byte_order_is_taken(broker: RunningBroker, egress: FakeEgress) -> None:
    response = await post(broker, data=f"\ufeff{OFFER}")
    assert response.status == 201


@pytest.mark.parametrize("encoding", ["deflate", "gzip", "br", "zstd", "x", "identity, gzip"])
async def test_no_body_is_decompressed(broker: RunningBroker, egress: FakeEgress, encoding: str) -> None:
    for body in (zlib.compress(bytes(50_000_000), 9), b"garbage"):
        response = await post(broker, data=body, headers={"Content-Type": SDP, "Content-Encoding": encoding})
        assert await refusal(response) == (415, "content_encoded")
    nodes = await broker.json("/api/nodes")
    assert "http_bugs" not in nodes[0]["counters"]


async def test_a_body_without_a_length_is_limited_too(broker: RunningBroker, egress: FakeEgress) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield OFFER.encode()
        for _ in range(70):
            yield b"a" * 1024

    assert await refusal(await post(broker, data=chunks())) == (413, "too_large")


async def test_a_body_that_does_not_come_is_given_up(broker, egress, monkeypatch) -> None:
    monkeypatch.setattr("broker.front.bodies.BODY_TIMEOUT", 0.05)
    never = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield OFFER.encode()
        await never.wait()

    assert await refusal(await post(broker, data=chunks())) == (408, "too_slow")


@pytest.mark.parametrize("status", [400, 406, 422])
async def test_what_the_egress_refuses_is_passed_on(broker: RunningBroker, egress: FakeEgress, status: int) -> None:
    egress.refusal = (status, "no_usable_codec", "The camera sends H.265, which this browser cannot play.")
    response = await post(broker)
    assert await refusal(response) == (status, "no_usable_codec")
    assert (await response.json())["detail"] == "The camera sends H.265, which this browser cannot play."


async def test_without_egress_the_viewer_is_told_to_come_back(broker: RunningBroker) -> None:
    response = await post(broker)
    assert await refusal(response) == (503, "no_egress")
    assert int(response.headers["Retry-After"]) >= 1


async def test_an_egress_that_does_not_answer(broker: RunningBroker, egress: FakeEgress, monkeypatch) -> None:
    monkeypatch.setattr("broker.director.viewers.OFFER_TIMEOUT", 0.1)
    egress.silent = True
    assert await refusal(await post(broker)) == (503, "egress_timeout")
    await egress.told(HangUp)


async def test_an_egress_that_is_gone_without_a_word(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
    refused = await refusal(await post(broker))
    assert refused in [(503, "no_egress"), (503, "egress_died")], "the broker may see it gone only after that"


@pytest.mark.parametrize("path", ["/whep/door", "/whep/porch", "/whep/door/session"])
async def test_options(broker: RunningBroker, path: str) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    response = await broker.http.options(path, headers=headers)
    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Access-Control-Allow-Methods"] == response.headers["Allow"]
    assert {"Content-Type", "If-Match"} <= set(response.headers["Access-Control-Allow-Headers"].split(", "))
    if path.count("/") == 2:
        assert response.headers["Accept-Post"] == SDP
    else:
        assert response.headers["Accept-Patch"] == SDPFRAG


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/whep/door"), ("POST", "/whep/a/b")])
async def test_other_methods(broker: RunningBroker, method: str, path: str) -> None:
    response = await broker.http.request(method, path)
    assert await refusal(response) == (405, "method_not_allowed")
    assert response.headers["Allow"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_reserved_methods(broker: RunningBroker, egress: FakeEgress, method: str) -> None:
    location = (await post(broker)).headers["Location"]
    for path, allowed in (("/whep/door", {"OPTIONS", "POST"}), (location, {"DELETE", "OPTIONS", "PATCH"})):
        response = await broker.http.request(method, path)
        assert response.status == 405
        assert set(response.headers["Allow"].split(",")) == allowed
