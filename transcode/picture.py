"""Pictures of any codec that FFmpeg decodes become H.264 that every browser plays: Constrained Baseline, progressive.

A conversion adds no picture of delay but those that the source itself reorders: one thread, no look-ahead. Keyframes
stand where the source has them; a source of keyframes alone (Motion JPEG) gets one each ``KEYFRAME_INTERVAL``. What the
decoder makes of damaged or hostile bytes stays in this process.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from common.payload.assembler import AccessUnit
from transcode.conversion import Made, h264_payloads
from transcode.encoders import SOFTWARE, Encoder
from transcode.encoding import MICROSECONDS, colours_of, opened
from transcode.padded import packet
from transcode.success import LARGEST
from transcode.upright import DEINTERLACE, Chain, Filtered, is_upright, message_in, pixel_aspect, turn

DECODERS = {"H264": "h264", "H265": "hevc", "VP8": "vp8", "VP9": "vp9", "AV1": "libdav1d", "JPEG": "mjpeg"} | {
    "MP4V-ES": "mpeg4",
    "MPV": "mpeg2video",
    "H263": "h263",
}
"""FFmpeg's decoder of each codec on the bus."""

KEYFRAME_INTERVAL = 2_000_000  # microseconds, where each picture of the source is a keyframe
MIN_KEYFRAME_INTERVAL = 500_000  # microseconds between two, however many the source has
MAX_REORDER = 64  # access units in the decoder: H.265 has 16
LEAST_STEP = 1_000  # microseconds between two pictures, where the source's times do not grow: 90 kHz tells them apart
MIN_SIZE = 16  # samples of a picture's width and height; x264 takes nothing smaller
MOST_MADE = 4096 * 2304  # samples of a picture that is made: level 5.1 (H.264 table A-1), beyond which few decode it
LONGEST_SIDE = 4096  # samples of its width and height, beyond which decoders in hardware take nothing


class PictureConverter:
    """One camera's pictures. Not for two threads at once."""

    def __init__(self, codec: str, *, max_height: int = 0, encoder: Encoder = SOFTWARE) -> None:
        self.undecodable = 0  # access units of which no picture came
        self.size = (0, 0)  # width and height of the pictures that are made
        self._max_height = max_height
        self._codec, self._keyframes_alone = codec, codec == "JPEG"
        decoder = VideoCodecContext.create(DECODERS[codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.options = {"max_pixels": str(LARGEST)}  # judged before memory is taken for it
        self._decoder = decoder
        self._decoder.thread_count = 1  # frame threads hold pictures back
        self._units: dict[int, AccessUnit] = {}  # in the decoder, by presentation time
        self._kind = encoder
        self._encoder: VideoCodecContext | None = None
        self._encoding: dict[int, AccessUnit] = {}  # in the encoder, by presentation time
        self._encodes: tuple[object, ...] = ()  # what the encoder was made for
        self._fields, self._turned = Filtered(), Filtered()
        self._turn: Chain = ()  # as the stream said last …
        self._said = 0, b""  # … by this angle and this message
        self._last = -LEAST_STEP  # presentation time of the last picture, in microseconds
        self._keyframe_at = -KEYFRAME_INTERVAL
        self._keyframe_due = False

    def convert(self, unit: AccessUnit, *, show: bool = True) -> list[Made]:
        """The pictures that come out when ``unit`` goes in: one, or none while the source's order is restored.

        One that is not to be shown is only decoded. If it was a keyframe, the next one that is shown becomes one.
        """
        if not unit.data:  # which a decoder takes for the end
            return []
        data = packet(unit.data)
        data.pts = unit.capture_ns // 1000
        data.is_keyframe = unit.keyframe
        self._units[data.pts] = unit
        if len(self._units) > MAX_REORDER:  # a decoder says nothing of what it makes nothing of
            del self._units[next(iter(self._units))]
            self.undecodable += 1
        try:
            frames = {frame.pts: frame for frame in self._decoder.decode(data)}.values()  # of several layers the last
        except av.FFmpegError:
            self.undecodable += 1
            return []
        return [picture for frame in frames for picture in self._encode(frame, show)]

    def _encode(self, frame: VideoFrame, show: bool) -> list[Made]:
        unit = self._units.pop(frame.pts if frame.pts is not None else -1, None)
        if unit is None or frame.is_corrupt:
            self.undecodable += 1
            return []
        self._keyframe_due |= frame.key_frame
        if not show or not frame.interlaced_frame:
            self._fields.forget()  # which would go on with the picture before the gap
        if not show:
            return []
        try:
            frame = self._prepared(frame, unit)
            frame.pts = self._last = max(unit.capture_ns // 1000, self._last + LEAST_STEP)
            frame.time_base = MICROSECONDS
            frame.pict_type = PictureType.I if self._begins_group(frame.pts) else PictureType.NONE
            packets = self._packets(frame, unit)
        except av.FFmpegError:
            self.undecodable += 1
            return []
        return [made for packet in packets if (made := self._made(packet)) is not None]

    def _packets(self, frame: VideoFrame, unit: AccessUnit) -> list[av.Packet[Any]]:
        """Encode it: by software from now on, if hardware does not. Raises ``av.FFmpegError``."""
        pts = frame.pts or 0
        try:
            encoder = self._encoder_of(frame)
            self._encoding[pts] = unit
            return encoder.encode(frame)
        except av.FFmpegError:
            if not self._kind.hardware:
                raise
            self._kind, self._encoder = SOFTWARE, None
            frame = frame.reformat(format=self._kind.samples)  # it is prepared, but for another encoder
            frame.pts, frame.time_base = pts, MICROSECONDS
            return self._packets(frame, unit)

    def _made(self, packet: av.Packet[Any]) -> Made | None:
        """The product that a packet is, of the unit that it was made of."""
        unit = self._encoding.pop(packet.pts if packet.pts is not None else -1, None)
        if unit is None:
            return None
        while len(self._encoding) > MAX_REORDER:  # of which no packet ever came
            del self._encoding[next(iter(self._encoding))]
        payloads = h264_payloads(_nal_units(bytes(packet)))
        capture_ns = max(unit.capture_ns, (packet.pts or 0) * 1000)
        return Made(payloads, packet.is_keyframe, capture_ns, unit.arrival_ns)

    def _begins_group(self, pts: int) -> bool:
        wait = KEYFRAME_INTERVAL if self._keyframes_alone else MIN_KEYFRAME_INTERVAL
        if not self._keyframe_due or pts - self._keyframe_at < wait:
            return False
        self._keyframe_due, self._keyframe_at = False, pts
        return True

    def _turned_as(self, frame: VideoFrame, unit: AccessUnit) -> Chain:
        """How the stream wants it turned: as it said last."""
        message = message_in(self._codec, unit.data) if unit.keyframe else b""
        said = frame.rotation, message or self._said[1]
        if (frame.rotation or message) and said != self._said:
            self._said = said
            now = () if is_upright(self._codec, message) else turn(frame)
            self._turn = self._turn if now is None else now
        return self._turn

    def _prepared(self, frame: VideoFrame, unit: AccessUnit) -> VideoFrame:
        """Progressive, upright, of at most the height that is allowed, in the one layout of samples that all decoders
        know."""
        turned = self._turned_as(frame, unit)
        aspect = pixel_aspect(self._decoder, turned)
        if frame.interlaced_frame:
            frame = self._fields(frame, DEINTERLACE)
        if turned:
            frame = self._turned(frame, turned)
        self.size = width, height = made_size(frame.width, frame.height, self._max_height, aspect)
        samples = self._kind.samples
        if (frame.width, frame.height, frame.format.name) == (width, height, samples):
            return frame
        return frame.reformat(width=width, height=height, format=samples)

    def _encoder_of(self, frame: VideoFrame) -> VideoCodecContext:
        shape = frame.width, frame.height, colours_of(frame)
        if self._encoder is None or self._encodes != shape:
            self._encoder = opened(self._kind, *shape)
            self._encodes = shape
            self._encoding.clear()
            frame.pict_type, self._keyframe_at, self._keyframe_due = PictureType.I, frame.pts or 0, False
        return self._encoder


def made_size(width: int, height: int, max_height: int = 0, aspect: Fraction = Fraction(1)) -> tuple[int, int]:
    """The size in pixels in which a picture is made: its own, even, and in its own shape where it has to change.

    ``aspect`` is that of its pixels, width by height. One that is hundreds of times as long as it is wide loses its
    shape.
    """
    wide = width * float(aspect)
    scale = min(1.0, math.sqrt(MOST_MADE / (wide * height)), LONGEST_SIDE / max(wide, height))
    if 0 < max_height < height * scale:
        scale = max_height / height
    scale = max(scale, MIN_SIZE / min(wide, height))
    return _side(wide * scale), _side(height * scale)


def _side(wanted: float) -> int:
    return min(max(round(wanted) & ~1, MIN_SIZE), LONGEST_SIDE)


def _nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 Annex B)."""
    units = re.split(b"\0\0\0?\1", stream)  # x264 puts no zeros behind a unit
    return [unit for unit in units if unit and unit[0] & 0x1F not in _UNWANTED]


_UNWANTED = {6, 9}  # supplemental information and access unit delimiters
