"""Keys of other programs are answered with what stands in their place here."""

from __future__ import annotations

import pytest

from common.config import Config
from common.config_cameras import CameraConfig, StreamConfig, StreamsConfig, TlsConfig
from common.foreign_keys import _OF_CAMERA, _SECTIONS, foreign


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (("streams",), ["this is go2rtc's", "Camshaft calls it `cameras`", "`camshaft import FILE` converts"]),
        (("paths",), ["this is MediaMTX's", "Camshaft calls it `cameras`"]),
        (("webrtcAdditionalHosts",), ["this is MediaMTX's", "Camshaft calls it `media.advertise`"]),
        (("runOnConnect",), ["this is MediaMTX's", "Camshaft has nothing like it"]),
        (("rtsp",), ["this is go2rtc's or MediaMTX's", "Camshaft has nothing like it"]),
        (("mqtt",), ["this is Frigate's"]),
        (("cameras", "door", "ffmpeg"), ["this is Frigate's", "Camshaft calls it `url`"]),
        (("cameras", "door", "sourceOnDemand"), ["this is MediaMTX's", "Camshaft calls it `on_demand`"]),
    ],
)
def test_a_key_of_another_program_is_told_its_name_here(at: tuple[str, ...], words: list[str]) -> None:
    sentence = foreign(at)
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    "at",
    [("htpp",), ("readable",), (), ("http", "streams"), ("cameras", "door", "streams", "source"), ("cameras", 0, 1)],
)
def test_of_anything_else_nothing_is_said(at: tuple[str | int, ...]) -> None:
    assert foreign(at) == ""


def test_what_is_promised_here_is_there() -> None:
    for _, ours in _SECTIONS.values():
        section, _, rest = ours.partition(".")
        assert not ours or section in Config.model_fields
        key = rest.split(".")[-1]
        model = CameraConfig if section == "cameras" else type(getattr(Config(), section or "http"))
        assert not key or key in model.model_fields, ours
    for _, ours in _OF_CAMERA.values():
        first, _, second = ours.partition(".")
        assert first in CameraConfig.model_fields
        assert not second or second in {
            *StreamsConfig.model_fields,
            *TlsConfig.model_fields,
            *StreamConfig.model_fields,
        }
    assert not _SECTIONS.keys() & Config.model_fields.keys()
    assert not _OF_CAMERA.keys() & CameraConfig.model_fields.keys()
