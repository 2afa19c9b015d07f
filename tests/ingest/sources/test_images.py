"""Images are found by their own marks, however a server cuts what it writes."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.images import MAX_IMAGE, Images
from rigs.codecs import pictures
from tests.fakes.cost import assert_cheap

JPEG = pictures("mjpeg", 3, pixels="yuvj420p")
IMAGES = [picture.data for picture in JPEG]
THUMBNAIL = b"\xff\xd8\xff\xe1" + (len(IMAGES[1]) + 2).to_bytes(2) + IMAGES[1] + IMAGES[0][2:]
PART = re.compile(rb"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: (\d+)\r\n\r\n")


class Source:
    """A body that gives so many bytes at once."""

    def __init__(self, data: bytes, size: int) -> None:
        self.left, self.size = data, size

    def read(self, size: int) -> bytes:
        out, self.left = self.left[: min(size, self.size)], self.left[min(size, self.size) :]
        return out

    def close(self) -> None:
        self.left = b""


def found(data: bytes, size: int = 1_000) -> list[bytes]:
    images = Images(Source(data, size))  # type: ignore[arg-type]  # all of a body that is used
    out = b"".join(iter(lambda: images.read(700), b""))
    parts, at = [], 0
    while match := PART.match(out, at):
        parts.append(out[match.end() : match.end() + int(match[1])])
        at = match.end() + int(match[1]) + 2
    assert at == len(out)
    return parts


@pytest.mark.parametrize("size", [1, 7, 1_000, 1_000_000])
@pytest.mark.parametrize("between", [b"", b"\r\n--frame\r\n\r\n", b"\xff\xff\xd8 no image \xff\xd8\xff"])
def test_all_of_them(size: int, between: bytes) -> None:
    assert found(between + between.join(IMAGES) + between, size) == IMAGES


def test_a_thumbnail_within_one_is_none() -> None:
    assert found(THUMBNAIL + IMAGES[2]) == [THUMBNAIL, IMAGES[2]]


def test_one_without_its_end_goes_on_with_the_next() -> None:
    assert found(IMAGES[0][:-2] + IMAGES[1]) == [IMAGES[0][:-2], IMAGES[1]]


def test_an_endless_one_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1 << 20
    monkeypatch.setattr("ingest.sources.images.MAX_IMAGE", most)
    head = IMAGES[0][: IMAGES[0].index(b"\xff\xda") + 14]
    endless = head + b"\x11" * (most + 40_000)
    assert found(endless + IMAGES[1], 65_536) == [IMAGES[1]]


def test_a_large_one_is_not_copied_for_each_read() -> None:
    head = IMAGES[0][: IMAGES[0].index(b"\xff\xda") + 14]
    body = head + b"\x11" * (MAX_IMAGE - 100_000) + b"\xff\xd9"

    def read() -> None:
        images = Images(io.BytesIO(body))  # type: ignore[arg-type]
        while images.read(4_096):
            pass

    assert_cheap(read)  # 30 GB would be copied


@given(st.lists(st.sampled_from([*IMAGES, b"\xff\xd8", b"\xff\xd9", b"\xff", b"\xff\xda\0\2", b"text"]), max_size=8))
def test_any_bytes(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert sum(map(len, found(data))) <= len(data)
