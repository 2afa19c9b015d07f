"""Viewers by the page's own port do their worst beside one that watches: nobody else notices.

They are many, read nothing, ask for all of it again as often as they may say anything, or say what is nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from yarl import URL

from egress.mse.viewer import RESTART, SAID_RATE
from egress.mse.websocket import Opcode
from rigs.bystander import unharmed
from rigs.clip import Clip
from rigs.gst_camera import GstCamera
from rigs.handshake import REQUEST

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

CLIP = Clip(width=1280, height=720, bitrate=4_000_000)
DEAF, GREEDY, LOUD = 30, 5, 20
SECONDS = 8.0
READ = 1 << 16  # bytes
MOST = 2.5  # times the picture that asking again and again may draw


def said(opcode: Opcode, data: bytes = b"") -> bytes:
    """A message as a browser frames it, with a mask that changes nothing (RFC 6455 5.2)."""
    return bytes((0x80 | opcode, 0x80 | len(data))) + bytes(4) + data


async def opened(at: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(at.host, at.port, limit=READ)
    writer.write(REQUEST.format(camera="front-door", host=at.authority).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in head, head
    return reader, writer


async def read_all(reader: asyncio.StreamReader) -> int:
    """Read until cancelled or closed; the number of bytes."""
    count = 0
    with contextlib.suppress(asyncio.CancelledError, OSError):
        while data := await reader.read(READ):
            count += len(data)
    return count


async def greedy(at: URL, words: bytes) -> float:
    """Say this as often as one may; the bytes a second that it draws."""
    reader, writer = await opened(at)
    reading = asyncio.create_task(read_all(reader))
    for _ in range(int(SECONDS * SAID_RATE)):
        writer.write(words)
        await asyncio.sleep(1 / SAID_RATE)
    reading.cancel()
    writer.close()
    return await reading / SECONDS


async def deaf(at: URL) -> None:
    _, writer = await opened(at)
    with contextlib.suppress(OSError):
        for _ in range(int(SECONDS)):
            writer.write(said(Opcode.PING, bytes(100)) * 10)
            await asyncio.sleep(1.0)
    writer.transport.abort()


async def loud(at: URL, chance: random.Random) -> None:
    """Say what is nothing until that is the end, and come again."""
    frames = (
        lambda: chance.randbytes(2_000),
        lambda: said(Opcode.TEXT, b"restart")[:-3],
        lambda: said(Opcode.PING, bytes(125)) * 500,
        lambda: b"\x81\xff" + b"\x7f" * 12,
        lambda: b"\x81\xfe\x04\x00" + bytes(1_028),
    )
    until = asyncio.get_running_loop().time() + SECONDS
    while asyncio.get_running_loop().time() < until:
        reader, writer = await opened(at)
        with contextlib.suppress(OSError):
            writer.write(chance.choice(frames)())
            await asyncio.wait({reading := asyncio.create_task(read_all(reader))}, timeout=0.5)
            reading.cancel()
        writer.transport.abort()


async def test_viewers_by_the_pages_own_port_cost_another_nothing(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera(CLIP).url})
    at, chance = URL(running.url), random.Random(7)
    async with unharmed(running, "front-door"):
        usual = await greedy(at, b"")
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(greedy(at, said(Opcode.TEXT, RESTART))) for _ in range(GREEDY)]
            for _ in range(DEAF):
                group.create_task(deaf(at))
            for _ in range(LOUD):
                group.create_task(loud(at, chance))
        drawn = [each.result() for each in asking]
        print(f"drew {[round(each) for each in drawn]} bytes/s, {usual:.0f} without asking")
        assert max(drawn) < MOST * usual
