"""A member of the cluster that has been taken over does all that its key lets it, beside somebody who watches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import zmq

from common.cameras import CameraState
from common.config import ClusterConfig
from common.control import Report, Role, StreamReport, ViewerReport, ViewerState, encode
from common.curve import Keys
from common.media import encode_batch, encode_replay, live_topic, replay_topic
from common.worker.membership import worker_keys
from rigs.bystander import unharmed
from rigs.command import wait_until
from tests.fakes.machines import Machines, token
from tests.fakes.media import video
from tests.fakes.members import Socket
from tests.fakes.private_bus import zmq_context
from tests.fakes.workers import FakeWorker

pytestmark = [pytest.mark.e2e, pytest.mark.quiet, pytest.mark.timeout(240)]

SECONDS = 2.0  # 68 MB of reports
PERIOD = 0.05  # seconds
NAMES = ("door", "door/h264", "door/opus", "door/sub", "yard", "")
EPOCH = 1 << 62  # newer than any that is flowing
DIFFERENT = 4  # rounds of reports, one after the other again and again: each says something else than the one before
PATIENCE = 60.0  # seconds


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq_context() as context:
        yield context


def forged() -> list[bytes]:
    """Frames that would take a camera's place: newer ones, broken ones, replays, and seals that are none."""
    key = video(0, 0, keyframe=True)._replace(epoch=EPOCH)
    short = key._replace(payloads=[b"\x67", b"\x67\x42", b"", b"\x65"])
    frames = [live_topic(name) + encode_batch(batch) for name in NAMES for batch in (key, short)]
    frames += [replay_topic(name, "egress-1") + encode_replay([encode_batch(key)] * 50) for name in NAMES[:2]]
    frames += [frame + os.urandom(32) for frame in frames]
    return [*frames, b"", b"\0", os.urandom(100_000), live_topic("door") + b"\xdd\xff\xff\xff\xff"]


def lies(role: Role, number: int) -> list[bytes]:
    """Reports of what is not, under its own name and under others', and what is no message."""
    streams = tuple(StreamReport(name, 1, CameraState.PLAYING, fence=(1 << 44) + number) for name in NAMES if name)
    viewers = tuple(ViewerReport(f"v{number}-{at}", "door", ViewerState.CONNECTED) for at in range(500))
    names = (f"rogue-{role}", "egress-1", "ingest-1", "broker", "x" * 60)
    reports = [
        Report(name, each, str(number), host="h", pid=1, version="1", served=streams, viewers=viewers, subscribed=NAMES)
        for name in names
        for each in (role, Role.EGRESS)
    ]
    return [*map(encode, reports), os.urandom(200_000), b"\xdf\xff\xff\xff\xff", b"\x91" * 5_000]


async def test_a_member_that_was_taken_over_harms_nobody(
    machines: Machines, tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    await asyncio.to_thread(wait_until, machines.camera_plays, "the camera does not play")
    for role in (Role.EGRESS, Role.INGEST, Role.TRANSCODE):
        config = ClusterConfig(token=token(tmp_path / "broker", role))
        async with asyncio.timeout(PATIENCE):
            keys = await worker_keys(context, machines.endpoints, config, role, f"rogue-{role}", asyncio.Event())
        assert keys is not None
        before = machines.count("media_forged")
        async with unharmed(machines, "door"):
            await rage(machines, context, keys, role)
            await asyncio.sleep(1.0)
        came = machines.count("media_forged") > before
        assert came == (role is not Role.EGRESS), f"{role}: only a publisher's frames come as far as a subscriber"
        await asyncio.to_thread(wait_until, lambda role=role: is_gone(machines, f"rogue-{role}"), "it is not given up")


def is_gone(machines: Machines, name: str) -> bool:
    """Whether nothing is given to it any more."""
    found = machines.broker.get("/api/nodes")
    return found is not None and not any(node["node"] == name and node["alive"] for node in found)


async def rage(machines: Machines, context: zmq.Context[zmq.Socket[bytes]], keys: Keys, role: Role) -> None:
    publisher = Socket(context, zmq.XPUB, machines.endpoints.media_in, keys)
    subscriber = Socket(context, zmq.SUB, machines.endpoints.media_out, keys)
    subscriber.channel.socket.subscribe(b"")
    worker = type("Rogue", (FakeWorker,), {"role": role})
    frames, rounds = forged(), [lies(role, number) for number in range(DIFFERENT)]
    async with worker(machines.endpoints, f"rogue-{role}", keys=keys) as rogue:
        for number in range(int(SECONDS / PERIOD)):
            for frame in frames:
                publisher.channel.send(frame)
            for message in rounds[number % DIFFERENT]:
                rogue.channel.send(message)
            await asyncio.sleep(PERIOD)
    publisher.channel.close()
    subscriber.channel.close()
