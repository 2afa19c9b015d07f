"""Decoders find zeros behind the bytes that they are given, whatever the process has in its memory there."""

from __future__ import annotations

import ctypes

from common.payload.assembler import AccessUnit
from rigs.codecs import pictures
from transcode.padded import PADDING, packet, padded
from transcode.picture import PictureConverter


def test_zeros_are_behind_a_packet_and_what_a_parser_gets() -> None:
    for size in (1, 63, 64, 1_000, 100_000):
        data = bytes(range(256)) * 400
        made, view = packet(data[:size]), padded(data[:size])
        assert bytes(made) == bytes(view) == data[:size]
        assert ctypes.string_at(made.buffer_ptr + size, PADDING) == bytes(PADDING)
        assert bytes(view.obj)[size:] == bytes(PADDING)  # type: ignore[arg-type]  # which is bytes


def test_a_decoder_that_goes_by_what_is_behind_finds_no_damage() -> None:
    converter = PictureConverter("MP4V-ES")
    coded = pictures("mpeg4", 150, width=320, height=240, options="b=900k")
    for number, picture in enumerate(coded):
        data = memoryview(picture.data + b"\x01" * PADDING)[: len(picture.data)]  # as it may stand in memory
        converter.convert(AccessUnit(data, number * 40_000_000, 0, picture.keyframe))  # type: ignore[arg-type]  # bytes
    assert converter.undecodable == 0
