import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broker import store as store_module
from broker.catalogue import Catalogue
from broker.store import Store
from common.cameras import CameraName, redact
from common.config import CameraConfig, Config, Origin, SourcesConfig
from common.config_file import load
from common.errors import RequestError
from common.media import Kind, Track
from tests.fakes.cost import assert_linear

H264 = Track(Kind.VIDEO, "H264", 90_000)
URL = "rtsp://user:se:cr@et@host:554/door"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "camshaft.db")
    yield store
    store.close()


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalogue(store: Store, clock: Clock) -> Catalogue:
    return Catalogue(Config(), store, clock)


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


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({}, "id"),
        ({"url": URL}, "id"),
        ({"id": 5, "url": URL}, "id"),
        ({"id": "", "url": URL}, "id"),
        ({"id": "-x", "url": URL}, "id"),
        ({"id": "a/b", "url": URL}, "id"),
        ({"id": "a@b", "url": URL}, "id"),
        ({"id": "x" * 65, "url": URL}, "id"),
        ({"id": "door"}, "url"),
        ({"id": "door", "url": "ftp://host/"}, "url"),
        ({"id": "door", "url": "file:///etc/passwd"}, "url"),
        ({"id": "door", "url": "rtsp://host/" + "x" * 2_048}, "url"),
        ({"id": "door", "url": "rtsp://***@host/"}, "url"),
        ({"id": "door", "url": URL, "color": "red"}, "color"),
        ({"id": "door", "url": URL, "keep_after": "long"}, "keep_after"),
    ],
)
def test_a_wrong_camera_is_refused_and_its_key_named(catalogue: Catalogue, document: dict[str, Any], key: str) -> None:
    with pytest.raises(RequestError) as caught:
        catalogue.add(document)
    assert refused(caught) == (422, "invalid_camera")
    assert caught.value.message.startswith(f"{key}: ")
    assert "se:cr" not in caught.value.message
    assert catalogue.specs == {}


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


def test_a_change_replaces_what_it_names_and_null_brings_the_default_back(catalogue: Catalogue) -> None:
    catalogue.add({"id": "door", "url": URL, "keep_after": 3, "tls": {"verify": False, "legacy": True}})
    catalogue.change("door", {"on_demand": True, "keep_after": None, "tls": {"verify": None}, "id": "door"})
    assert catalogue.get("door").config == CameraConfig(url=URL, on_demand=True, tls={"legacy": True})


@pytest.mark.parametrize(
    ("patch", "key"),
    [
        ({"id": "yard"}, "id"),
        ({"url": None}, "url"),
        ({"url": 5}, "url"),
        ({"color": 1}, "color"),
        ({"tls": {"color": 1}}, "tls.color"),
        ({"tls": 5}, "tls"),
        ({"transport": ["udp"]}, "transport"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(catalogue: Catalogue, patch: dict[str, Any], key: str) -> None:
    catalogue.add({"id": "door", "url": URL})
    before = catalogue.get("door")
    with pytest.raises(RequestError) as caught:
        catalogue.change("door", patch)
    assert refused(caught) == (422, "invalid_camera")
    assert caught.value.message.startswith(f"{key}: ")
    assert catalogue.get("door") == before


@pytest.mark.parametrize(
    ("current", "sent", "expected"),
    [
        (URL, "rtsp://***@host:554/door", URL),
        (URL, "rtsp://***@host:554/other?x=1", "rtsp://user:se:cr@et@host:554/other?x=1"),
        (URL, "rtsp://new:one@elsewhere/door", "rtsp://new:one@elsewhere/door"),
        (URL, "rtsp://elsewhere/door", "rtsp://elsewhere/door"),
        ("rtsp://host/user=a&password=b", "rtsp://host/user=a&password=***", "rtsp://host/user=a&password=b"),
        ("rtsp://host/a@b", "rtsp://***@b", "rtsp://host/a@b"),
    ],
)
def test_a_hidden_password_is_kept(catalogue: Catalogue, current: str, sent: str, expected: str) -> None:
    catalogue.add({"id": "door", "url": current})
    catalogue.change("door", {"url": sent})
    assert catalogue.specs["door"].url == expected


@pytest.mark.parametrize(
    ("current", "sent"),
    [
        (URL, "rtsp://***@elsewhere:554/door"),
        (URL, "rtsp://***@host:555/door"),
        (URL, "rtsps://***@host:554/door"),
        (URL, "rtsp://***@elsewhere/@host:554/door"),
        (URL, "rtsp://user:***@host:554/door"),
        (URL, "rtsp://host/?password=***"),
        ("rtsp://host/user=a&password=b", "rtsp://elsewhere/user=a&password=***"),
    ],
)
def test_a_hidden_password_never_goes_to_another_host(catalogue: Catalogue, current: str, sent: str) -> None:
    catalogue.add({"id": "door", "url": current})
    with pytest.raises(RequestError) as caught:
        catalogue.change("door", {"url": sent})
    assert refused(caught) == (422, "invalid_camera")
    assert catalogue.specs["door"].url == current


def test_a_camera_has_the_streams_that_it_is_given(catalogue: Catalogue, store: Store) -> None:
    sub = "rtsp://user:se:cr@et@host:554/sub"
    catalogue.add({"id": "door", "streams": {"main": {"url": URL}, "sub": {"url": sub}}, "keep_after": 3})
    assert list(catalogue.names) == ["door"]
    assert {name: (spec.id, spec.url) for name, spec in catalogue.specs.items()} == {
        "door": ("door", URL),
        "door/sub": ("door/sub", sub),
    }
    assert [spec.on_demand for spec in catalogue.specs.values()] == [False, True], "an idle one is not pulled"
    assert catalogue.specs["door/sub"].keep_after == 3
    assert Catalogue(Config(), store).specs == catalogue.specs
    catalogue.remember("door/sub", tracks=(H264,))
    assert Catalogue(Config(), store).tracks == {"door": (), "door/sub": (H264,)}


def test_a_stream_is_changed_and_removed_by_itself(catalogue: Catalogue, store: Store) -> None:
    catalogue.add({"id": "door", "url": URL})
    catalogue.change("door", {"streams": {"sub": {"url": "rtsp://***@host:554/sub"}}})
    first = dict(catalogue.specs)
    assert first["door/sub"].url == "rtsp://user:se:cr@et@host:554/sub", "the camera's own password"
    catalogue.remember("door", tracks=(H264,))
    catalogue.change("door", {"streams": {"sub": {"url": "rtsp://***@host:554/sub2"}}})
    assert catalogue.specs["door"] == first["door"], "it goes on as it is"
    assert catalogue.specs["door/sub"].url == "rtsp://user:se:cr@et@host:554/sub2"
    assert catalogue.specs["door/sub"].revision > first["door/sub"].revision
    catalogue.change("door", {"streams": {"main": {"url": "rtsp://elsewhere/"}}})
    assert catalogue.specs["door"].url == "rtsp://elsewhere/"
    catalogue.change("door", {"streams": {"sub": None}})
    assert catalogue.specs.keys() == store.memories().keys() == {"door"}
    catalogue.change("door", {"streams": {"sub": {"url": "rtsp://host/"}}})
    catalogue.remove("door")
    assert catalogue.specs == {}
    assert store.memories() == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": URL, "streams": {"main": {"url": "rtsp://x/"}}}, "The main stream's url is given twice"),
        ({"url": URL, "streams": {"sub": {"url": "rtsp://***@host/"}}}, "streams.sub.url: *** stands for hidden"),
        ({"url": URL, "streams": {"sub": {"url": "ftp://host/"}}}, "streams.sub.url: must start with rtsp://"),
        (
            {"url": URL, "streams": {"sub": {"url": "device:/dev/video0"}}},
            "streams.sub.url: sources of the kind device:",
        ),
        (
            {"streams": {"main": {"url": URL, "uri": URL}}},
            "streams.main.uri: unknown key; did you mean url? allowed here: url, tls",
        ),
        ({"url": URL, "streams": {"third": {}}}, "streams.third: unknown key; allowed here: main, sub"),
        (
            {"url": URL, "streams": {"sub": {"uri": "rtsp://host/"}}},
            "streams.sub.uri: unknown key; did you mean url? allowed here: url, tls",
        ),
        ({"url": URL, "streams": "both"}, "streams: must hold keys and values; allowed: main, sub"),
        ({"streams": {"sub": {"url": "rtsp://host/"}}}, "url: is missing"),
    ],
)
def test_what_is_wrong_with_a_stream_is_said(catalogue: Catalogue, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        catalogue.add({"id": "door", **fields})
    assert refused(caught) == (422, "invalid_camera")
    assert caught.value.message.startswith(words)


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


def test_an_address_says_the_same_wherever_the_main_stream_has_it(catalogue: Catalogue) -> None:
    catalogue.add({"id": "a", "url": "rtspx://host/"})
    catalogue.add({"id": "b", "streams": {"main": {"url": "rtspx://host/"}}})
    catalogue.add({"id": "c", "url": "rtsps://host/", "streams": {"sub": {"url": "rtspx://host/"}}})
    catalogue.add({"id": "d", "streams": {"main": {"url": "rtsps://host/", "tls": {"verify": False}}}})
    catalogue.change("c", {"streams": {"main": {"url": "rtsps://other/", "tls": {"legacy": True}}}})
    assert catalogue.specs["c"].tls.legacy
    unverified = [name for name, spec in catalogue.specs.items() if not spec.tls.verify]
    assert unverified == ["a", "b", "c/sub", "d"], "one stream's says nothing of the other"
    assert catalogue.specs["a"].url == catalogue.specs["b"].url == "rtsps://host/"


@pytest.mark.parametrize("piece", ["@", "@a", "***@", "://", "/", "x"])
def test_a_hidden_password_takes_time_in_proportion_to_the_url(catalogue: Catalogue, piece: str) -> None:
    catalogue.add({"id": "door", "url": f"rtsp://user:{'@' * 1_900}@host/door"})
    for start in ("rtsp://", "rtsp://***@"):
        assert_linear(lambda url, start=start: catalogue.change("door", {"url": start + url}), piece, end="\n")


def test_every_url_may_be_sent_back_as_it_is_shown(catalogue: Catalogue) -> None:
    for i, url in enumerate((URL, "rtsp://host", "rtsps://u@h/@", "rtsp://h/?pass=1&token=2")):
        catalogue.add({"id": f"c{i}", "url": url})
        catalogue.change(f"c{i}", {"url": redact(url)})
        assert catalogue.specs[f"c{i}"].url == url


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
    with pytest.raises(RequestError, match=r"limits\.cameras is 1"):
        catalogue.add({"id": "b", "url": "rtsp://b/"})
    catalogue.limit(2)
    catalogue.add({"id": "b", "url": "rtsp://b/"})
