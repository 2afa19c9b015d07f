"""Which media of a camera are played, and why the others are not; no I/O.

A codec that can be played has a module of its own here and an entry in ``make``; every other one that cameras use has a
sentence in ``_NOT_YET``. Nothing that a session description says raises, except that nothing at all can be played.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from common.cameras import CameraState
from common.errors import CameraError
from common.media import Kind, Track
from ingest.payload import g711, h264, opus
from ingest.payload.output import Output
from ingest.rtsp.message import printable
from ingest.rtsp.sdp import Format, MediaSection, SessionDescription

_USE_H264 = "cannot be forwarded yet; set this stream of the camera to H.264"
_USE_G711 = "cannot be forwarded yet; set the camera's sound to G.711 or Opus"

# By encoding name in upper case: the name as it is registered, and the rest of a sentence that begins with it.
_NOT_YET = {
    "H265": ("H265", _USE_H264),
    "HEVC": ("H265", _USE_H264),
    "VP8": ("VP8", _USE_H264),
    "VP9": ("VP9", _USE_H264),
    "AV1": ("AV1", _USE_H264),
    "JPEG": ("JPEG", _USE_H264),
    "MP4V-ES": ("MP4V-ES", _USE_H264),
    "MP2T": ("MP2T", _USE_H264),
    "MPV": ("MPV", _USE_H264),
    "H261": ("H261", _USE_H264),
    "H263": ("H263", _USE_H264),
    "H263-1998": ("H263-1998", _USE_H264),
    "MPEG4-GENERIC": ("MPEG4-GENERIC", f"(AAC) {_USE_G711}"),
    "MP4A-LATM": ("MP4A-LATM", f"(AAC) {_USE_G711}"),
    "AC3": ("AC3", _USE_G711),
    "G722": ("G722", _USE_G711),
    "G723": ("G723", _USE_G711),
    "G729": ("G729", _USE_G711),
    "G726-16": ("G726-16", _USE_G711),
    "G726-24": ("G726-24", _USE_G711),
    "G726-32": ("G726-32", _USE_G711),
    "G726-40": ("G726-40", _USE_G711),
    "L16": ("L16", _USE_G711),
    "L8": ("L8", _USE_G711),
    "GSM": ("GSM", _USE_G711),
    "DVI4": ("DVI4", _USE_G711),
    "MPA": ("MPA", _USE_G711),
    "SPEEX": ("speex", _USE_G711),
}


class PayloadFormat(Protocol):
    """What ``make`` makes: packets in, batches into its ``Output``."""

    frames: int  # published access units, or packets of sound
    keyframes: int
    dropped: int  # packets that were of no use

    @property
    def track(self) -> Track:
        """As it is known now."""

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """The next packet's payload ``packet[start:end]``, not empty; ``timestamp`` is extended, non-decreasing."""

    def lost(self) -> None:
        """Packets are missing between the last one and the next."""

    def restart(self) -> None:
        """Another stream begins with the next packet."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A media section and the one of its formats that is played, or would be if it had no problem."""

    section: MediaSection
    format: Format
    track: Track


def choose(description: SessionDescription) -> tuple[list[Choice], list[Track]]:
    """The sections to play, at most one of each kind; and one of each kind that has none, with its problem.

    Raises ``CameraError`` if none can be played.
    """
    played: list[Choice] = []
    others: list[Track] = []
    for kind in Kind:
        choices = [_best(section) for section in description.media if section.kind == kind and not section.back_channel]
        playable = [choice for choice in choices if choice.track.playable]
        if playable:
            played.append(playable[0])
        elif choices:
            others.append(choices[0].track)
    if not played:
        problems = "; ".join(f"{track.kind}: {track.problem}" for track in others)
        raise CameraError(CameraState.NO_PLAYABLE_TRACK, problems or "it offers neither video nor audio")
    return played, others


def make(format_: Format, output: Output) -> PayloadFormat:
    """The payload format for what ``choose`` chose."""
    match format_.codec.upper():
        case "H264":
            return h264.H264(format_.parameters, output)
        case "OPUS":
            return opus.Opus(output)
        case codec:
            return g711.G711(codec, output)


def _best(section: MediaSection) -> Choice:
    choices = [Choice(section, format_, _track(section, format_)) for format_ in section.formats]
    if not choices:
        problem = "the session description does not say what it is"
        return Choice(section, Format(0, "", 0), Track(Kind(section.kind), "", 0, problem=problem))
    return next((choice for choice in choices if choice.track.playable), choices[0])


def _track(section: MediaSection, format_: Format) -> Track:
    kind, codec = Kind(section.kind), format_.codec.upper()
    problem = ""
    if "SAVP" in section.protocol:
        problem = "it is encrypted (SRTP), which is not supported"
    if kind is Kind.VIDEO and codec == "H264":
        track = h264.announced_track(format_.parameters)
        if format_.clock_rate not in (0, h264.CLOCK_RATE):
            problem = problem or f"its clock is {format_.clock_rate} Hz, and H.264's is 90000"
        elif format_.parameters.get("packetization-mode") == "2":
            problem = problem or "it is sent interleaved (packetization mode 2), which browsers cannot take"
        return replace(track, problem=problem or track.problem)
    if kind is Kind.AUDIO and codec == "OPUS":
        if format_.clock_rate not in (0, opus.CLOCK_RATE):
            problem = problem or f"its clock is {format_.clock_rate} Hz, and that of Opus is 48000"
        return Track(kind, "opus", opus.CLOCK_RATE, 2, problem=problem)
    if kind is Kind.AUDIO and codec in ("PCMU", "PCMA"):
        if format_.clock_rate not in (0, g711.CLOCK_RATE) or format_.channels != 1:
            what = f"{codec} at {format_.clock_rate} Hz with {format_.channels} channels"
            problem = problem or f"{what} is not what browsers play; set the camera's sound to 8 kHz mono"
        return Track(kind, codec, g711.CLOCK_RATE, 1, problem=problem)
    name, reason = _NOT_YET.get(codec, (printable(format_.codec), "is not known"))
    if not name:
        problem = problem or f"the session description does not say what payload type {format_.payload_type} is"
    return Track(kind, name, format_.clock_rate, format_.channels, problem=problem or f"{name} {reason}")
