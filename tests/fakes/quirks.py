"""The common part of tests of cameras' quirks: a camera that gets one thing wrong, and what has to come of it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

from common.cameras import CameraState
from ingest.rtsp.message import Headers, Request, Response
from rigs.camera import Answer, FakeCamera
from rigs.video import Packet, encode, kind
from tests.fakes.viewer import Pulled

UNITS = encode()
WANTED = [list(unit) for unit in UNITS]
SETS = list(UNITS[0][:2])
SLICES = [[nal for nal in unit if kind(nal) in (1, 5)] for unit in UNITS]
SPROP = ",".join(base64.b64encode(nal).decode() for nal in SETS)


def changed(method: str, change: Callable[[Response], Answer]) -> Callable[[Request, Response], Answer]:
    """A camera whose successful answers to one method are different."""

    def rewrite(request: Request, response: Response) -> Answer:
        return change(response) if request.method == method and response.status == 200 else response

    return rewrite


def with_header(response: Response, name: str, value: str | None) -> Response:
    """The response with another value of a header; ``None`` leaves it out."""
    kept = [(key, text) for key, text in response.headers if key.lower() != name.lower()]
    return replace(response, headers=Headers([*kept, *([(name, value)] if value is not None else [])]))


def media(fake: FakeCamera) -> list[list[Packet]]:
    """The packets of the first track, access unit by access unit."""
    return fake.tracks[0].units


async def plays(
    fake: FakeCamera, *, url: str = "", frames: int = 40, wanted: list[list[bytes]] = WANTED, **spec: object
) -> Pulled:
    """The camera plays, and what it sends arrives as it should."""
    async with fake:
        async with Pulled(url or fake.url, **spec) as pulled:
            got = await pulled.watch(frames)
            assert got == (wanted * frames)[:frames]
            assert pulled.state is CameraState.PLAYING
        await fake.asked("TEARDOWN")
    return pulled
