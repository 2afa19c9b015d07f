"""Cameras as people describe them, given to a whole catalogue: what is wrong is named, and no password goes astray."""

from __future__ import annotations

from typing import Any

import pytest

from broker.catalogue import Catalogue
from broker.store import Store
from common.cameras import redact
from common.config import Config
from common.config_cameras import CameraConfig
from common.errors import RequestError
from common.media import Kind, Track
from tests.fakes.cost import assert_linear

H264 = Track(Kind.VIDEO, "H264", 90_000)
URL = "rtsp://user:se:cr@et@host:554/door"


def refused(caught: pytest.ExceptionInfo[RequestError]) -> tuple[int, str]:
    return caught.value.status, caught.value.code


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
        ({"url": URL, "streams": "both"}, "streams: must consist of keys and values; allowed: main, sub"),
        ({"streams": {"sub": {"url": "rtsp://host/"}}}, "url: is missing"),
    ],
)
def test_what_is_wrong_with_a_stream_is_said(catalogue: Catalogue, fields: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError) as caught:
        catalogue.add({"id": "door", **fields})
    assert refused(caught) == (422, "invalid_camera")
    assert caught.value.message.startswith(words)


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
