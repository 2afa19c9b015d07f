"""One picture of a camera as JPEG (ITU-T T.81): the next keyframe that comes, decoded by itself."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from common.media import Batch, Track
from common.payload.assembler import AccessUnit, Assembler
from transcode.success import LARGEST

_SAMPLES = "yuvj420p"  # of the full range, as JPEG files have them
_FINEST, _COARSEST = 4, 16  # of FFmpeg's scale for JPEG, 2 to 31: at 4 a picture of 1080p gives some 200 kB
_PLAIN = 0.1  # bytes of a keyframe for each pixel, 200 kB at 1080p: what has more is noise, and costs in proportion …
_PLAIN_H265 = 0.06  # … of which H.265 needs fewer bytes, each of which takes longer to decode
_TIME_BASE = Fraction(1, 25)  # which means nothing here, and has to be given


class Still:
    """A sink that waits for one keyframe of ``track``; ``on_keyframe`` is called once with it."""

    def __init__(self, track: Track, on_keyframe: Callable[[AccessUnit], object]) -> None:
        self._assembler = Assembler(track.kind, track.codec)
        self._on_keyframe = on_keyframe
        self._done = False

    def push(self, batch: Batch, now: float) -> None:
        """See ``Sink``."""
        if self._done or (unit := self._assembler.push(batch)) is None or not unit.keyframe:
            return
        self._done = True
        self._on_keyframe(unit)

    def pause(self) -> None:
        """See ``Sink``."""


def draw(unit: AccessUnit, codec: str, height: int) -> bytes:
    """The JPEG file of a keyframe, at most ``height`` pixels high; 0: as high as it is.

    Raises ``ValueError`` if no picture comes of it.
    """
    import av  # late: FFmpeg's libraries take 30 MB, and most clusters have nothing to convert
    from av.video.codeccontext import VideoCodecContext

    from transcode.padded import packet
    from transcode.picture import DECODERS, MIN_SIZE
    from transcode.upright import Filtered, message_in, pixel_aspect, turn

    decoder = VideoCodecContext.create(DECODERS[codec], "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(LARGEST)}
    decoder.thread_count = 1
    try:
        frames = [*decoder.decode(packet(unit.data)), *decoder.decode(None)]
        frame = frames[-1] if frames else None  # of several layers the largest
        if frame is None or frame.is_corrupt or min(frame.width, frame.height) < MIN_SIZE:
            raise ValueError("the keyframe gives no picture")
        turned = ((frame.rotation or message_in(codec, unit.data)) and turn(frame)) or ()
        aspect = pixel_aspect(decoder, turned)
        if turned:
            frame = Filtered()(frame, turned)
        wide = round(frame.width * aspect)
        size = wide, frame.height
        if 0 < height < frame.height:
            height = max(MIN_SIZE, height)
            size = max(MIN_SIZE, wide * height // frame.height), height
        encoder = VideoCodecContext.create("mjpeg", "w")
        assert isinstance(encoder, VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = *size, _SAMPLES
        encoder.time_base, encoder.thread_count = _TIME_BASE, 1
        noise = len(unit.data) / (frame.width * frame.height) / (_PLAIN_H265 if codec == "H265" else _PLAIN)
        encoder.options = _quality(noise, made_smaller=size[1] < frame.height)
        picture = frame.reformat(*size, format=_SAMPLES, dst_color_range="JPEG")
        picture.pts, picture.time_base = 0, _TIME_BASE
        return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])
    except av.FFmpegError as exc:
        raise ValueError(f"the keyframe cannot be decoded ({type(exc).__name__})") from None


def _quality(noise: float, *, made_smaller: bool) -> dict[str, str]:
    """The encoder's options for a keyframe of so many times the bytes that one has at most without noise.

    To encode noise as finely as all else takes longer than to decode it, and nobody looks at it. What is made smaller
    has less of it, and fewer pixels.
    """
    step = _FINEST if made_smaller else min(max(_FINEST, round(_FINEST * noise)), _COARSEST)
    chosen = {"qmin": str(step), "qmax": str(step)}
    return chosen if step == _FINEST else chosen | {"huffman": "default"}  # to find better tables takes a second pass
