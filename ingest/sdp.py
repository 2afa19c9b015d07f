"""Session descriptions (RFC 8866) as cameras write them: what is usable is taken, the rest passed over; no I/O.

Nothing here raises: a description without a single media section is simply empty. Each line is looked at a fixed
number of times, and what is beyond the limits below is passed over, so that no description takes longer than a few
milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

MAX_LINES = 4_096  # looked at; a camera's description has under 50, a server's that lists all of its streams 2,500
MAX_LINE = 16 << 10  # characters; longer ones are passed over
MAX_MEDIA = 32  # sections looked at; a camera has two or three
MAX_FORMATS = 32  # of one section …
MAX_ALL_FORMATS = 64  # … and of all
MAX_ATTRIBUTES = 64  # rtpmap or fmtp of one section, and fmtp of all
MAX_PARAMETERS = 64  # of one format
MAX_SOURCES = 4  # addresses that a section comes from
MAX_KEYS = 16  # of SRTP, of one section

# RFC 3551 section 6: payload types that need no rtpmap.
_STATIC = {
    0: ("PCMU", 8_000, 1),
    2: ("G726-32", 8_000, 1),  # reserved by now, and sent
    3: ("GSM", 8_000, 1),
    4: ("G723", 8_000, 1),
    5: ("DVI4", 8_000, 1),
    6: ("DVI4", 16_000, 1),
    7: ("LPC", 8_000, 1),
    8: ("PCMA", 8_000, 1),
    9: ("G722", 8_000, 1),
    10: ("L16", 44_100, 2),
    11: ("L16", 44_100, 1),
    12: ("QCELP", 8_000, 1),
    13: ("CN", 8_000, 1),
    14: ("MPA", 90_000, 1),
    15: ("G728", 8_000, 1),
    16: ("DVI4", 11_025, 1),
    17: ("DVI4", 22_050, 1),
    18: ("G729", 8_000, 1),
    19: ("CN", 8_000, 1),
    26: ("JPEG", 90_000, 1),
    31: ("H261", 90_000, 1),
    32: ("MPV", 90_000, 1),
    33: ("MP2T", 90_000, 1),
    34: ("H263", 90_000, 1),
}

_DIRECTIONS = {"sendonly", "recvonly", "sendrecv", "inactive"}  # RFC 8866 6.7

_RTPMAP = re.compile(r"(\d{1,3})\s+([^/\s]+)\s*(?:/\s*(\d{1,9}))?\s*(?:/\s*(\d{1,3}))?")
_NUMBERED = re.compile(r"(\d{1,3})(?:[\s:]+|(?=[A-Za-z]))(.*)", re.DOTALL)
_UNNUMBERED = re.compile(r"(?:[\w.-]+\s+)?([\w-]+\s*=.*)", re.DOTALL)  # it may have the codec's name in its place
_PORT = re.compile(r"([0-9]{1,5})(?:/[0-9]*)?$")
_NOBODY = -1  # payload type of parameters without one: of the only format, if there is one


@dataclass(frozen=True, slots=True)
class Format:
    """One payload type of a media section."""

    payload_type: int
    codec: str  # encoding name as the camera spells it; empty if it does not say
    clock_rate: int  # Hz; 0 if it does not say
    channels: int = 1
    parameters: dict[str, str] = field(default_factory=dict)  # of fmtp, names in lower case


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One ``m=`` section."""

    kind: str  # "video", "audio", "application", ...
    protocol: str  # "RTP/AVP" and its relatives
    formats: tuple[Format, ...]
    control: str | None = None
    direction: str = ""  # "sendonly", "recvonly", "sendrecv", "inactive"; empty if it does not say
    size: tuple[int, int] = (0, 0)  # width and height of the picture, where it is said (RFC 6064, and others' ways)
    crypto: tuple[str, ...] = field(default=(), repr=False)  # keys of SRTP (RFC 4568) …
    key_mgmt: tuple[str, ...] = field(default=(), repr=False)  # … or those of RFC 4567, of the section or of all
    port: int = 0  # that it is sent to; 0 if it does not say, as the description of a unicast does not …
    connection: str = ""  # … and the address, of the section or of all (RFC 8866 5.7); with its hops where it has some
    sources: tuple[str, ...] = ()  # addresses that alone send it (RFC 4570)
    back_channel: bool = False  # for sending sound to the camera (ONVIF Streaming Specification 5.3)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """The answer to DESCRIBE, as far as it is usable."""

    media: tuple[MediaSection, ...] = ()
    control: str | None = None


_SIZE = re.compile(r"([0-9]{1,5})[,-] ?([0-9]{1,5})$")


@dataclass(slots=True)
class _Lines:
    """One section's lines: its ``m=`` fields, and the values of its attributes by name."""

    media: list[str] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)
    connection: str = ""

    def value(self, name: str) -> str | None:
        return next(iter(self.values(name)), None)

    def values(self, name: str) -> list[str]:
        return self.attributes.get(name, [])


def static_format(payload_type: int) -> Format | None:
    """The format of a payload type without an rtpmap; ``None`` if RFC 3551 fixes none."""
    meaning = _STATIC.get(payload_type)
    return Format(payload_type, *meaning) if meaning else None


def parse(body: bytes) -> SessionDescription:
    """Read a session description, UTF-8 or Latin-1, with any line ends."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = body.decode("latin-1")
    session = _Lines()
    sections: list[_Lines] = []
    for line in re.split(r"[\r\n\0]+", text, maxsplit=MAX_LINES)[:MAX_LINES]:
        kind, equals, value = line.partition("=")
        if not equals or len(line) > MAX_LINE:
            continue
        kind = kind.strip().lower()
        if kind == "m":
            if len(sections) == MAX_MEDIA:
                break
            sections.append(_Lines(value.split(maxsplit=3 + MAX_FORMATS)))
        elif kind == "a":
            name, _, argument = value.partition(":")
            attributes = (sections[-1] if sections else session).attributes
            attributes.setdefault(name.strip().lower(), []).append(argument.strip())
        elif kind == "c":
            lines = sections[-1] if sections else session
            lines.connection = lines.connection or "".join(value.split(maxsplit=3)[2:3])
    everywhere = _parameters([fmtp for section in sections for fmtp in section.values("fmtp")])
    listed = frozenset(number for section in sections for number in section.media[3:])
    usual = _direction(session)
    keys = session.values("key-mgmt")[:MAX_KEYS]
    media: tuple[MediaSection, ...] = ()
    left = MAX_ALL_FORMATS
    for section in sections:
        if len(section.media) >= 3:
            read = _section(section, everywhere, listed, usual, min(left, MAX_FORMATS))
            media += (
                replace(
                    read,
                    key_mgmt=tuple(section.values("key-mgmt")[:MAX_KEYS] or keys),
                    connection=section.connection or session.connection,
                    sources=_sources(section) or _sources(session),
                ),
            )
            left -= len(read.formats)
    return SessionDescription(_without_back_channels(media), session.value("control"))


def _without_back_channels(media: tuple[MediaSection, ...]) -> tuple[MediaSection, ...]:
    """Mark the back channels: sections of sound that go the other way than the rest.

    A device that follows ONVIF writes down what the client does and marks its back channel ``sendonly``; one that
    follows RFC 8866 6.7 writes down what it does itself and marks it ``recvonly``. The mark on its picture says which
    of the two it is (D-Link DCS-2630L: ``sendonly``), and a device's only sound is taken for a back channel in the
    first case alone.
    """
    seen = {section.direction for section in media if section.kind in ("video", "audio")}
    own_view = any(section.kind == "video" and section.direction == "sendonly" for section in media)
    others = [section for section in media if section.kind == "audio" and section.direction != "recvonly"]
    mark = ("recvonly" if others else None) if own_view else "sendonly" if seen != {"sendonly"} else None
    return tuple(
        replace(section, back_channel=section.kind == "audio" and section.direction == mark) for section in media
    )


def _direction(lines: _Lines) -> str:
    return next((name for name in lines.attributes if name in _DIRECTIONS), "")


def _section(
    lines: _Lines,
    everywhere: dict[int, dict[str, str]],
    listed_anywhere: frozenset[str],
    usual_direction: str,
    most: int,
) -> MediaSection:
    kind, sent_to, protocol, *listed = lines.media
    texts = lines.values("rtpmap")[:MAX_ATTRIBUTES]
    rtpmaps = {int(m[1]): m for text in texts if (m := _RTPMAP.match(text))}
    # Where no payload type is listed ("m=video 0 RTP/AVP smart/1/90000"), the rtpmaps say which there are.
    types = [int(text) for text in listed if text.isascii() and text.isdigit() and len(text) <= 3] or list(rtpmaps)
    parameters = _parameters(lines.values("fmtp"))
    unlisted = {number: each for number, each in parameters.items() if str(number) not in listed_anywhere}
    if len(types) == len(rtpmaps) == 1 and types[0] not in _STATIC:  # one number is a slip: there is one format
        rtpmaps = {types[0]: next(iter(rtpmaps.values()))}
    formats = []
    for payload_type in dict.fromkeys(types[:most]):
        if payload_type > 127:
            continue
        codec, clock_rate, channels = _STATIC.get(payload_type, ("", 0, 1))
        if match := rtpmaps.get(payload_type):  # wins over the static meaning: Bosch uses 35 for H.264
            codec, clock_rate, channels = match[2], int(match[3] or 0) or clock_rate, int(match[4] or 1)
        # RFC 8866 6.15: fmtp stands in its own section; some cameras put it into another one, or number it otherwise.
        alone = next(iter(unlisted.values()), {}) if len(types) == 1 else {}
        fmtp = parameters.get(payload_type) or everywhere.get(payload_type) or alone
        formats.append(Format(payload_type, codec, clock_rate, channels or 1, fmtp))
    direction = _direction(lines) or usual_direction
    control = lines.value("control")
    crypto = tuple(lines.values("crypto")[:MAX_KEYS])
    port = int(match[1]) if (match := _PORT.match(sent_to)) else 0
    return MediaSection(
        kind.lower(), protocol.upper(), tuple(formats), control, direction, _size(lines), crypto, port=port
    )


def _sources(lines: _Lines) -> tuple[str, ...]:
    """RFC 4570 3: ``incl IN IP4 <destination> <source> …``."""
    mode, *fields = (lines.value("source-filter") or "").split(maxsplit=4 + MAX_SOURCES) or [""]
    return tuple(fields[3 : 3 + MAX_SOURCES]) if mode == "incl" else ()


def _size(lines: _Lines) -> tuple[int, int]:
    """``x-dimensions: 2592,1944``, or RFC 6064's ``framesize:26 2592-1944``; else two times 0."""
    for name in ("x-dimensions", "framesize"):
        if (text := lines.value(name)) and (match := _SIZE.search(text)):
            return int(match[1]), int(match[2])
    return 0, 0


def _parameters(values: list[str]) -> dict[int, dict[str, str]]:
    """The parameters of each payload type in the values of all ``fmtp``; the first of a name counts."""
    found: dict[int, dict[str, str]] = {}
    for value in values[:MAX_ATTRIBUTES]:
        payload_type, text = _NOBODY, value
        if match := _NUMBERED.match(value):
            payload_type, text = int(match[1]), match[2]
        elif match := _UNNUMBERED.match(value):
            text = match[1]
        parameters = found.setdefault(payload_type, {})
        for part in text.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS]:
            name, equals, argument = part.partition("=")
            if name.strip() and (equals or payload_type != _NOBODY) and len(parameters) < MAX_PARAMETERS:
                parameters.setdefault(name.strip().lower(), argument.strip())
    return found
