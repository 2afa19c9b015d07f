"""The test picture: its clock for people, its number for programs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camshaft.demo_camera.picture import BLACK, CELLS, NUMBER_BITS, WHITE, Painter, code, read_number
from camshaft.demo_camera.settings import Settings

SIZES = [(1280, 720, 1280), (1920, 1080, 1920), (640, 360, 640), (322, 182, 384)]


def sampled(plane: bytes, settings: Settings, stride: int) -> Callable[[float, float], float]:
    return lambda x, y: plane[int(y * settings.height) * stride + int(x * settings.width)]


@pytest.mark.parametrize(("width", "height", "stride"), SIZES)
@pytest.mark.parametrize("number", [0, 1, 59, 1234, 3599])
def test_number_is_read_from_the_picture(width: int, height: int, stride: int, number: int) -> None:
    settings = Settings(width, height, fps=60)
    painter = Painter(settings, (stride, stride // 2, stride // 2))
    plane = painter.luma(number)
    assert len(plane) == stride * height
    assert [len(chroma) for chroma in painter.chroma] == [stride // 2 * ((height + 1) // 2)] * 2
    assert read_number(sampled(plane, settings, stride)) == number


def test_foreign_pictures_have_no_number() -> None:
    assert read_number(lambda x, y: 128) is None
    assert read_number(lambda x, y: 0) is None
    assert read_number(lambda x, y: 255) is None


@given(st.integers(0, (1 << NUMBER_BITS) - 1), st.integers(0, CELLS - 1))
def test_one_misread_cell_is_noticed(number: int, wrong: int) -> None:
    cells = list(code(number))
    assert read_number(lambda x, y: 255 * cells[int(x * CELLS)]) == number
    cells[wrong] = not cells[wrong]
    assert read_number(lambda x, y: 255 * cells[int(x * CELLS)]) is None


@pytest.mark.parametrize(("number", "shown"), [(0, "0000"), (30, "0100"), (31, "0103"), (1234, "4113"), (1799, "5996")])
def test_clock_shows_seconds_and_hundredths(number: int, shown: str) -> None:
    """Read as a person does: which of the seven segments of each digit are lit."""
    settings = Settings()
    plane = Painter(settings, (1280, 640, 640)).luma(number)
    unit = settings.height // 36
    #        a           b           c           d            e           f           g
    spots = [(2.5, 0.5), (4.5, 3.0), (4.5, 9.0), (2.5, 11.5), (0.5, 9.0), (0.5, 3.0), (2.5, 6.0)]
    lit = ["1111110", "0110000", "1101101", "1111001", "0110011", "1011011", "1011111", "1110000", "1111111", "1111011"]
    read = ""
    for place in range(4):
        left = (3 + place * 7 + (place > 1) * 2) * unit
        values = [plane[int(8 * unit + y * unit) * 1280 + int(left + x * unit)] for x, y in spots]
        assert set(values) <= {BLACK, WHITE}
        read += str(lit.index("".join("1" if value == WHITE else "0" for value in values)))
    assert read == shown


def test_every_picture_differs_from_the_one_before() -> None:
    painter = Painter(Settings(640, 360, fps=10), (640, 320, 320))
    pictures = [painter.luma(number) for number in range(10)]
    assert len(set(pictures)) == 10
