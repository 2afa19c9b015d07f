"""Memories of each stream, in a whole catalogue: over restarts, over disks that fail, and for how long."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from broker import store as store_module
from broker.catalogue import Catalogue
from broker.store import Store
from common.cameras import redact
from common.config import Config
from common.config_cameras import CameraConfig
from common.errors import RequestError
from common.media import Kind, Track
from tests.fakes.clocks import Clock

H264 = Track(Kind.VIDEO, "H264", 90_000)
URL = "rtsp://user:se:cr@et@host:554/door"


def refused(caught: pytest.ExceptionInfo[RequestError]) -> tuple[int, str]:
    return caught.value.status, caught.value.code


def test_a_disk_that_fails_is_told(catalogue: Catalogue, store: Store, monkeypatch) -> None:
    catalogue.add({"id": "door", "url": URL})

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    for method in ("put_camera", "remove_camera", "remember"):
        monkeypatch.setattr(store, method, fail)
    for action in (
        lambda: catalogue.add({"id": "yard", "url": URL}),
        lambda: catalogue.change("door", {"on_demand": True}),
        lambda: catalogue.remove("door"),
    ):
        with pytest.raises(RequestError) as caught:
            action()
        assert refused(caught) == (503, "store_failed")
    assert catalogue.specs.keys() == {"door"}
    catalogue.remember("door", worker="ingest-1")  # only logged: it is not worth stopping for
    assert catalogue.last_workers == {"door": "ingest-1"}


def test_what_keeps_the_store_from_being_written_is_known_until_it_is_over(
    catalogue: Catalogue, store: Store, monkeypatch
) -> None:
    catalogue.check_store()
    assert catalogue.store_problem == ""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(store, "remember", fail)
        with pytest.raises(RequestError):
            catalogue.add({"id": "yard", "url": URL})
        assert catalogue.store_problem == "disk I/O error"
        patch.setattr(store, "prove", fail)
        catalogue.check_store()  # the file is where it was, and that proves nothing
        assert catalogue.store_problem == "disk I/O error"
    catalogue.check_store()
    assert catalogue.store_problem == ""


def test_where_the_disk_is_nearly_full_a_write_is_tried(catalogue: Catalogue, store: Store, monkeypatch) -> None:
    tried: list[None] = []
    monkeypatch.setattr(store, "prove", lambda: tried.append(None))
    catalogue.check_store()
    assert not tried, "there is room, and a disk is left alone"
    monkeypatch.setattr(store_module, "SCARCE", 1 << 60)
    catalogue.check_store()
    assert tried


def test_a_camera_is_written_as_a_whole_or_not_at_all(catalogue: Catalogue, store: Store, monkeypatch) -> None:
    catalogue.add({"id": "door", "url": URL})

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        for method in ("remember", "forget"):  # the second of two writes
            patch.setattr(store, method, fail)
        for action in (
            lambda: catalogue.add({"id": "yard", "url": URL}),
            lambda: catalogue.change("door", {"on_demand": True}),
            lambda: catalogue.remove("door"),
        ):
            with pytest.raises(RequestError):
                action()
    assert Catalogue(Config(), store).specs == catalogue.specs
    catalogue.change("door", {"on_demand": True})
    assert Catalogue(Config(), store).specs == catalogue.specs
    assert catalogue.specs["door"].on_demand


# Revisions and memories


def test_a_revision_grows_with_each_change_and_only_then(catalogue: Catalogue, clock: Clock) -> None:
    catalogue.add({"id": "door", "url": URL})
    first = catalogue.specs["door"].revision
    assert first == 1_700_000_000_000
    catalogue.change("door", {"url": redact(URL)})
    assert catalogue.specs["door"].revision == first
    clock.now -= 60.0  # the clock was set back
    catalogue.change("door", {"transport": "tcp"})
    assert catalogue.specs["door"].revision == first + 1
    catalogue.change("door", {"on_demand": True, "keep_after": 1})  # the worker need not know, nor begin anew
    assert catalogue.specs["door"].on_demand
    assert catalogue.specs["door"].revision == first + 1


def test_an_unchanged_configuration_keeps_its_revision_over_a_restart(store: Store, clock: Clock) -> None:
    config = Config(cameras={"door": CameraConfig(url=URL)})
    first = Catalogue(config, store, clock)
    clock.now += 60.0
    assert Catalogue(config, store, clock).specs == first.specs
    changed = Config(cameras={"door": CameraConfig(url=URL, transport="tcp")})
    assert Catalogue(changed, store, clock).specs["door"].revision > first.specs["door"].revision


def test_a_revision_grows_although_the_store_was_lost(tmp_path: Path, clock: Clock) -> None:
    config = Config(cameras={"door": CameraConfig(url=URL)})
    revisions = []
    for name in ("a.db", "b.db"):
        store = Store(tmp_path / name)
        revisions.append(Catalogue(config, store, clock).specs["door"].revision)
        store.close()
        clock.now += 1.0
    assert revisions[1] > revisions[0]


def test_a_camera_that_comes_back_under_its_name_has_a_newer_revision(catalogue: Catalogue) -> None:
    catalogue.add({"id": "door", "url": URL})
    first = catalogue.specs["door"].revision
    catalogue.remove("door")
    catalogue.add({"id": "door", "url": "rtsp://elsewhere/"})
    assert catalogue.specs["door"].revision > first


def test_tracks_and_place_are_kept_over_a_restart(catalogue: Catalogue, store: Store) -> None:
    catalogue.add({"id": "door", "url": URL})
    catalogue.add({"id": "yard", "url": URL})
    catalogue.remember("door", tracks=(H264,))
    catalogue.remember("door", worker="ingest-1")
    catalogue.remember("nobody", worker="ingest-1")
    again = Catalogue(Config(), store)
    assert again.tracks == {"door": (H264,), "yard": ()}
    assert again.last_workers == {"door": "ingest-1"}


def test_nothing_is_kept_of_cameras_that_are_gone(catalogue: Catalogue, store: Store) -> None:
    catalogue.add({"id": "door", "url": URL})
    Catalogue(Config(cameras={"yard": CameraConfig(url=URL)}), store)
    assert store.memories().keys() == {"door", "yard"}
    catalogue.remove("door")
    assert store.memories().keys() == {"yard"}
    Catalogue(Config(), store)
    assert store.memories() == {}


def test_tracks_of_another_address_are_forgotten(catalogue: Catalogue) -> None:
    catalogue.add({"id": "door", "url": URL})
    catalogue.remember("door", tracks=(H264,), worker="ingest-1")
    catalogue.change("door", {"on_demand": True})
    assert catalogue.tracks == {"door": (H264,)}
    catalogue.change("door", {"url": "rtsp://elsewhere/"})
    assert catalogue.tracks == {"door": ()}
    assert catalogue.last_workers == {"door": "ingest-1"}


def test_a_store_that_is_deleted_loses_no_camera(catalogue: Catalogue, store: Store, tmp_path: Path) -> None:
    catalogue.add({"id": "door", "url": URL})
    (tmp_path / "camshaft.db").unlink()
    catalogue.add({"id": "yard", "url": URL})
    store.close()
    again = Store(tmp_path / "camshaft.db")
    assert Catalogue(Config(), again).specs == catalogue.specs
    again.close()


def test_a_store_that_another_one_took_the_place_of_is_told(catalogue: Catalogue, store: Store, tmp_path: Path) -> None:
    catalogue.add({"id": "door", "url": URL})
    other = tmp_path / "other"
    other.write_bytes(b"")
    other.replace(tmp_path / "camshaft.db")
    for _ in range(2):
        with pytest.raises(RequestError, match=r"another file is at .* now; start the broker again") as caught:
            catalogue.add({"id": "yard", "url": URL})
        assert refused(caught) == (503, "store_failed")
        catalogue.check_store()  # only logged
    assert catalogue.specs.keys() == {"door"}
    assert (tmp_path / "camshaft.db").read_bytes() == b""
