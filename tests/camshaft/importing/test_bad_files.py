"""Files of other programs that hold anything: what is written is right, and what cannot be taken is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camshaft.importing.address import Address
from camshaft.importing.convert import READERS, convert, write
from camshaft.importing.found import Camera, Found
from common.config_file import load
from common.errors import ConfigError
from tests.fakes.cost import assert_in_proportion


def test_streams_that_lead_to_themselves_end() -> None:
    found = convert({"streams": {"a": "rtsp://localhost:8554/b", "b": ["a", "ffmpeg:b#video=h264"], "c": "ffmpeg:a"}})
    assert found.cameras == []
    assert len(found.left_out) == 3


def test_streams_that_all_lead_to_each_other_are_read_in_no_time() -> None:
    def read(number: int) -> None:
        names = [f"c{at}" for at in range(number)]
        found = convert({"streams": {name: [*names, f"rtsp://h/{name}"] for name in names}})
        assert len(found.left_out) + len(found.cameras) == number

    assert_in_proportion(lambda: read(20), lambda: read(200), 10)


@pytest.mark.parametrize(
    "document",
    [None, 5, "text", [], {}, {"http": {}}, {"streams": [1]}, {1: 2}, {"cameras": {"a": {"url": "rtsp://h/"}}}],
)
def test_what_is_no_file_of_theirs_is_a_config_error(document: object) -> None:
    with pytest.raises(ConfigError):
        convert(document)


KEYS = st.sampled_from(
    [
        "streams", "paths", "cameras", "go2rtc", "ffmpeg", "inputs", "path", "roles", "live", "enabled", "url",
        "webrtc", "candidates", "listen", "log", "level", "source", "sourceOnDemand", "sourceOnDemandCloseAfter",
        "username", "sourceFingerprint", "rtspTransport", "webrtcICEServers2", "password", "pathDefaults",
        "camera", "platform", "stream_source", "input", "options", "entries", "data", "domain", "environment_vars",
        "webrtcAdditionalHosts", "webrtcLocalUDPAddress", "logLevel", "a", "a_sub",
    ]
)  # fmt: skip
TEXTS = st.sampled_from(
    [
        "rtsp://h/", "rtsp://u:${P:x}@h/sub", "rtsp://127.0.0.1:8554/a", "ffmpeg:a#x", "{FRIGATE_X}", "${", "$$",
        "turn:h", "stun:h", "exec:x", ":1", "info", "record", "detect", "yes", "rtsps://h/\n# x: 1", "http://h/",
        "10s", "\x00", "generic", "ffmpeg",
    ]
) | st.text(max_size=8)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=2) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS | st.integers() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(document=st.dictionaries(KEYS, ANYTHING, max_size=4), program=st.sampled_from(list(READERS)))
def test_whatever_a_file_holds_what_is_written_is_right(
    document: dict[str, Any], program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = convert(document, program)
    file = tmp_path_factory.getbasetemp() / "written.yaml"
    file.write_text(write(found, "a\nb"), "utf-8")

    class Everything(dict[str, str]):
        def get(self, key: str, default: object = None) -> str:
            return "" if key.startswith("CAMSHAFT_") else "x"

    config = load(file, environ=Everything())
    assert list(config.cameras) == [camera.name for camera in found.cameras]
    assert all("\n" not in line for line in found.left_out)


def test_many_streams_take_time_in_proportion() -> None:
    def converting(count: int) -> Callable[[], object]:
        streams = {f"{'ä' * (n % 3)}{n}{'_sub' * (n % 2)}": f"rtsp://h/{n}" for n in range(count)}
        return lambda: convert({"streams": streams})

    assert_in_proportion(converting(200), converting(2_000))


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"paths": {"a": {"source": "rtsp://"}}}, "a: must be rtsp://host"),
        ({"paths": {"a": {"source": "rtsp://h/a b"}}}, "a: must be rtsp://host"),
        ({"paths": {}, "webrtcICEServers2": [{"url": "turn:h:1"}]}, "webrtcICEServers2 turn:h:1: it has no user"),
        (
            {"paths": {}, "webrtcICEServers2": [{"url": 5}, "x", {"url": "stun:h h"}]},
            "webrtcICEServers2 stun:h h: must",
        ),
        (
            {"paths": {}, "webrtcAdditionalHosts": ["rtsp://h/"]},
            "webrtcAdditionalHosts rtsp://h/: is no name or address",
        ),
        (
            {"streams": {}, "webrtc": {"candidates": ["0.0.0.0:8555"]}},
            "webrtc.candidates 0.0.0.0:8555: write the address",
        ),
        ({"streams": {"a": "rtsp://u:hunter2@h/a b"}}, "a: rtsp://***@h/a b: must be rtsp://host"),
        ({"streams": {"a": "rtsp://h/" + "x" * 3_000}}, "characters"),
        ({"streams": {"a": None}}, "a: none of its sources can be used"),
        ({"cameras": {"a": {"ffmpeg": {"inputs": [{"path": 5}, {}, "x"]}}}}, "a: has no input that can be used"),
    ],
)
def test_an_address_that_cannot_be_is_left_out_with_the_reason(document: dict[str, Any], left: str) -> None:
    found = convert(document)
    assert found.cameras == []
    assert left in "\n".join(found.left_out)
    assert "hunter2" not in "\n".join(found.left_out)


def test_a_name_that_cannot_be_shown_is_in_a_comment_alone() -> None:
    (camera,) = convert({"streams": {"front\ndoor": "rtsp://h/"}}).cameras
    assert (camera.name, camera.settings) == ("front-door", {})
    assert camera.comments == ["called front door in go2rtc"]


def test_a_sub_stream_that_cannot_be_leaves_the_camera() -> None:
    found = Found("a test")
    found.add(Camera("door", Address.of("rtsp://h/"), Address.of("rtsp://")))
    assert [(camera.name, camera.sub) for camera in found.cameras] == [("door", None)]
    assert found.left_out[0].startswith("door, sub-stream: must be rtsp://host")
