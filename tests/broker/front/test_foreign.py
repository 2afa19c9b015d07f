"""Addresses of other servers are answered with what is here in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.front.foreign import in_place_of
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.cost import assert_linear


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/door/whep", "WHEP at /whep/CAMERA"),
        ("/site/door/whep", "WHEP at /whep/CAMERA"),
        ("/api/webrtc?src=door", "WHEP at /whep/CAMERA"),
        ("/rtc/v1/whep/?app=live&stream=door", "WHEP at /whep/CAMERA"),
        ("/app/door?direction=whep", "WHEP at /whep/CAMERA"),
        ("/app/door?transport=tcp&direction=whep", "WHEP at /whep/CAMERA"),
        ("/door/whip", "nobody can send video"),
        ("/stream.html?src=door&mode=webrtc", "/watch/CAMERA"),
        ("/api/ws?src=door", "/watch/CAMERA"),
        ("/door/index.m3u8", "there is no HLS"),
        ("/api/stream.m3u8?src=door", "there is no HLS"),
        ("/api/frame.jpeg?src=door", "snapshot.jpg"),
        ("/v3/paths/list", "/api/cameras"),
        ("/api/streams", "/api/cameras"),
        ("/whep", "WHEP at /whep/CAMERA"),
        ("/live/door.m3u8", "there is no HLS"),
        ("/snapshot/door.jpg?t=1", "snapshot.jpg"),
        ("/video.mjpg", "snapshot.jpg"),
        ("/api/health", "/readyz"),
        ("/status", "/readyz"),
        ("/swagger", "/api/docs"),
        ("/api/", "/api/docs"),
        ("/door", ""),
        ("/nowhere.html", ""),
        ("/favicon.ico", ""),
    ],
)
def test_each_is_told_what_to_ask_for(path: str, words: str) -> None:
    found = in_place_of(path)
    assert (words in found) if words else not found


def test_a_long_path_takes_time_in_proportion() -> None:
    for piece in ("/a", "?", "&", "/a?b=c&"):
        assert_linear(in_place_of, piece)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "The list of cameras is at /, a camera's page at /watch/CAMERA"),
        ("/whep/door", 405, "players (WHEP)"),
        ("/whep/door", 405, "the page of this camera is /watch/door"),
        ("/whep/door/some-session", 405, "players (WHEP)"),
    ],
)
async def test_who_types_an_address_that_is_no_page_is_told_which_is(
    path: str, status: int, words: str, broker: RunningBroker
) -> None:
    async with broker.http.get(path, headers={"Accept": "text/html,*/*"}) as answer:
        assert answer.status == status
        assert words in await answer.text()


async def test_a_player_of_another_server_is_told(broker: RunningBroker) -> None:
    async with broker.http.post("/door/whep", data=b"v=0", headers={"Content-Type": "application/sdp"}) as answer:
        assert answer.status == 404
        body = await answer.json()
    assert body["detail"] == "There is nothing at this address. Here a player finds WHEP at /whep/CAMERA."
    async with broker.http.get("/rtc/v1/whep/", headers={"Accept": "*/*"}) as answer:
        assert "http.base_path" not in (await answer.json())["detail"]
