"""Which media of a camera are played, and why the others are not; no I/O.

A codec that can be played has a module of its own here and an entry in ``make``; every other one that cameras use has a
sentence in ``UNKNOWN``. Nothing that a session description says raises, except that nothing at all can be played.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, cast

from common.cameras import CameraState
from common.errors import CameraError
from common.media import CLOCK_RATES, Kind, Track
from common.payload.output import Output
from ingest.payload import aac, g711, h264, h265, opus, speech, vpx
from ingest.payload.byte_order import ByteOrder
from ingest.payload.frames import Frames
from ingest.payload.h263 import repack_h263
from ingest.payload.jpeg import WHOLE, Jpeg, repack_whole
from ingest.payload.l16 import L16
from ingest.payload.mpeg2 import repack_mpeg2
from ingest.payload.mpeg4 import repack_mpeg4
from ingest.payload.names import CONVERTED, MUXED, REMEDIES, UNKNOWN, is_little, registered
from ingest.payload.redundant import CORRECTION, RED
from ingest.payload.resample import MAX_RATE, can_resample
from ingest.payload.sound import Sound
from ingest.payload.unplayable import Unplayable
from ingest.quoting import quoted
from ingest.sdp import Format, MediaSection, SessionDescription, static_format
from ingest.srtp import agreement

SOUND_RATES = range(8_000, 96_001)  # Hz, of sound that is converted: with one of 1 Hz a packet would last for minutes
SOUND_CHANNELS = range(1, 9)
MAX_CLOCK_RATE = 10_000_000  # Hz; what counts faster has no use for it, and is a slip

_MUXED_RATE = 90_000  # Hz, RFC 2250 2

_NO_MEDIA = {13, 19, *range(64, 96)}  # comfort noise; what RTCP would be taken for (RFC 5761 4)

_HEADERS = {"MPA": 4, "AC3": 2, "EAC3": 2}  # bytes before the sound: RFC 2250 3.5, RFC 4184 4.1.1, RFC 4598 4.1.1
_SELF_DESCRIBING = {*_HEADERS, "MULTIOPUS"}  # whatever rate and channels a session description says

_INTERLEAVED = (
    "the track is sent interleaved (packetization mode 2), which browsers cannot take; set mode 1 in the camera"
)


class PayloadFormat(Protocol):
    """A track's packets in, batches into its ``Output``; made by ``make``."""

    @property
    def dropped(self) -> int:
        """Packets that were of no use."""

    @property
    def frames(self) -> int:
        """Published access units, or packets of sound."""

    @property
    def keyframes(self) -> int:
        """Published access units with which a decoder can start."""

    @property
    def track(self) -> Track:
        """The track as it is known now."""

    @property
    def hindrance(self) -> str:
        """Why nothing of what comes is published, though it could be; empty while something is."""

    @property
    def unseen(self) -> bool:
        """Whether nothing of it will be seen as it comes, which is a failure; never of sound."""

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the next payload, ``packet[start:end]``, not empty; ``timestamp`` is extended, non-decreasing."""

    def mark(self) -> None:
        """Take the marker of a packet without a payload, with the timestamp of the last one."""

    def lost(self) -> None:
        """Note that packets are missing between the last one and the next."""

    def restart(self) -> None:
        """Begin another stream with the next packet."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A media section and the one of its formats that is played, or would be if it had no problem."""

    section: MediaSection
    format: Format
    track: Track  # as it is published
    clock_rate: int  # Hz, of the camera's timestamps


class NothingPlayableError(CameraError):
    """The camera has nothing that can be played, by its description. ``tracks`` say why.

    ``muxed`` says that there is a transport stream, see ``choose_muxed``.
    """

    def __init__(self, detail: str, tracks: tuple[Track, ...], *, muxed: bool = False) -> None:
        super().__init__(CameraState.NO_PLAYABLE_TRACK, detail)
        self.tracks = tracks
        self.muxed = muxed


def choose(description: SessionDescription) -> tuple[list[Choice], list[Track]]:
    """The sections to play, at most one of each kind; and one of each kind that has none, with its problem.

    Raises ``NothingPlayableError`` if none can be played.
    """
    played: list[Choice] = []
    others: list[Track] = []
    for kind in Kind:
        sections = [section for section in description.media if section.kind == kind and not section.back_channel]
        sections.sort(key=lambda section: section.direction == "inactive")  # some send all the same
        choices = [_best(section) for section in sections]
        playable = [choice for choice in choices if choice.track.playable]
        if playable:
            played.append(min(playable, key=_preference))
        elif choices:
            others.append(choices[0].track)
    if not played:
        problems = "; ".join(f"{track.kind}: {track.problem}" for track in others)
        detail, muxed = problems or "the camera offers neither video nor audio", _muxed(description) is not None
        raise NothingPlayableError(detail, tuple(others), muxed=muxed)
    return played, others


def choose_muxed(description: SessionDescription) -> tuple[list[Choice], list[Track]]:
    """The section of an MPEG transport or program stream, to be passed on to a demuxer: picture and sound are in it.

    Raises ``NothingPlayableError`` if there is none.
    """
    if (choice := _muxed(description)) is None:
        raise NothingPlayableError("the camera now sends picture and sound separately", ())
    return [choice], []


def _muxed(description: SessionDescription) -> Choice | None:
    for section in description.media:
        for format_ in section.formats:
            if section.kind in list(Kind) and registered(section, format_) in MUXED and not agreement.problem(section):
                track = Track(Kind(section.kind), registered(section, format_), _MUXED_RATE)
                return Choice(section, format_, track, format_.clock_rate or _MUXED_RATE)
    return None


def doubtful(description: SessionDescription) -> Choice | None:
    """A picture to look at where nothing can be played: it is called by a name that nobody knows, and may be H.264."""
    for section in description.media:
        if section.kind == Kind.VIDEO and not agreement.is_secure(section):
            for format_ in section.formats:
                codec = registered(section, format_)
                if codec and codec not in UNKNOWN:
                    rate = min(format_.clock_rate or h264.CLOCK_RATE, MAX_CLOCK_RATE)
                    return Choice(section, replace(format_, parameters={}), h264.announced_track({}), rate)
    return None


def make(choice: Choice, output: Output) -> PayloadFormat:
    """The payload format for what ``choose`` chose, or for what came instead."""
    if not choice.track.playable:
        return Unplayable(choice.track)
    match choice.track.codec:
        case "H264":
            return h264.H264(choice.format.parameters, output)
        case "H265":
            return h265.H265(choice.format.parameters, output)
        case "VP8":
            return Frames(choice.track, vpx.repack_vp8, output)
        case "VP9":
            return vpx.Vp9(choice.track, output)
        case "AV1":
            return Frames(choice.track, vpx.repack_av1, output)
        case "JPEG":
            if WHOLE in choice.format.parameters:
                return Frames(choice.track, repack_whole, output)
            return Jpeg(choice.track, output, choice.section.size)
        case "MP4V-ES":
            return Frames(choice.track, repack_mpeg4(choice.format.parameters), output)
        case "MPV":
            return Frames(choice.track, repack_mpeg2(), output)
        case "H263":
            return Frames(choice.track, repack_h263(choice.format.codec), output)
        case "opus":
            return opus.Opus(output)
        case "AAC":
            codec = choice.format.codec.upper()
            return aac.Aac(codec, choice.track, choice.clock_rate, choice.format.parameters, output)
        case "PCMU" | "PCMA" as codec:
            return g711.G711(codec, output, rate=_g711_rate(choice.format), channels=choice.format.channels)
        case "G722" as codec:  # eight bits are two samples, but the clock counts as if they were one
            return g711.G711(codec, output)
        case "L16":
            order = ByteOrder(choice.track.channels, little=is_little(choice.format))
            if choice.track.carried in CLOCK_RATES:
                return L16(choice.track, output, order)
            return Sound(choice.track, output, order=order)
        case codec if codec in speech.TICKS:
            return speech.Speech(choice.track, choice.format.parameters, output)
        case codec:
            return Sound(choice.track, output, header=_HEADERS.get(codec, 0))


def choice_of(section: MediaSection, format_: Format) -> Choice:
    """The choice of one format of a section; its track has a problem if it is not played."""
    track = _track(section, format_)
    rate = format_.clock_rate or track.clock_rate
    if track.playable and rate > MAX_CLOCK_RATE:
        track = replace(track, problem=f"a clock of {rate} Hz is impossible; set up this stream of the camera again")
    return Choice(section, format_, track, rate)


def choice_by_type(choice: Choice, payload_type: int) -> Choice | None:
    """The choice that packets of another payload type than the chosen one stand for; ``None`` for what is no media of a
    track.

    The channel or port says which track it is. If the section announced the type as well, or RFC 3551 fixes what it is
    of sound, that counts; else the camera numbers its packets otherwise than it says (OEM recorders do).
    """
    if payload_type in _NO_MEDIA:
        return None
    announced = next((each for each in choice.section.formats if each.payload_type == payload_type), None)
    fixed = static_format(payload_type) if choice.track.kind is Kind.AUDIO else None
    if announced is None and fixed is None:
        return replace(choice, format=replace(choice.format, payload_type=payload_type))
    return choice_of(choice.section, announced or cast(Format, fixed))


def choice_by_codec(choice: Choice, codec: str) -> Choice | None:
    """The choice for a picture that is of another codec than was announced; ``None`` if it is not played."""
    other = choice_of(choice.section, replace(choice.format, codec=codec))
    return replace(other, clock_rate=choice.clock_rate) if other.track.playable else None


def _best(section: MediaSection) -> Choice:
    media = [each for each in section.formats if each.codec.upper() not in {RED, *CORRECTION}]
    choices = [choice_of(section, format_) for format_ in media or section.formats]
    if not choices:
        problem = "the session description does not say what it is"
        return Choice(section, Format(0, "", 0), Track(Kind(section.kind), "", 0, problem=problem), 0)
    playable = sorted((choice for choice in choices if choice.track.playable), key=_preference)
    return next((choice for choice in playable if choice.format.codec), (playable or choices)[0])


def _preference(choice: Choice) -> tuple[bool, bool]:
    """The order of choice: a codec that all browsers take as it comes, one that some take, one that is converted."""
    return bool(choice.track.convert), choice.track.codec == "H265"


def _track(section: MediaSection, format_: Format) -> Track:
    kind, codec = Kind(section.kind), registered(section, format_)
    problem = agreement.problem(section)
    if kind is Kind.VIDEO and codec == "H264":
        track = h264.announced_track(format_.parameters)
        if format_.parameters.get("packetization-mode") == "2":
            problem = problem or _INTERLEAVED
        return replace(track, problem=problem or track.problem)
    if kind is Kind.AUDIO and codec == "OPUS":
        return Track(kind, "opus", opus.CLOCK_RATE, 2, problem=problem)
    if kind is Kind.AUDIO and codec in ("PCMU", "PCMA"):
        rate = _g711_rate(format_)
        if not can_resample(rate, format_.channels):
            what = f"G.711 at {rate} Hz with {format_.channels} channels"
            problem = problem or f"{what} cannot be converted for browsers; set the camera's sound to 8 kHz mono"
        return Track(kind, codec, g711.CLOCK_RATE, 1, problem=problem)
    if kind is Kind.AUDIO and codec == "G722":
        return Track(kind, codec, g711.CLOCK_RATE, 1, problem=problem)
    if kind is Kind.VIDEO and codec == "H265":
        return replace(h265.announced_track(format_.parameters), problem=problem)
    if kind is Kind.VIDEO and codec in ("VP8", "VP9", "AV1"):
        return Track(kind, codec, CLOCK_RATES[codec], problem=problem)
    if codec in CONVERTED and (kind is Kind.VIDEO) is (codec in ("JPEG", "MP4V-ES", "MPV", "H263")):
        return _converted(kind, codec, format_, problem)
    known = quoted(format_.codec)
    name, reason = UNKNOWN.get(codec, (CONVERTED.get(codec, known), f"is not known; {REMEDIES[kind]}"))
    if not name:
        what = f"the session description does not say what payload type {format_.payload_type} is"
        problem = problem or f"{what}; {REMEDIES[kind]}"
    called = codec if codec in UNKNOWN else known
    return Track(kind, called, format_.clock_rate, format_.channels, problem=problem or f"{name} {reason}")


def _g711_rate(format_: Format) -> int:
    """The samples of a second. No camera takes as many as the clock of a picture counts: then there are the usual ones,
    whatever their timestamps count."""
    return format_.clock_rate if 0 < format_.clock_rate <= MAX_RATE else g711.CLOCK_RATE


def _converted(kind: Kind, codec: str, format_: Format, problem: str) -> Track:
    if codec in ("MPEG4-GENERIC", "MP4A-LATM"):
        track = aac.announced_track(codec, format_.clock_rate or 48_000, format_.channels, format_.parameters)
    else:
        rate = format_.clock_rate or (h264.CLOCK_RATE if kind is Kind.VIDEO or codec == "MPA" else g711.CLOCK_RATE)
        track = Track(kind, codec, rate, format_.channels)
        problem = problem or _sound_problem(track, format_.parameters)
        if codec == "MULTIOPUS":
            mapping = opus.channel_mapping(format_.parameters)
            track = replace(track, clock_rate=opus.CLOCK_RATE, channels=max(mapping.count(",") - 1, 1), profile=mapping)
    return replace(track, problem=problem or track.problem, convert=f"browsers do not play {CONVERTED[codec]}")


def _sound_problem(track: Track, parameters: Mapping[str, str]) -> str:
    """Why sound that is converted cannot be; empty if it can, and of pictures."""
    codec = CONVERTED[track.codec]
    if track.kind is Kind.VIDEO:
        return ""
    if name := speech.unusual(parameters) if codec == "AMR" else "":
        return f"AMR with {name} cannot be read; turn that off in the camera, or set its sound to G.711"
    if track.codec == "MULTIOPUS" and not opus.channel_mapping(parameters):
        return f"{codec} that does not say how they are mapped cannot be played; {REMEDIES[track.kind]}"
    if track.codec in _SELF_DESCRIBING or (track.clock_rate in SOUND_RATES and track.channels in SOUND_CHANNELS):
        return ""
    what = f"{codec} at {track.clock_rate} Hz with {track.channels} channels"
    return f"{what} cannot be converted; set the camera's sound to 48 kHz or less, in mono or stereo"
