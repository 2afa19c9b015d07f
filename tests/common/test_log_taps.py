"""Lines of the log for whoever follows it: all of them get each, nobody waits, and who is gone is forgotten."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from common import log, log_taps
from common.claim import claimed_directory
from common.endpoints import Part
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


@pytest.mark.thorough
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


def test_a_call_that_cannot_be_formatted_harms_nobody_while_somebody_follows(
    bus: Path, said: logging.Logger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # it is told on standard error else
    with followed(bus) as lines:
        clock.now += LOOK_INTERVAL
        for _ in range(log.LINES_A_MINUTE + 2):
            logging.getLogger("aiohttp.server").warning("%d", "x")
        monkeypatch.setattr(log.time, "monotonic", lambda: 1e9)
        for _ in range(2):
            logging.getLogger("aiohttp.server").warning("%d", "x")
        said.warning("one")
        assert json.loads(next(lines))["event"] == "one"


def test_who_follows_is_told_once_how_many_lines_of_a_library_were_left_out(
    bus: Path, said: logging.Logger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, written = [1e9], io.StringIO()
    (to_stderr,) = (each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler)
    to_stderr.setStream(written)
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    with followed(bus) as lines:
        clock.now += LOOK_INTERVAL
        for number in range(log.LINES_A_MINUTE + 3):
            now[0] += 60.0 * (number == log.LINES_A_MINUTE + 2)
            said.warning("line %d", number)
        events = [json.loads(next(lines))["event"] for _ in range(log.LINES_A_MINUTE + 1)]
    assert events[-1] == "line 32 (and 2 more of this kind before)"
    assert [json.loads(line)["event"] for line in written.getvalue().splitlines()] == events


def test_a_process_that_ends_no_line_is_let_go_and_only_so_many_are_listened_to(
    bus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_taps, "MAX_PROCESSES", 2)
    with followed(bus) as lines, ExitStack() as stack:
        (path,) = (bus / FOLLOWERS).iterdir()
        endless, one, many = (stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3))
        for each in (endless, one, many):
            each.settimeout(60)
        endless.connect(str(path))
        one.connect(str(path))
        one.sendall(b"one\n")
        assert next(lines) == "one"
        many.connect(str(path))
        one.sendall(b"two\n")
        assert next(lines) == "two"
        one.sendall(b"three\n")
        assert next(lines) == "three"
        assert many.recv(1) == b"", "it is one too many"
        sending = threading.Thread(target=_send, args=(endless, b"x" * (log_taps.PENDING * 4)))
        sending.start()
        one.sendall(b"four\n")
        assert next(lines) == "four"
        while sending.is_alive():
            one.sendall(b"more\n")
            assert next(lines) == "more"
        with suppress(ConnectionResetError):  # as all that it sent was not read
            assert endless.recv(1) == b""


def _send(socket: socket.socket, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        socket.sendall(data)


ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may follow another user's")
NOBODY = 65_534


@ROOT_ONLY
@pytest.mark.parametrize("bait", ["logs", "bus"])
def test_root_follows_as_the_owner_of_the_bus_and_touches_nothing_else(bus: Path, tmp_path: Path, bait: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    os.chown(bus, NOBODY, NOBODY)
    led = bus / bait
    led.symlink_to(victim)
    os.chown(led, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PermissionError), followed(bus if bait == "logs" else led):
        pass
    assert os.geteuid() == 0
    led.unlink()
    assert (victim.stat().st_uid, list(victim.iterdir())) == (0, [])


@ROOT_ONLY
def test_root_hears_the_processes_of_another_user(bus: Path) -> None:
    os.chown(bus, NOBODY, 0)  # as root makes a directory for a service
    with followed(bus) as lines:
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (NOBODY, NOBODY, [])
        (path,) = (bus / FOLLOWERS).iterdir()
        assert (path.stat().st_uid, path.stat().st_mode & 0o022) == (NOBODY, 0)
        with socket.socket(socket.AF_UNIX) as process:
            process.connect(str(path))
            process.sendall(b"one\n")
            assert next(lines) == "one"
    assert (os.geteuid(), os.getegid()) == (0, 0)
    assert not (bus / FOLLOWERS).exists()


def test_what_killed_followers_left_bars_no_older_broker() -> None:
    with private_endpoints() as endpoints:
        assert endpoints.directory is not None
        with claimed_directory(endpoints):
            left = endpoints.directory / FOLLOWERS
            left_by_killed(left)
            (left / "no-socket.sock").touch()
        assert [each.name for each in left.iterdir()] == ["no-socket.sock"], "it is none of ours"
        (left / "no-socket.sock").unlink()
        left_by_killed(left)
        with claimed_directory(endpoints):
            assert not left.exists(), "at the start"
            left_by_killed(left)
            with followed(endpoints.directory) as lines:
                with claimed_directory(endpoints, Part.RELAY):
                    pass
                with socket.socket(socket.AF_UNIX) as process:
                    process.connect(str(next(left.glob("*.sock"))))
                    process.sendall(b"one\n")
                    assert next(lines) == "one"
            left_by_killed(left)
        assert not left.exists(), "at the end"


def left_by_killed(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for name in ("killed.sock", "beginning.new"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
            killed.bind(str(directory / name))


def test_only_the_owner_of_the_bus_can_follow(bus: Path) -> None:
    with followed(bus):
        for directory in (bus, bus / FOLLOWERS):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    with pytest.raises(FileNotFoundError), followed(bus / "nowhere"):
        pass
