"""An encoder of FFmpeg's, opened for a live picture."""

from __future__ import annotations

from fractions import Fraction

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from transcode.encoders import Encoder

BITS_PER_PIXEL = 0.08  # at most, on average of a second: 1080p30 gets 5 Mb/s
MAX_BITRATE = 12_000_000
FRAME_RATE = 30  # that the rate control reckons with
MICROSECONDS = Fraction(1, 1_000_000)


_RGB = 0  # the matrix of what has no brightness of its own, in H.273
Colours = tuple[int, int, int, int]
"""Range, matrix, primaries and transfer of a picture's colours, by their numbers in ITU-T H.273; 2: not said."""

UNSAID: Colours = (0, 2, 2, 2)


def colours_of(frame: VideoFrame) -> Colours:
    """The colours that a picture says it has; it is encoded as brightness and two differences in any case."""
    matrix = frame.colorspace if frame.colorspace != _RGB else UNSAID[1]
    return frame.color_range, matrix, frame.color_primaries, frame.color_trc


def opened(encoder: Encoder, width: int, height: int, colours: Colours = UNSAID) -> VideoCodecContext:
    """An open encoder for pictures of that size, with times in microseconds; keyframes are those that are asked for.

    Raises ``av.FFmpegError``, if not here then at the first picture.
    """
    context = VideoCodecContext.create(encoder.name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, encoder.samples
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = colours
    context.time_base = MICROSECONDS
    context.framerate = Fraction(FRAME_RATE)
    context.thread_count = 1
    context.max_b_frames = 0
    context.gop_size = 1 << 20  # keyframes are the source's
    rate = min(int(width * height * FRAME_RATE * BITS_PER_PIXEL), MAX_BITRATE)
    if encoder.rated:
        context.bit_rate = rate
    context.options = {**dict(encoder.settings), "maxrate": str(rate), "bufsize": str(rate)}
    return context
