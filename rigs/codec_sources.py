"""Cameras of every picture with every sound: of GStreamer's RTSP server, and files that the program ffmpeg makes.

Each picture has its number in a corner (``rigs.clip``), so that who sees them can tell their order.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rigs.clip import Clip
from rigs.gst_launch import TONE, sound

NUMBERED = Clip(width=320, height=240, fps=25, seconds=60, bitrate=600_000, gop=50, noise=2)
FILE_SECONDS = 12  # of a file, which is played again and again
HE_AAC = Path(__file__).with_name("he_aac.adts")
"""Four seconds of the tone and of one of 13 kHz, which only the upper band has, by fdk-aac; no encoder is at hand."""

HE_48K = bytes.fromhex("2b098800")  # AudioSpecificConfig, ISO/IEC 14496-3 1.6.2.1: it says that there is an upper band

_X264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=800"
_MAIN = "video/x-h264,profile=main"  # left alone it encodes Baseline, which has neither B-frames nor fields
_FIELDS = 'capssetter caps="video/x-raw,interlace-mode=interleaved,field-order=top-field-first"'
_X265 = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=800"
_FF264 = "libx264 -preset ultrafast -g 50 -tune zerolatency -pix_fmt yuv420p"
_FF265 = "libx265 -preset ultrafast -g 50 -x265-params log-level=none:bframes=0"


@dataclass(frozen=True, slots=True)
class Coding:
    """One codec's ways: ``gst`` is the rest of a pipeline, ``ffmpeg`` the options of its program; empty: none.

    With ``parsed`` GStreamer sends what ffmpeg has encoded: its own encoders of these give no times.
    """

    got: str  # codec in which Chromium gets it; a star stands for a conversion
    gst: str = ""
    ffmpeg: str = ""
    samples: str = "I420"  # of the picture before GStreamer's encoder
    parsed: bool = False


PICTURES: Mapping[str, Coding] = MappingProxyType(
    {
        "H.264 Baseline": Coding(
            "H264", f"{_X264} ! video/x-h264,profile=constrained-baseline ! rtph264pay", f"{_FF264} -profile:v baseline"
        ),
        "H.264 Main": Coding("H264", f"{_X264} ! {_MAIN} ! rtph264pay", f"{_FF264} -profile:v main -coder 1"),
        "H.264 High": Coding(
            "H264",
            f"{_X264} dct8x8=true ! video/x-h264,profile=high ! rtph264pay",
            f"{_FF264} -profile:v high -x264-params 8x8dct=1",
        ),
        "H.264 with B-frames": Coding(
            "H264*",
            f"x264enc speed-preset=ultrafast bframes=2 b-adapt=false key-int-max=50 bitrate=800 ! {_MAIN} ! rtph264pay",
            "libx264 -preset ultrafast -g 50 -bf 2 -b_strategy 0 -pix_fmt yuv420p",
        ),
        "H.264 interlaced": Coding(
            "H264*",
            f"{_FIELDS} ! {_X264} interlaced=true ! {_MAIN} ! rtph264pay",
            f"{_FF264} -flags +ilme+ildct -x264-params tff=1",
        ),
        "H.264 with 10 bits": Coding(
            "H264*",
            f"{_X264} ! rtph264pay",
            "libx264 -preset ultrafast -g 50 -tune zerolatency -pix_fmt yuv420p10le",
            "I420_10LE",
        ),
        "H.265 Main": Coding("H264*", f"{_X265} ! rtph265pay", f"{_FF265} -pix_fmt yuv420p"),
        "H.265 Main 10": Coding("H264*", f"{_X265} ! rtph265pay", f"{_FF265} -pix_fmt yuv420p10le", "I420_10LE"),
        "Motion JPEG": Coding("H264*", "jpegenc ! rtpjpegpay", "mjpeg -q:v 5 -pix_fmt yuvj420p"),
        "MPEG-4": Coding(
            "H264*", "mpeg4videoparse ! rtpmp4vpay config-interval=1", "mpeg4 -g 50 -b:v 900k", parsed=True
        ),
        "MPEG-2": Coding("H264*", "mpegvideoparse ! rtpmpvpay", "mpeg2video -g 50 -b:v 900k", parsed=True),
        "VP8": Coding(
            "VP8", "vp8enc deadline=1 keyframe-max-dist=50 ! rtpvp8pay", "libvpx -deadline realtime -cpu-used 8 -g 50"
        ),
        "VP9": Coding(
            "VP9",
            "vp9enc deadline=1 cpu-used=8 keyframe-max-dist=50 ! rtpvp9pay",
            "libvpx-vp9 -deadline realtime -cpu-used 8 -lag-in-frames 0 -g 50",
        ),
        "AV1": Coding("AV1", ffmpeg="libsvtav1 -preset 12 -g 50 -svtav1-params pred-struct=1"),
    }
)
SOUNDS: Mapping[str, Coding] = MappingProxyType(
    {
        "none": Coding(""),
        "Opus": Coding("opus", sound("opusenc ! rtpopuspay", rate=48_000), "libopus -ar 48000"),
        "G.711": Coding("PCMU", sound("mulawenc ! rtppcmupay", rate=8_000, pt=0), "pcm_mulaw -ar 8000"),
        "G.722": Coding("G722", sound("avenc_g722 ! rtpg722pay", rate=16_000, pt=9), "adpcm_g722 -ar 16000"),
        "AAC-LC": Coding("opus*", sound("avenc_aac ! rtpmp4gpay", rate=48_000, channels=2), "aac -ar 48000 -ac 2"),
        "HE-AAC": Coding(
            "opus*",
            f"multifilesrc location={HE_AAC} loop=true ! aacparse ! audio/mpeg,stream-format=raw"
            f' ! capssetter caps="audio/mpeg,codec_data=(buffer){HE_48K.hex()}" ! rtpmp4gpay name=pay1 pt=97',
            "copy",
        ),
        "L16": Coding("opus*", sound("rtpL16pay", rate=44_100, channels=2), "pcm_s16be -ar 44100 -ac 2"),
    }
)


def numbered(cache: Path) -> Path:
    """A minute of pictures with their numbers, as MP4; made once."""
    clip = NUMBERED.file(cache)
    path = clip.with_suffix(".mp4")
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        _ffmpeg(f"-r {NUMBERED.fps} -i {clip} -c copy {part}")
        part.rename(path)
    return path


def pipeline(picture: str, heard: str, recording: Path, directory: Path) -> str:
    """The camera of GStreamer's; empty where it has none."""
    coding, other = PICTURES[picture], SOUNDS[heard]
    if not coding.gst:
        return ""
    if coding.parsed:
        raw = f"filesrc location={_encoded_picture(picture, recording, directory, 0)} ! matroskademux"
    else:
        raw = (
            f"filesrc location={recording} ! qtdemux ! avdec_h264 ! videoconvert ! video/x-raw,format={coding.samples}"
        )
    return f"{raw} ! {coding.gst} name=pay0 pt=96 {other.gst}"


def file_of(picture: str, heard: str, recording: Path, directory: Path) -> Path:
    """The file of ffmpeg's: each picture and each sound is encoded once."""
    parts = [_encoded_picture(picture, recording, directory, FILE_SECONDS)]
    if coding := SOUNDS[heard].ffmpeg:
        tone = f"-f lavfi -t {FILE_SECONDS} -i sine=frequency={TONE}:sample_rate=48000"
        source = f"-stream_loop -1 -t {FILE_SECONDS} -i {HE_AAC}" if coding == "copy" else tone
        parts.append(_encoded(heard, f"-c:a {coding} -vn", source, directory))
    path = directory / f"{_slug(picture)}-{_slug(heard)}.mkv"
    _ffmpeg(f"{' '.join(f'-i {part}' for part in parts)} -c copy {path}")
    return path


def _encoded_picture(picture: str, recording: Path, directory: Path, seconds: int) -> Path:
    """``seconds`` of the recording, 0: all of it."""
    source = f"-t {seconds} -i {recording}" if seconds else f"-i {recording}"
    return _encoded(f"{picture} {seconds}", f"-c:v {PICTURES[picture].ffmpeg} -an", source, directory)


def _encoded(name: str, coding: str, source: str, directory: Path) -> Path:
    path = directory / f"{_slug(name)}.mkv"
    if not path.exists():
        _ffmpeg(f"{source} {coding} {path}")
    return path


def _slug(name: str) -> str:
    return "".join(each if each.isalnum() else "-" for each in name.lower())


def _ffmpeg(arguments: str) -> None:
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments.split()]
    subprocess.run(command, check=True, capture_output=True)
