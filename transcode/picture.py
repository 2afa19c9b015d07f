"""Pictures of any codec that FFmpeg decodes become H.264 that every browser plays: Constrained Baseline, progressive.

A conversion adds no picture of delay but those that the source itself reorders: one thread, no look-ahead. Keyframes
stand where the source has them; a source of keyframes alone (Motion JPEG) gets one each ``KEYFRAME_INTERVAL``. What the
decoder makes of damaged or hostile bytes stays in this process.
"""

from __future__ import annotations

import re
from fractions import Fraction

import av
from av.codec.context import Flags
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame

from common.payload.assembler import AccessUnit
from transcode.conversion import Made, h264_payloads

DECODERS = {"H264": "h264", "H265": "hevc", "VP8": "vp8", "VP9": "vp9", "AV1": "libdav1d", "JPEG": "mjpeg"} | {
    "MP4V-ES": "mpeg4"
}
"""FFmpeg's decoder of each codec on the bus."""

KEYFRAME_INTERVAL = 2_000_000  # microseconds, where each picture of the source is a keyframe
MIN_KEYFRAME_INTERVAL = 500_000  # microseconds between two, however many the source has
MAX_REORDER = 64  # access units in the decoder: H.265 has 16
MIN_SIZE, MAX_PIXELS = 16, 7680 * 4320  # of a picture; x264 takes nothing smaller
BITS_PER_PIXEL = 0.08  # at most, on average of a second: 1080p30 gets 5 Mb/s
MAX_BITRATE = 12_000_000
QUALITY = "25"  # of x264's scale, where fewer bits than those will do
FRAME_RATE = 30  # that the rate control reckons with
_SAMPLES = "yuv420p"
_MICROSECONDS = Fraction(1, 1_000_000)


class PictureConverter:
    """One camera's pictures. Not for two threads at once."""

    def __init__(self, codec: str, *, max_height: int = 0) -> None:
        self.undecodable = 0  # access units of which no picture came
        self.size = (0, 0)  # width and height of the pictures that are made
        self._max_height = max_height
        self._keyframes_alone = codec == "JPEG"
        decoder = VideoCodecContext.create(DECODERS[codec], "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.options = {"max_pixels": str(MAX_PIXELS)}  # judged before memory is taken for it
        self._decoder = decoder
        self._decoder.thread_count = 1  # frame threads hold pictures back
        if codec == "MP4V-ES":  # whose decoder waits for B-frames that cameras do not send
            self._decoder.flags |= Flags.low_delay
        self._units: dict[int, AccessUnit] = {}  # in the decoder, by presentation time
        self._encoder: VideoCodecContext | None = None
        self._encodes: tuple[object, ...] = ()  # what the encoder was made for
        self._filter: Graph | None = None
        self._filters: tuple[object, ...] = ()
        self._last = -1  # presentation time of the last picture, in microseconds
        self._keyframe_at = -KEYFRAME_INTERVAL
        self._keyframe_due = False

    def convert(self, unit: AccessUnit, *, show: bool = True) -> list[Made]:
        """The pictures that come out when ``unit`` goes in: one, or none while the source's order is restored.

        One that is not to be shown is only decoded. If it was a keyframe, the next one that is shown becomes one.
        """
        if not unit.data:  # which a decoder takes for the end
            return []
        packet = av.Packet(unit.data)
        packet.pts = unit.capture_ns // 1000
        packet.is_keyframe = unit.keyframe
        self._units[packet.pts] = unit
        if len(self._units) > MAX_REORDER:  # a decoder says nothing of what it makes nothing of
            del self._units[next(iter(self._units))]
            self.undecodable += 1
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            self.undecodable += 1
            return []
        return [picture for frame in frames for picture in self._encode(frame, show)]

    def _encode(self, frame: VideoFrame, show: bool) -> list[Made]:
        unit = self._units.pop(frame.pts if frame.pts is not None else -1, None)
        if unit is None or frame.is_corrupt or not self._fits(frame):
            self.undecodable += 1
            return []
        self._keyframe_due |= frame.key_frame
        if not show or not frame.interlaced_frame:
            self._filter = None  # which would go on with the picture before the gap
        if not show:
            return []
        try:
            frame = self._prepared(frame)
            frame.pts = self._last = max(unit.capture_ns // 1000, self._last + 1)
            frame.time_base = _MICROSECONDS
            frame.pict_type = PictureType.I if self._begins_group(frame.pts) else PictureType.NONE
            packets = self._encoder_of(frame).encode(frame)
        except av.FFmpegError:
            self.undecodable += 1
            return []
        return [
            Made(h264_payloads(_nal_units(bytes(packet))), packet.is_keyframe, unit.capture_ns, unit.arrival_ns)
            for packet in packets
        ]

    def _begins_group(self, pts: int) -> bool:
        wait = KEYFRAME_INTERVAL if self._keyframes_alone else MIN_KEYFRAME_INTERVAL
        if not self._keyframe_due or pts - self._keyframe_at < wait:
            return False
        self._keyframe_due, self._keyframe_at = False, pts
        return True

    def _fits(self, frame: VideoFrame) -> bool:
        return min(frame.width, frame.height) >= MIN_SIZE and frame.width * frame.height <= MAX_PIXELS

    def _prepared(self, frame: VideoFrame) -> VideoFrame:
        """Progressive, of at most the height that is allowed, in the one layout of samples that all decoders know."""
        width, height = frame.width & ~1, frame.height & ~1
        if 0 < self._max_height < height:
            width, height = width * self._max_height // height & ~1, self._max_height & ~1
        self.size = width, height
        if frame.interlaced_frame:
            frame = self._progressive(frame)
        if (frame.width, frame.height, frame.format.name) == (width, height, _SAMPLES):
            return frame
        return frame.reformat(width=width, height=height, format=_SAMPLES)

    def _progressive(self, frame: VideoFrame) -> VideoFrame:
        shape = frame.width, frame.height, frame.format.name
        if self._filter is None or self._filters != shape:
            self._filter, self._filters = Graph(), shape
            source = self._filter.add_buffer(
                width=shape[0], height=shape[1], format=frame.format, time_base=_MICROSECONDS
            )
            self._filter.link_nodes(
                source, self._filter.add("yadif", "mode=send_frame"), self._filter.add("buffersink")
            )
            self._filter.configure()
        self._filter.push(frame)
        try:
            return self._filter.vpull()
        except BlockingIOError:  # the first one: the filter looks at the next picture, too
            return frame

    def _encoder_of(self, frame: VideoFrame) -> VideoCodecContext:
        shape = frame.width, frame.height, frame.color_range
        if self._encoder is None or self._encodes != shape:
            encoder = VideoCodecContext.create("libx264", "w")
            assert isinstance(encoder, VideoCodecContext)
            encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, _SAMPLES
            encoder.color_range = frame.color_range
            encoder.time_base = _MICROSECONDS
            encoder.framerate = Fraction(FRAME_RATE)
            encoder.thread_count = 1
            encoder.max_b_frames = 0
            encoder.gop_size = 1 << 20  # keyframes are the source's
            rate = min(int(frame.width * frame.height * FRAME_RATE * BITS_PER_PIXEL), MAX_BITRATE)
            encoder.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "profile": "baseline",
                "forced-idr": "1",
                "crf": QUALITY,
                "maxrate": str(rate),
                "bufsize": str(rate),
            }
            self._encoder, self._encodes = encoder, shape
            frame.pict_type, self._keyframe_at, self._keyframe_due = PictureType.I, frame.pts or 0, False
        return self._encoder


def _nal_units(stream: bytes) -> list[bytes]:
    """The NAL units of a byte stream (H.264 Annex B)."""
    units = re.split(b"\0\0\0?\1", stream)  # x264 puts no zeros behind a unit
    return [unit for unit in units if unit and unit[0] & 0x1F not in _UNWANTED]


_UNWANTED = {6, 9}  # supplemental information and access unit delimiters
