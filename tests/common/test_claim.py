"""The directory of the bus, and who has it."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from common import claim
from common.bus import bind
from common.claim import claimed_directory, seems_served
from common.endpoints import Endpoints, Part
from common.errors import AddressInUseError, ConfigError

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


def test_creates_it_private_and_holds_it(tmp_path: Path) -> None:
    endpoints = Endpoints.parse(f"ipc://{tmp_path}/a/b")
    with claimed_directory(endpoints):
        assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
        in_use = pytest.raises(AddressInUseError, match=r"ipc://.*/a/b is in use .* --broker-address")
        with in_use, claimed_directory(endpoints):
            pass
    with claimed_directory(endpoints):
        pass


def test_each_part_of_the_broker_has_a_lock_and_no_file_that_an_earlier_release_does_not_know(tmp_path: Path) -> None:
    endpoints = Endpoints.parse(f"ipc://{tmp_path}")
    with claimed_directory(endpoints, Part.RELAY), claimed_directory(endpoints, Part.CONTROL):
        assert [each.name for each in tmp_path.iterdir()] == ["lock"]
        in_use = pytest.raises(AddressInUseError, match=r"media relay: ipc://.* is in use")
        with in_use, claimed_directory(endpoints, Part.RELAY):
            pass
    with claimed_directory(endpoints, Part.RELAY):
        pass


def test_a_relay_takes_no_sockets_that_a_broker_of_the_release_before_still_has(
    tmp_path: Path, context: Context
) -> None:
    """That one has media's sockets too, and not the relay's lock: it holds the broker's alone."""
    endpoints = Endpoints.parse(f"ipc://{tmp_path}")
    with claimed_directory(endpoints, Part.CONTROL):
        with context.socket(zmq.XSUB) as old:
            bind(old, endpoints.media_in, None, "media from ingest")
            in_use = pytest.raises(AddressInUseError, match=r"media relay: ipc://.*/media-in is in use .* free it")
            with in_use, claimed_directory(endpoints, Part.RELAY):
                pass
        left = socket.socket(socket.AF_UNIX)  # as by one that was killed
        (tmp_path / "media-in").unlink(missing_ok=True)
        left.bind(str(tmp_path / "media-in"))
        left.close()
        with claimed_directory(endpoints, Part.RELAY):
            pass


def test_its_lock_is_private_also_where_an_earlier_one_was_not(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/lock").touch(0o644)
    for directory in (tmp_path / "old", tmp_path / "new"):
        with claimed_directory(Endpoints.parse(f"ipc://{directory}")):
            assert stat.S_IMODE((directory / "lock").stat().st_mode) == 0o600


def test_makes_a_directory_of_ours_private_again(tmp_path: Path) -> None:
    (tmp_path / "control").touch()
    tmp_path.chmod(0o755)
    with claimed_directory(Endpoints.parse(f"ipc://{tmp_path}")):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_leaves_a_directory_of_others_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").touch()
    tmp_path.chmod(0o755)
    with (
        pytest.raises(ConfigError, match="holds other files"),
        claimed_directory(Endpoints.parse(f"ipc://{tmp_path}")),
    ):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_refuses_a_file_and_a_directory_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match="File exists"),
        claimed_directory(Endpoints.parse(f"ipc://{tmp_path}/file")),
    ):
        pass
    monkeypatch.setattr("os.getuid", lambda: 12_345)
    with (
        pytest.raises(ConfigError, match="belongs to another user"),
        claimed_directory(Endpoints.parse(f"ipc://{tmp_path}/x")),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a link of another user's")
def test_no_other_user_leads_it_to_a_directory_of_ours(tmp_path: Path) -> None:
    """Everybody may make ``/tmp/camshaft-0`` before root's broker does."""
    (ours := tmp_path / "empty").mkdir(mode=0o755)
    endpoints = Endpoints.parse(f"ipc://{tmp_path}/camshaft-0")
    (link := tmp_path / "camshaft-0").symlink_to(ours)
    os.chown(link, 65_534, 65_534, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to another user"), claimed_directory(endpoints):
        pass
    assert stat.S_IMODE(ours.stat().st_mode) == 0o755
    os.chown(link, 0, 0, follow_symlinks=False)
    with claimed_directory(endpoints):
        assert (ours / "lock").exists()


def test_tcp_needs_none() -> None:
    with claimed_directory(Endpoints.parse("tcp://127.0.0.1:5550")):
        pass


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_a_broker_does_not_notice_that_somebody_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, told: bool
) -> None:
    """``camshaft logs -f`` was a stranger to it. Where the system does not say who listens, it has to be."""
    if not told:
        monkeypatch.setattr(claim, "_listened_at", set)
    path = tmp_path / "control"
    assert not seems_served(f"ipc://{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not seems_served(f"ipc://{path}"), "it has a name, and does not listen"
        listener.listen()
        listener.setblocking(False)
        assert seems_served(f"ipc://{path}")
        if told:
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert path.exists()
    assert not seems_served(f"ipc://{path}"), "the name is what was left of it"
