"""An encoder of FFmpeg's, opened for a live picture."""

from __future__ import annotations

from fractions import Fraction

from av.video.codeccontext import VideoCodecContext

from transcode.encoders import Encoder

BITS_PER_PIXEL = 0.08  # at most, on average of a second: 1080p30 gets 5 Mb/s
MAX_BITRATE = 12_000_000
FRAME_RATE = 30  # that the rate control reckons with
MICROSECONDS = Fraction(1, 1_000_000)


def opened(encoder: Encoder, width: int, height: int, color_range: int = 0) -> VideoCodecContext:
    """An open encoder for pictures of that size, with times in microseconds; keyframes are those that are asked for.

    Raises ``av.FFmpegError``, if not here then at the first picture.
    """
    context = VideoCodecContext.create(encoder.name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, encoder.samples
    context.color_range = color_range
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
