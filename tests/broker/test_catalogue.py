"""The cameras there are: of the configuration, of the store, and of both after each of them has changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broker.catalogue import Catalogue
from broker.store import Store
from common.cameras import CameraName
from common.config import Config, Origin
from common.config_cameras import CameraConfig
from common.config_file import load
from common.config_limits import SourcesConfig
from common.errors import RequestError
from common.media import Kind, Track
from tests.fakes.clocks import Clock

H264 = Track(Kind.VIDEO, "H264", 90_000)
URL = "rtsp://user:se:cr@et@host:554/door"


def refused(caught: pytest.ExceptionInfo[RequestError]) -> tuple[int, str]:
    return caught.value.status, caught.value.code


def test_cameras_come_from_the_configuration_and_from_the_store(store: Store, tmp_path: Path) -> None:
    store.put_camera("yard", CameraConfig(url="rtsp://host/yard"))
    file = tmp_path / "camshaft.yaml"
    file.write_text("cameras:\n  door: {url: 'rtsp://host/door', on_demand: true}\n")
    catalogue = Catalogue(load(file, environ={}), store)
    assert catalogue.specs.keys() == {"door", "yard"}
    assert catalogue.specs["door"].on_demand
    assert catalogue.get("door").origin == Origin(f"{file}, line 2", watched=True)
    assert catalogue.get("yard").origin is None


def test_the_configuration_hides_a_camera_of_the_store(store: Store) -> None:
    store.put_camera("door", CameraConfig(url="rtsp://host/stored"))
    config = Config(cameras={"door": CameraConfig(url="rtsp://host/configured")})
    assert Catalogue(config, store).specs["door"].url == "rtsp://host/configured"
    assert Catalogue(Config(), store).specs["door"].url == "rtsp://host/stored"


def test_a_simulated_camera_cannot_be_removed_and_says_how_it_goes(store: Store) -> None:
    catalogue = Catalogue(load(None, environ={"CAMSHAFT_DEMO": "demo=rtsp://127.0.0.1:8554/"}), store)
    with pytest.raises(RequestError, match="Add a camera of your own and start `camshaft serve` again") as caught:
        catalogue.remove("demo")
    assert refused(caught) == (409, "camera_is_configured")


def test_an_added_camera_is_there_and_survives(catalogue: Catalogue, store: Store) -> None:
    assert catalogue.add({"id": "door", "url": URL, "transport": "udp"}) == "door"
    assert catalogue.specs["door"].url == URL
    assert Catalogue(Config(), store).specs == catalogue.specs


def test_every_change_announces_itself_once_it_is_made(catalogue: Catalogue) -> None:
    told: list[list[str]] = []
    catalogue.on_change(lambda: told.append([spec.url for spec in catalogue.specs.values()]))
    catalogue.add({"id": "door", "url": "rtsp://host/one"})
    catalogue.change("door", {"url": "rtsp://host/two"})
    with pytest.raises(RequestError):
        catalogue.change("door", {"url": "two"})
    catalogue.remove("door")
    assert told == [["rtsp://host/one"], ["rtsp://host/two"], []]


def test_an_id_is_taken_once(catalogue: Catalogue) -> None:
    catalogue.add({"id": "door", "url": URL})
    with pytest.raises(RequestError) as caught:
        catalogue.add({"id": "door", "url": URL})
    assert refused(caught) == (409, "camera_exists")


def test_there_is_a_limit(store: Store) -> None:
    catalogue = Catalogue(Config(limits={"cameras": 1}), store)
    catalogue.add({"id": "door", "url": URL})
    with pytest.raises(RequestError) as caught:
        catalogue.add({"id": "yard", "url": URL})
    assert refused(caught) == (503, "limit_cameras")


def test_a_disk_that_is_full_leaves_a_camera_that_can_be_removed_later(
    catalogue: Catalogue, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.add({"id": "door", "url": URL, "streams": {"sub": {"url": URL}}})

    @contextmanager
    def full() -> Iterator[None]:
        yield
        raise sqlite3.OperationalError("database or disk is full")

    for change in (lambda: catalogue.remove("door"), lambda: catalogue.change("door", {"streams": {"sub": None}})):
        with monkeypatch.context() as patch:
            patch.setattr(store, "transaction", full)
            with pytest.raises(RequestError) as caught:
                change()
            assert caught.value.status == 503
        assert catalogue.tracks == {"door": (), "door/sub": ()}
    catalogue.remove("door")
    assert catalogue.specs == {}


def test_removal(catalogue: Catalogue, store: Store) -> None:
    catalogue.add({"id": "door", "url": URL})
    catalogue.remove("door")
    assert catalogue.get("door") is None
    assert Catalogue(Config(), store).specs == {}


@pytest.mark.parametrize("action", [lambda c: c.change("door", {}), lambda c: c.remove("door")])
def test_what_is_not_there_cannot_be_changed(catalogue: Catalogue, action) -> None:
    with pytest.raises(RequestError) as caught:
        action(catalogue)
    assert refused(caught) == (404, "unknown_camera")


@pytest.mark.parametrize("action", [lambda c: c.change("door", {"on_demand": True}), lambda c: c.remove("door")])
def test_what_is_configured_is_changed_in_its_file(store: Store, tmp_path: Path, action) -> None:
    file = tmp_path / "camshaft.yaml"
    file.write_text("cameras:\n  door:\n    url: rtsp://host/door\n")
    catalogue = Catalogue(load(file, environ={}), store)
    with pytest.raises(RequestError) as caught:
        action(catalogue)
    assert refused(caught) == (409, "camera_is_configured")
    assert f"{file}, line 3" in caught.value.message


def test_another_list_of_schemes_holds_at_once(store: Store, clock: Clock) -> None:
    catalogue = Catalogue(Config(), store, clock)
    film = {"id": "yard", "url": "file:///srv/yard.mp4"}
    with pytest.raises(RequestError, match=r"add file to sources\.allow"):
        catalogue.add(film)
    catalogue.take(Config.model_validate({"sources": {"allow": ["rtsp", "file"]}}))
    catalogue.add(film)
    catalogue.take(Config())
    assert "yard" in catalogue.specs, "ingest says of it that it may not be"
    with pytest.raises(RequestError, match=r"add file to sources\.allow"):
        catalogue.change("yard", {"on_demand": True})


def test_every_stream_is_told_the_networks_that_it_may_be_in(store: Store, clock: Clock) -> None:
    file = Config.model_validate(
        {
            "sources": {"networks": ["10.0.0.0/8"]},
            "cameras": {"door": {"url": "rtsp://host/door", "streams": {"sub": {"url": "rtsp://host/small"}}}},
        }
    )
    catalogue = Catalogue(file, store, clock)
    catalogue.add({"id": "yard", "url": "rtsp://host/yard"})
    assert {spec.networks for spec in catalogue.specs.values()} == {("10.0.0.0/8",)}
    assert len(catalogue.specs) == 3
    before = {name: spec.revision for name, spec in catalogue.specs.items()}
    clock.now += 1
    after = Catalogue(file, store, clock).specs
    assert {name: spec.revision for name, spec in after.items()} == before
    elsewhere = file.model_copy(update={"sources": SourcesConfig.model_validate({"networks": ["10.1.0.0/16"]})})
    told: list[object] = []
    catalogue.on_change(lambda: told.append(catalogue.specs))
    catalogue.remember(CameraName("yard"), tracks=(H264,))
    catalogue.take(elsewhere)
    assert len(told) == 1
    for changed in (catalogue.specs, Catalogue(elsewhere, store, clock).specs):
        assert {spec.networks for spec in changed.values()} == {("10.1.0.0/16",)}
        assert all(spec.revision > before[name] for name, spec in changed.items()), "so that workers are told"
    assert catalogue.tracks[CameraName("yard")] == (H264,)
    catalogue.take(elsewhere)
    assert len(told) == 1


def test_the_simulated_camera_may_be_on_this_machine(store: Store) -> None:
    environ = {"CAMSHAFT_DEMO": "demo=rtsp://127.0.0.1:8554/", "CAMSHAFT_SOURCES_NETWORKS": "10.0.0.0/8"}
    assert Catalogue(load(None, environ=environ), store).specs["demo"].networks == ()


# A configuration that was read again


def configured(**cameras: Any) -> Config:
    document = {"cameras": {id: {"url": url} if isinstance(url, str) else url for id, url in cameras.items()}}
    context = {"origin_of": lambda id: Origin(f"camshaft.yaml, line {list(cameras).index(id) + 2}", watched=True)}
    return Config.model_validate(document, context=context)


def test_cameras_of_a_new_configuration_are_added_changed_and_removed(store: Store, clock: Clock) -> None:
    catalogue = Catalogue(configured(a="rtsp://a/", b="rtsp://b/", c="rtsp://c/"), store, clock)
    catalogue.add({"id": "own", "url": "rtsp://own/"})
    catalogue.remember("a", tracks=(H264,))
    before, told = dict(catalogue.specs), []
    catalogue.on_change(lambda: told.append(list(catalogue.names)))
    clock.now += 1.0
    catalogue.take(configured(d="rtsp://d/", b="rtsp://other/", a="rtsp://a/"))
    assert told == [["d", "b", "a", "own"]]
    assert catalogue.specs["a"] is before["a"]
    assert catalogue.specs["own"] is before["own"]
    assert (catalogue.specs["b"].url, catalogue.specs["d"].url) == ("rtsp://other/", "rtsp://d/")
    assert catalogue.specs["b"].revision > before["b"].revision
    assert catalogue.get("a").origin == Origin("camshaft.yaml, line 4", watched=True)
    assert catalogue.tracks["a"] == (H264,)
    assert store.memories().keys() == {"a", "b", "d", "own"}
    assert Catalogue(configured(a="rtsp://a/"), store, clock).specs["a"] == before["a"], "also after a restart"


def test_a_configuration_with_the_same_cameras_announces_nothing(store: Store) -> None:
    catalogue, told = Catalogue(configured(a="rtsp://a/", b="rtsp://b/"), store), []
    catalogue.on_change(lambda: told.append("changed"))
    catalogue.take(configured(a="rtsp://a/", b="rtsp://b/"))
    assert told == []
    before = dict(catalogue.specs)
    catalogue.take(configured(b={"url": "rtsp://b/", "name": "Back door"}, a="rtsp://a/"))
    assert list(catalogue.names) == ["b", "a"], "in the order of the file"
    assert catalogue.get("b").config.name == "Back door"
    assert told == ["changed"], "lists that people see are another"
    assert catalogue.specs == before, "and no camera connects anew"


def test_a_sub_stream_comes_and_goes_with_the_configuration(store: Store) -> None:
    with_sub = {"url": "rtsp://a/", "streams": {"sub": {"url": "rtsp://a/sub"}}}
    catalogue = Catalogue(configured(a="rtsp://a/"), store)
    main = catalogue.specs["a"]
    catalogue.take(configured(a=with_sub))
    assert catalogue.specs.keys() == {"a", "a/sub"}
    assert catalogue.specs["a"] == main, "it need not connect anew"
    catalogue.take(configured(a="rtsp://a/"))
    assert catalogue.specs == {"a": main}
    assert store.memories().keys() == {"a"}


def test_a_configuration_hides_a_camera_of_the_store_and_gives_it_back(store: Store) -> None:
    catalogue = Catalogue(Config(), store)
    catalogue.add({"id": "door", "url": "rtsp://stored/"})
    catalogue.take(configured(door="rtsp://configured/"))
    assert catalogue.specs["door"].url == "rtsp://configured/"
    with pytest.raises(RequestError) as caught:
        catalogue.remove("door")
    assert caught.value.message == "Camera 'door' comes from camshaft.yaml, line 2; change it there."
    catalogue.take(configured(door="rtsp://configured/", other="rtsp://other/"))
    catalogue.take(configured())
    assert catalogue.specs["door"].url == "rtsp://stored/"
    catalogue.remove("door")
    assert catalogue.specs == {}


def test_cameras_are_taken_although_the_disk_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    catalogue, told = Catalogue(configured(a="rtsp://a/"), store), []
    catalogue.on_change(lambda: told.append(list(catalogue.names)))
    with monkeypatch.context() as patch:
        patch.setattr(store, "check", failing)
        catalogue.take(configured(b="rtsp://b/"))
    assert told == [["b"]]
    assert catalogue.specs["b"].url == "rtsp://b/"
    catalogue.take(configured(b="rtsp://b/", c="rtsp://c/"))
    assert "c" in store.memories()


def test_a_camera_of_a_variable_takes_a_restart(store: Store) -> None:
    catalogue = Catalogue(load(None, environ={"CAMSHAFT_CAMERA": "a=rtsp://a/"}), store)
    with pytest.raises(RequestError, match=r"comes from CAMSHAFT_CAMERA; change it there and restart\.$"):
        catalogue.remove("a")


def test_the_number_of_cameras_that_the_api_adds_follows_its_limit(store: Store) -> None:
    catalogue = Catalogue(configured(a="rtsp://a/"), store)
    catalogue.limit(1)
    with pytest.raises(RequestError, match=r"limits\.cameras allows \(1\)"):
        catalogue.add({"id": "b", "url": "rtsp://b/"})
    catalogue.limit(2)
    catalogue.add({"id": "b", "url": "rtsp://b/"})
