"""Lines of the log for whoever follows it: all of them get each, nobody waits, and who is gone is forgotten."""

from __future__ import annotations

import json
import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from common import log
from common.bus import claimed_directory
from common.log_taps import FOLLOWERS, LOOK_INTERVAL, MAX_FOLLOWERS, Taps, followed
from tests.fakes.private_bus import private_endpoints


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bus() -> Iterator[Path]:
    with private_endpoints() as endpoints, claimed_directory(endpoints):
        assert endpoints.directory is not None
        yield endpoints.directory


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(bus: Path, clock: Clock) -> Iterator[logging.Logger]:
    """A logger whose lines go to those who follow, as ``configure`` has it."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    handler = Taps(bus, clock)
    log.configure("info", "json", copy=handler, node="egress-0")
    yield logging.getLogger("x")
    root.handlers[:], root.level = before
    handler.close()


def test_who_follows_gets_each_line_of_that_level_and_nothing_from_before(
    bus: Path, said: logging.Logger, clock: Clock
) -> None:
    said.warning("before")
    with followed(bus) as lines:
        clock.now += LOOK_INTERVAL
        said.warning("one %s", "rtsp://user:secret@host/")
        said.debug("too small")
        log.get_logger().info("two", camera="yard")
        one, two = json.loads(next(lines)), json.loads(next(lines))
    assert (one["event"], one["level"], one["node"]) == ("one rtsp://***@host/", "warning", "egress-0")
    assert (two["event"], two["camera"]) == ("two", "yard")
    said.warning("nobody hears it")
    said.warning("nor this")
    assert not (bus / FOLLOWERS).exists()


def test_several_follow_and_who_does_not_read_holds_up_nobody(bus: Path, said: logging.Logger, clock: Clock) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf, followed(bus) as lines:
        deaf.bind(str(bus / FOLLOWERS / "deaf.sock"))
        deaf.listen()
        clock.now += LOOK_INTERVAL
        ours = log.get_logger()
        for number in range(5_000):  # more than is kept for who does not read
            ours.info(f"line {number} {'x' * 100}")
            if number % 100 == 99:
                events = [json.loads(next(lines))["event"] for _ in range(100)]
                assert events[-1].startswith(f"line {number} ")


def test_who_was_killed_is_forgotten(bus: Path, said: logging.Logger, clock: Clock) -> None:
    directory = bus / FOLLOWERS
    directory.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(directory / "killed.sock"))
        killed.listen()
    for number in range(MAX_FOLLOWERS):
        (directory / f"no-socket-{number}.sock").touch()
    clock.now += LOOK_INTERVAL
    said.warning("it is sent to nobody")
    assert not (directory / "killed.sock").exists()


def test_only_the_owner_of_the_bus_can_follow(bus: Path) -> None:
    with followed(bus):
        for directory in (bus, bus / FOLLOWERS):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with pytest.raises(FileNotFoundError), followed(bus / "nowhere"):
        pass
