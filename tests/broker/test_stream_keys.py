"""Keys of streams: each worker is told those that it needs, before it needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker.director.commands import Send
from broker.director.director import Director
from broker.director.events import FromWorker, ViewerOffered
from broker.keyring import Keyring
from broker.stream_keys import current_key, with_keys
from common.cameras import CameraSpec, CameraState
from common.control import Assign, HangUp, Leaving, Offer, Report, Role, StreamKey, StreamReport
from common.media import Rendition

DOOR = CameraSpec("door", "rtsp://host/door")


class Plant:
    """A director whose workers are members; what it orders is dressed with keys."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.director = Director(0.0, {"door": DOOR}, ingests=1)
        self._token = {role: keyring.make_token(role, now=0.0) for role in Role}
        self._now = 10.0

    def report(self, node: str, role: Role, **fields: object) -> list[tuple[str, object]]:
        if self.keyring.member_named(node) is None:
            token = self._token[role]
            self.keyring.admit(token.id, token.secret, f"key of {node}", role, node, lives=lambda _: False, now=0.0)
        return self.handle(FromWorker(node, Report(node, role, "1", **fields)))  # type: ignore[arg-type]

    def handle(self, event: object) -> list[tuple[str, object]]:
        commands = self.director.handle(event, self._now)  # type: ignore[arg-type]
        return [
            sent
            for command in commands
            if isinstance(command, Send)
            for sent in with_keys(command.node, command.message, self.director, self.keyring)
        ]

    def key(self, node: str) -> bytes:
        return self.keyring.stream_key("door", node)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with closing(Keyring(tmp_path / "camshaft.db.keys")) as keyring:
        yield Plant(keyring)


def test_the_ingest_gets_it_with_its_camera(plant: Plant) -> None:
    assert plant.report("in-1", Role.INGEST) == [("in-1", Assign(DOOR, plant.key("in-1")))]
    assert plant.key("in-1")


def test_an_egress_gets_it_before_the_offer(plant: Plant) -> None:
    plant.report("in-1", Role.INGEST)
    plant.report("out-1", Role.EGRESS)
    key = StreamKey("door", plant.key("in-1"))
    assert plant.handle(ViewerOffered("s", "door", "sdp")) == [("out-1", key), ("out-1", Offer("s", "door", "sdp"))]


def test_an_offer_for_a_camera_that_nobody_has_comes_without(plant: Plant) -> None:
    plant.report("out-1", Role.EGRESS)
    assert plant.handle(ViewerOffered("s", "door", "sdp")) == [("out-1", Offer("s", "door", "sdp"))]
    assert current_key("door", plant.director, plant.keyring) is None
    assert current_key("no such camera", plant.director, plant.keyring) is None


def test_those_who_watch_get_the_next_one_when_the_camera_moves(plant: Plant) -> None:
    plant.report("in-1", Role.INGEST)
    for node in ("out-1", "out-2"):
        plant.report(node, Role.EGRESS)
    plant.handle(ViewerOffered("s", "door", "sdp"))
    plant.report("in-1", Role.INGEST, served=(StreamReport("door", 0, CameraState.PLAYING),))
    plant.report("in-2", Role.INGEST)
    key = plant.key("in-2")
    sent = plant.handle(FromWorker("in-1", Leaving("in-1", "1")))
    assert [each for each in sent if each[0] != "in-1"] == [
        ("out-1", StreamKey("door", key)),
        ("in-2", Assign(DOOR, key)),
    ]
    assert current_key("door", plant.director, plant.keyring) == StreamKey("door", key)


def test_each_stream_of_a_camera_has_a_key_of_its_own(plant: Plant) -> None:
    plant.report("in-1", Role.INGEST)
    assert current_key(Rendition("door"), plant.director, plant.keyring) == StreamKey("door", plant.key("in-1"))
    assert current_key(Rendition("door/sub"), plant.director, plant.keyring) is None, "there is no such stream"


def test_everything_else_is_sent_as_it_is(plant: Plant) -> None:
    message = HangUp("s")
    assert list(with_keys("out-1", message, plant.director, plant.keyring)) == [("out-1", message)]
