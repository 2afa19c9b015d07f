"""The test picture, drawn into planes of 4:2:0 by hand; no I/O, no libraries.

Colour bars, a seven-segment clock (seconds and hundredths), a bar that sweeps once a second, and a patch of noise that
gives the encoder something to spend its bits on. The number of the picture stands once more in a row of cells along
the bottom, black for 0 and white for 1, so that a program can read from a decoded picture when it was taken.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from camshaft.demo_camera.settings import Settings

BLACK, WHITE = 16, 235  # limited range
NUMBER_BITS, CHECK_BITS = 12, 8  # 60 seconds at 60 pictures; one foreign picture in 256 passes
CELLS = NUMBER_BITS + CHECK_BITS
_CELL_CENTRE = 1 - 1 / 36  # of the height: the row of cells is one eighteenth high

_BARS = [  # Y, U, V of 75 % colour bars, from white to blue
    (180, 128, 128),
    (162, 44, 142),
    (131, 156, 44),
    (112, 72, 58),
    (84, 184, 198),
    (65, 100, 212),
    (35, 212, 114),
]
#   a      segments a to g of each digit
# f   b
#   g
# e   c
#   d
_DIGITS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"]
_NOISE_BYTES = 1 << 20


@dataclass(slots=True)
class Plane:
    """Bytes of one plane: rows of ``stride`` bytes of which ``width`` are seen."""

    pixels: bytearray
    stride: int
    width: int
    height: int

    def fill(self, box: Box, value: int) -> None:
        """Paint a box, as much of it as is seen."""
        left, top = min(box.left, self.width), min(box.top, self.height)
        row = bytes([value]) * min(box.width, self.width - left)
        for y in range(top, min(top + box.height, self.height)):
            start = y * self.stride + left
            self.pixels[start : start + len(row)] = row


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def halved(self) -> Box:
        """The same place in a plane of half the size."""
        return Box(*(side // 2 for side in self))


class Painter:
    """Draws the pictures of one clip. ``strides`` are the bytes a row takes in the planes Y, U and V."""

    def __init__(self, settings: Settings, strides: tuple[int, int, int]) -> None:
        width, height = settings.width, settings.height
        unit = height // 36
        self._fps, self._unit = settings.fps, unit
        self._noise = random.Random(1).randbytes(_NOISE_BYTES)
        self._clock = Box(2 * unit, 6 * unit, 33 * unit, 16 * unit)
        self._patch = Box(width * 3 // 4 & ~1, height // 2 & ~1, width // 5 & ~1, height // 3 & ~1)
        self._cells = Box(0, height - 2 * unit, width, 2 * unit)
        self._background = _bars(0, strides[0], width, height)
        chroma = [_bars(plane, strides[plane], (width + 1) // 2, (height + 1) // 2) for plane in (1, 2)]
        for plane in chroma:
            for box in (self._clock, self._patch, self._cells):
                plane.fill(box.halved(), 128)
        self.chroma = tuple(bytes(plane.pixels) for plane in chroma)
        """The planes U and V, the same in every picture."""

    def luma(self, number: int) -> bytes:
        """The plane Y of picture ``number`` of the loop."""
        background, unit = self._background, self._unit
        plane = replace(background, pixels=bytearray(background.pixels))
        self._sweep(plane, number)
        self._scatter(plane, number)
        plane.fill(self._clock, BLACK)
        hundredths = number * 100 // self._fps
        left = 3 * unit
        for place, digit in enumerate(f"{hundredths:04d}"):
            self._digit(plane, int(digit), left + (place * 7 + (place > 1) * 2) * unit, 8 * unit)
        plane.fill(Box(left + 14 * unit, 19 * unit, unit, unit), WHITE)  # the decimal point
        for cell, bit in enumerate(code(number)):
            edge, end = cell * plane.width // CELLS, (cell + 1) * plane.width // CELLS
            plane.fill(self._cells._replace(left=edge, width=end - edge), WHITE if bit else BLACK)
        return bytes(plane.pixels)

    def _sweep(self, plane: Plane, number: int) -> None:
        position = number % self._fps * (plane.width - 16) // self._fps
        plane.fill(Box(position & ~1, 0, 16, 4 * self._unit), WHITE)

    def _scatter(self, plane: Plane, number: int) -> None:
        left, top, width, height = self._patch
        for row in range(height):
            offset = (row * 977 + number * width * 3) % (_NOISE_BYTES - width)
            start = (top + row) * plane.stride + left
            plane.pixels[start : start + width] = self._noise[offset : offset + width]

    def _digit(self, plane: Plane, digit: int, left: int, top: int) -> None:
        unit = self._unit
        width, half = 5 * unit, 6 * unit  # of a digit, and the height of its half
        places = {
            "a": Box(left, top, width, unit),
            "b": Box(left + 4 * unit, top, unit, half),
            "c": Box(left + 4 * unit, top + half, unit, half),
            "d": Box(left, top + 2 * half - unit, width, unit),
            "e": Box(left, top + half, unit, half),
            "f": Box(left, top, unit, half),
            "g": Box(left, top + half - unit // 2, width, unit),
        }
        for segment in _DIGITS[digit]:
            plane.fill(places[segment], WHITE)


def _bars(plane: int, stride: int, width: int, height: int) -> Plane:
    row = bytes(_BARS[x * len(_BARS) // width][plane] if x < width else 128 for x in range(stride))
    return Plane(bytearray(row * height), stride, width, height)


def code(number: int) -> tuple[bool, ...]:
    """The cells for a picture's number: its bits, highest first, then check bits."""
    check = number << CHECK_BITS  # CRC-8 with the polynomial x^8 + x^2 + x + 1
    for bit in reversed(range(NUMBER_BITS)):
        if check >> bit + CHECK_BITS & 1:
            check ^= 0x107 << bit
    value = number << CHECK_BITS | check ^ 0x55  # so that all black is wrong, too
    return tuple(bool(value >> bit & 1) for bit in reversed(range(CELLS)))


def read_number(luma: Callable[[float, float], float]) -> int | None:
    """The number in a picture; ``luma`` gives the brightness (0 to 255) at x, y, both from 0 to 1.

    ``None`` if the cells do not add up, as in a picture that is not one of ours.
    """
    bits = [luma((cell + 0.5) / CELLS, _CELL_CENTRE) > 128 for cell in range(CELLS)]
    number = sum(bit << place for place, bit in enumerate(reversed(bits))) >> CHECK_BITS
    return number if tuple(bits) == code(number) else None
