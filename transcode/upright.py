"""Pictures as their camera wants them seen: of two fields made one, turned, in square pixels.

Browsers show each sample as a square, know nothing of fields, and turn nothing. What a stream says of that is applied
where it is decoded in any case: for a conversion, and for a still.
"""

from __future__ import annotations

import gc
import math
import struct
from fractions import Fraction
from typing import Any

from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from common.payload.supplemental import turns
from transcode.encoding import MICROSECONDS

LEAST_ASPECT = Fraction(1, 3)  # of a pixel, width by height, and its inverse: what is beyond is a slip
SQUARE = 0.01  # so far from a square one still is

Chain = tuple[tuple[str, str], ...]
"""Filters of FFmpeg's, each with its arguments."""

DEINTERLACE: Chain = (("yadif", "mode=send_frame"),)


class Filtered:
    """The pictures of one stream through filters, made anew for other filters, or for pictures of another shape."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._made: tuple[object, ...] = ()

    def forget(self) -> None:
        """Forget the last picture: the next one does not go on from it."""
        self._graph = None

    def __call__(self, frame: VideoFrame, chain: Chain) -> VideoFrame:
        """The picture that comes out: the same one, where the filters want to see the next first."""
        made = chain, frame.width, frame.height, frame.format.name
        if self._graph is None or self._made != made:
            self._graph, self._made = _graph(frame, chain), made
        self._graph.push(frame)
        try:
            return self._graph.vpull()
        except BlockingIOError:
            return frame


def _graph(frame: VideoFrame, chain: Chain) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=MICROSECONDS)
    graph.link_nodes(source, *(graph.add(*each) for each in chain), graph.add("buffersink"))
    graph.configure()
    return graph


def turn(frame: VideoFrame) -> Chain | None:
    """The filters that turn it as it says that it is to be shown, by right angles and mirrors; ``None`` where it says
    nothing, and FFmpeg says nothing of one that is upright: see ``is_upright``.

    To be asked of few: a picture and its side data hold each other in PyAV, and only the collector frees them.
    """
    gc.collect()  # those that were asked before
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    across, down_across, across_down, down = struct.unpack("=ii4xii", bytes(matrix)[:20])  # libavutil/display.h
    quarter = round(math.atan2(down_across, across) / (math.pi / 2)) % 4
    if quarter % 2:
        clockwise = quarter == 1
        mirrored = (across_down > 0) is clockwise
        return (("transpose", ("cclock_flip" if clockwise else "clock_flip") if mirrored else _QUARTERS[clockwise]),)
    mirrors = (("hflip", across < 0), ("vflip", down < 0))
    return tuple((name, "") for name, applies in mirrors if applies)


def message_in(codec: str, unit: bytes) -> bytes:
    """The NAL unit of an access unit that says how its picture is to be turned; empty where none does."""
    header = _HEADERS.get(codec)
    units = unit.split(b"\0\0\0\1", _LOOKED_AT)[1:-1] if header else []
    said = (nal for nal in units if nal and nal[0] in _SUPPLEMENTAL and turns(nal, header or 0) is not None)
    return next(said, b"")


def is_upright(codec: str, message: bytes) -> bool:
    """Whether a message says that from here on nothing is to be turned any more."""
    return bool(message) and not turns(message, _HEADERS[codec])


_HEADERS = {"H264": 1, "H265": 2}  # bytes of a NAL unit's
_SUPPLEMENTAL = {0x06, 0x4E}  # SEI, by the first byte: H.264 7.3.1, H.265 7.3.1.2
_LOOKED_AT = 8  # NAL units before a picture
_QUARTERS = {True: "clock", False: "cclock"}


def pixel_aspect(decoder: VideoCodecContext, turned: Chain = ()) -> Fraction:
    """Width by height of a pixel, 1 where it is not said, or is as good as that; of the picture as it is ``turned``."""
    said = decoder.sample_aspect_ratio
    aspect = Fraction(said) if said else Fraction(1)
    if turned and turned[0][0] == "transpose":
        aspect = 1 / aspect
    if abs(aspect - 1) < SQUARE or not LEAST_ASPECT <= aspect <= 1 / LEAST_ASPECT:
        return Fraction(1)
    return aspect
