"""Reads a viewer's SDP offer (RFC 8829, RFC 8866) in bounded time and space; pure.

* An offer is reduced before it is parsed, in one pass: lines that decide nothing are left out, and what is the viewer's
  own is replaced by a key. What remains is the same for everybody with that browser, and is parsed once.
* What is parsed has at most ``MAX_SECTIONS`` sections, ``MAX_FORMATS`` formats with one rtpmap and one fmtp each, and
  ``MAX_LINES`` lines of ``MAX_LINE`` characters: an offer is a stranger's, and everybody else waits while it is read.
* RTCP feedback is attached here and not by the parser, whose time grows with codecs times lines of feedback.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiortc import sdp
from aiortc.rtcrtpparameters import RTCRtcpFeedback

from common.errors import RequestError

TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"

MAX_SECTIONS = 16  # a viewer offers two or three
MAX_FORMATS = 160  # in all sections together: a browser with every codec has some sixty
MAX_LINES = 2_000  # that matter; Chromium's offer of picture and sound has 300
MAX_LINE = 2_048  # characters; a browser's longest lists its payload types, in 300
MAX_FINGERPRINTS = 16  # in all sections together; a browser has one
MAX_CREDENTIAL = 256  # characters (RFC 8839 5.4); one that is longer is none
MAX_CACHED = 16_384  # characters of a reduced offer that is kept: Chromium's has 8,000

_FEEDBACK = {
    kind: RTCRtcpFeedback(*kind.split(" ")) for kind in ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")
}
_EXTENSIONS = frozenset({TRANSPORT_CC, PLAYOUT_DELAY})
_FLAGS = frozenset({"sendrecv", "sendonly", "recvonly", "inactive", "rtcp-mux", "bundle-only", "ice-lite"})
_PLAN_B = (
    "The SDP offer has several tracks in one media section (Plan B): use a newer browser, or set the connection's "
    "sdpSemantics to unified-plan."
)
_NO_MEDIA = (
    "has no media section: a player adds a transceiver that receives (recvonly), one for the picture and one for the "
    "sound, before it makes its offer"
)
_ENCODED = "is inside JSON or a string with \\n in it: send the text of localDescription.sdp as it is"
_OF_JSON = ("{", '"')
_FEEDBACK_LINE, _RTPMAP_LINE, _FMTP_LINE = "a=rtcp-fb:", "a=rtpmap:", "a=fmtp:"
MAX_TYPE = 127
_TYPES = frozenset(str(number) for number in range(MAX_TYPE + 1) if number not in range(72, 77))  # of RTCP (RFC 3551 6)
_NUMBERS = {"apt", "max-fr", "max-fs", "maxplaybackrate", "minptime", "stereo", "useinbandfec"}  # as the parser has it
_MEDIA = {"m=video", "m=audio"}
_RTPMAP = re.compile(r" *[^/ ]+/\d+")
_STATIC = {"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}  # which need no rtpmap (RFC 3551 6)
_SETUPS = {"active", "passive", "actpass"}
_SETUP = "a=setup:actpass"  # of an offer that says none, or nonsense: RFC 8842 5.2 allows no other


@dataclass(frozen=True, slots=True)
class ParsedOffer:
    """An offer that was read; shared by everybody with the same browser.

    ``bundle`` holds the mids of the BUNDLE group (RFC 9143), ``None`` without one; ``bundle_only`` the mids of sections
    that are not to be served outside it. Fingerprints and credentials in ``media`` are keys of what ``reduce`` returns.
    """

    media: tuple[sdp.MediaDescription, ...]
    bundle: tuple[str, ...] | None
    bundle_only: frozenset[str]


def reduce(offer: str) -> tuple[str, Mapping[str, str]]:
    """The offer as everybody with this browser sends it, and the fingerprints and credentials that are #0, #1 … in it.

    Raises ``RequestError`` (400) for an offer beyond the limits above, and for one inside of something else.
    """
    if offer[:1] in _OF_JSON or "\\nm=" in offer:
        raise _malformed(_ENCODED)
    reduced = _Reduced()
    for line in map(str.strip, offer.splitlines()):  # a page's own may be indented like its program
        if line.startswith("m="):
            reduced.add_section(line)
        elif line.startswith("a="):
            reduced.add_attribute(line)
    return "\r\n".join(reduced.lines) + "\r\n", reduced.own


class _Reduced:
    """An offer while it is being reduced. One line is kept for each key of a section: the first."""

    def __init__(self) -> None:
        self.lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", _SETUP]
        self.own: dict[str, str] = {}
        self._sections = self._formats = self._fingerprints = 0
        self._seen: set[str] = set()  # keys of this section
        self._track = ""  # of the viewer's own that this section names

    def add_section(self, line: str) -> None:
        """Take an ``m=`` line, of whose port only zero matters. Raises ``RequestError`` for one too many."""
        self._sections += 1
        if self._sections > MAX_SECTIONS:
            raise _malformed(f"has more than {MAX_SECTIONS} media sections")
        self._seen, self._track = set(), ""
        kind, port, protocol, *listed = (*line.split(), "", "", "")
        port = port.partition("/")[0]
        listed = [each for each in listed if each]
        if kind in _MEDIA:  # what is no payload type stands for nothing
            listed = [each for each in listed if each in _TYPES]
            if not listed:
                raise _malformed(f"has a media section without a payload type from 0 to {MAX_TYPE}")
        rest = f"{protocol.upper()} {' '.join(listed)}"
        self._keep(f"{kind} {'9' if port.isdecimal() and port.strip('0') else port} {rest}", "m")
        for payload_type in listed if kind == "m=audio" else ():
            if payload_type in _STATIC:
                self._keep(f"a=rtpmap:{payload_type} {_STATIC[payload_type]}", f"rtpmap {payload_type}")
        self._formats += rest.count(" ")
        if self._formats > MAX_FORMATS:
            raise _malformed(f"has more than {MAX_FORMATS} formats")

    def add_attribute(self, line: str) -> None:
        """Keep an ``a=`` line if it matters."""
        name, colon, value = line[2:].partition(":")
        if value[:1] == " ":
            value = value.lstrip()
            line = f"a={name}:{value}"
        first, _, rest = value.partition(" ")
        match name:
            case "rtpmap" | "fmtp" if first not in _TYPES or (name == "rtpmap" and not _RTPMAP.match(rest)):
                pass
            case "rtpmap" | "fmtp":
                self._keep(line, f"{name} {first}")
            case "rtcp-fb" if rest in _FEEDBACK:
                self._keep(line, line)
            case "extmap" if rest in _EXTENSIONS:
                self._keep(line, line)
            case "fingerprint":
                self._add_fingerprint(first, rest)
            case "ice-ufrag" | "ice-pwd" if name not in self._seen:
                self._keep(f"a={name}:{self._key(value.strip()) if len(value) <= MAX_CREDENTIAL else ''}", name)
            case "setup" if value.strip() not in _SETUPS:
                pass
            case "mid" | "setup":
                self._keep(f"a={name}:{value.strip()}", name)
            case "ssrc" if rest.startswith("msid:"):
                self._add_track(rest)
            case "group" if first == "BUNDLE":
                self._keep(line, name)
            case "rtcp-mux-only":  # RFC 8858 3: beside the other, which some leave out
                self._keep("a=rtcp-mux", "rtcp-mux")
            case _ if name in _FLAGS and not colon:
                self._keep(line, name)

    def _add_fingerprint(self, algorithm: str, value: str) -> None:
        self._fingerprints += 1
        if self._fingerprints > MAX_FINGERPRINTS:
            raise _malformed(f"has more than {MAX_FINGERPRINTS} fingerprints")
        key = self._key(value)
        self._keep(f"a=fingerprint:{algorithm} {key}", key)

    def _add_track(self, msid: str) -> None:
        """Two tracks in one section are Plan B, which Chromium had before version 72, and no browser has any more."""
        if self._track and self._track != msid:
            raise RequestError(400, "plan_b", _PLAN_B)
        self._track = msid

    def _key(self, value: str) -> str:
        """The key that stands for ``value``, which is this viewer's own; empty for an empty one."""
        if not value:
            return ""
        if len(value) > MAX_LINE:
            raise _malformed(f"has a line of more than {MAX_LINE} characters")
        key = f"#{len(self.own)}"
        self.own[key] = value
        return key

    def _keep(self, line: str, key: str) -> None:
        if key in self._seen:
            return
        if len(line) > MAX_LINE:
            raise _malformed(f"has a line of more than {MAX_LINE} characters")
        if len(self.lines) >= MAX_LINES:
            raise _malformed(f"has more than {MAX_LINES} lines")
        self._seen.add(key)
        self.lines.append(line)


def read(reduced: str) -> ParsedOffer:
    """Parse what ``reduce`` made. Raises ``RequestError`` (400) if it is not an SDP offer."""
    lines = reduced.splitlines()
    try:
        description = sdp.SessionDescription.parse("\r\n".join(_parsable(lines)))
    except Exception:  # aiortc's parser asserts, indexes and iterates; every one of these means a bad offer
        raise _malformed("cannot be parsed: one of its lines is not SDP") from None
    media = tuple(description.media)
    if not media:
        raise _malformed(_NO_MEDIA)
    mids = [each.rtp.muxId for each in media]
    if not all(mid.isprintable() for mid in mids):  # RFC 5888 4: a token; it stands in our answer
        raise _malformed("has an a=mid value with control characters")
    bundle = next((tuple(map(str, group.items)) for group in description.group), ())
    bundle = bundle if any(mid in bundle for mid in mids) else ()  # a group of what is not there is none
    named = mids if bundle else [mid for mid in mids if mid]  # without it, one section is served, and needs no name
    if len(set(named)) != len(named):
        raise _malformed("needs distinct a=mid values, one for each media section")
    sections = list(_sections(lines))
    for each, own in zip(media, sections, strict=True):
        _attach_feedback(each, own)
    only = (each.rtp.muxId for each, own in zip(media, sections, strict=True) if "a=bundle-only" in own)
    return ParsedOffer(media, bundle or None, frozenset(only if bundle else ()))


def _parsable(lines: list[str]) -> Iterable[str]:
    """The lines that the parser is given: parameters of named formats alone, with numbers where it wants some."""
    sections = [{_of(line) for line in own if line.startswith(_RTPMAP_LINE)} for own in _sections(lines)]
    named: set[str] = set()
    for line in lines:
        if line.startswith("m="):
            named = sections.pop(0)
        if line.startswith(_FMTP_LINE):
            if _of(line) in named:
                yield _tidy(line)
        elif not line.startswith(_FEEDBACK_LINE):
            yield line


def _of(line: str) -> str:
    """The payload type that an attribute is of."""
    return line.partition(":")[2].partition(" ")[0]


def _tidy(line: str) -> str:
    """Parameters as RFC 8866 6.15 and the parser have them: without blanks, and names in lower case (RFC 4855 3)."""
    head, _, text = line.partition(" ")
    kept = []
    for part in text.split(";"):
        name, equals, value = (each.strip() for each in part.partition("="))
        if name and (name.lower() not in _NUMBERS or value.isdecimal()):
            kept.append(f"{name.lower()}={value}" if equals else name)
    return f"{head} {';'.join(kept)}"


def _sections(lines: Iterable[str]) -> Iterable[list[str]]:
    own: list[str] | None = None
    for line in lines:
        if line.startswith("m="):
            if own is not None:
                yield own
            own = []
        elif own is not None:
            own.append(line)
    if own is not None:
        yield own


def _attach_feedback(media: sdp.MediaDescription, lines: Iterable[str]) -> None:
    """RFC 4585 4.2: feedback is for one payload type or, by an asterisk, for all."""
    by_type: dict[str, list[RTCRtcpFeedback]] = {}
    for line in lines:
        if line.startswith(_FEEDBACK_LINE):
            payload_type, _, kind = line.removeprefix(_FEEDBACK_LINE).partition(" ")
            by_type.setdefault(payload_type, []).append(_FEEDBACK[kind])
    for codec in media.rtp.codecs:
        codec.rtcpFeedback = by_type.get("*", []) + by_type.get(str(codec.payloadType), [])


def _malformed(problem: str) -> RequestError:
    return RequestError(400, "malformed_sdp", f"The SDP offer {problem}.")
