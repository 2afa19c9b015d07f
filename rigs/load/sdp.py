"""SDP as a load of viewers needs it: the offer of a browser, and what matters of any server's answer or offer."""

from __future__ import annotations

from dataclasses import dataclass, field

ABS_CAPTURE_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"

# As Chromium offers them; whatever the camera's profile, a viewer of the load counts packets and decodes nothing.
_H264_PROFILES = ("42e01f", "42001f", "4d001f", "64001f", "640c1f", "640034")


@dataclass(slots=True)
class Media:
    """One media section."""

    kind: str
    port: int
    mid: str = ""
    direction: str = "sendrecv"
    codecs: dict[int, str] = field(default_factory=dict)  # payload type: encoding name, in lower case
    clock_rates: dict[int, int] = field(default_factory=dict)
    rtx: dict[int, int] = field(default_factory=dict)  # payload type of retransmissions: that of the original
    feedback: set[str] = field(default_factory=set)  # such as "nack", "transport-cc"
    extensions: dict[str, int] = field(default_factory=dict)  # URI: id

    @property
    def accepted(self) -> bool:
        """Whether media can flow in this section."""
        return self.port != 0 and self.direction != "inactive"


@dataclass(slots=True)
class Session:
    """A description: its transport, and its sections."""

    ufrag: str = ""
    password: str = ""
    fingerprint: tuple[str, str] = ("", "")  # hash function, upper-case hex with colons
    setup: str = ""
    lite: bool = False
    candidates: list[tuple[str, int]] = field(default_factory=list)  # by UDP …
    passive: list[tuple[str, int]] = field(default_factory=list)  # … and those that accept TCP connections (RFC 6544)
    media: list[Media] = field(default_factory=list)

    def payload_types(self) -> dict[int, tuple[str, str, int]]:
        """Kind, codec and clock rate in Hz of each payload type."""
        return {
            pt: (media.kind, codec, media.clock_rates[pt])
            for media in self.media
            if media.accepted
            for pt, codec in media.codecs.items()
        }


def parse(text: str) -> Session:
    """Read a description leniently. Raises ``ValueError`` if it lacks what a connection needs."""
    session = Session()
    media: Media | None = None
    for line in text.replace("\r", "").split("\n"):
        if line.startswith("m="):
            kind, port, _profile, *formats = line[2:].split()
            media = Media(kind, int(port))
            for fmt in formats:
                if fmt in _STATIC:
                    media.codecs[int(fmt)], media.clock_rates[int(fmt)] = _STATIC[fmt]
            session.media.append(media)
        elif line.startswith("a="):
            name, _colon, value = line[2:].partition(":")
            _transport_attribute(session, name, value)
            if media is not None:
                _media_attribute(media, name, value)
    if not (session.ufrag and session.password and session.fingerprint[1]):
        raise ValueError("the description lacks ICE credentials or a fingerprint")
    return session


_STATIC = {"0": ("pcmu", 8_000), "8": ("pcma", 8_000), "9": ("g722", 8_000)}


def _transport_attribute(session: Session, name: str, value: str) -> None:
    # Sections are bundled (RFC 9143): the first one's transport is everyone's.
    if name == "ice-ufrag":
        session.ufrag = session.ufrag or value
    elif name == "ice-pwd":
        session.password = session.password or value
    elif name == "fingerprint" and not session.fingerprint[1]:
        function, _space, digest = value.partition(" ")
        session.fingerprint = (function.lower(), digest.strip().upper())
    elif name == "setup":
        session.setup = session.setup or value
    elif name == "ice-lite":
        session.lite = True
    elif name == "candidate":
        parts = value.split()
        if len(parts) >= 6 and parts[1] == "1" and not parts[4].endswith(".local"):
            kind = parts[2].lower()
            passive = kind == "tcp" and parts[-2:] == ["tcptype", "passive"]
            address, found = (parts[4], int(parts[5])), session.passive if passive else session.candidates
            if (passive or kind == "udp") and address not in found:
                found.append(address)


def _media_attribute(media: Media, name: str, value: str) -> None:
    if name == "mid":
        media.mid = value
    elif name in ("sendrecv", "sendonly", "recvonly", "inactive"):
        media.direction = name
    elif name == "rtpmap":
        pt, _space, codec = value.partition(" ")
        encoding, _slash, rest = codec.partition("/")
        media.codecs[int(pt)] = encoding.lower()
        media.clock_rates[int(pt)] = int(rest.split("/")[0])
    elif name == "fmtp":
        pt, _space, parameters = value.partition(" ")
        if parameters.startswith("apt="):
            media.rtx[int(pt)] = int(parameters[4:].split(";")[0])
    elif name == "rtcp-fb":
        media.feedback.add(value.partition(" ")[2])
    elif name == "extmap":
        number, _space, uri = value.partition(" ")
        media.extensions[uri.split()[0]] = int(number.partition("/")[0])


def _transport(session: Session) -> list[str]:
    lines = [
        "c=IN IP4 0.0.0.0",
        "a=rtcp-mux",
        f"a=ice-ufrag:{session.ufrag}",
        f"a=ice-pwd:{session.password}",
        f"a=fingerprint:{session.fingerprint[0]} {session.fingerprint[1]}",
        f"a=setup:{session.setup}",
    ]
    for number, (host, port) in enumerate(session.candidates, 1):
        lines.append(f"a=candidate:{number} 1 udp {2130706431 - number} {host} {port} typ host")
    return [*lines, "a=end-of-candidates"]


def offer(transport: Session, *, twcc: bool = False) -> str:
    """A browser's offer to receive video and audio. ``twcc`` asks for transport-wide feedback instead of REMB."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=msid-semantic: WMS"]
    video_types = range(96, 96 + 2 * len(_H264_PROFILES))
    lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, video_types))}", *_transport(transport)]
    lines += ["a=mid:0", "a=recvonly", "a=rtcp-rsize", f"a=extmap:1 {MID}", f"a=extmap:4 {ABS_CAPTURE_TIME}"]
    lines.append(f"a=extmap:3 {TRANSPORT_CC}" if twcc else f"a=extmap:2 {ABS_SEND_TIME}")
    for pt, profile in zip(video_types[::2], _H264_PROFILES, strict=True):
        lines.append(f"a=rtpmap:{pt} H264/90000")
        lines.append(f"a=fmtp:{pt} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}")
        for feedback in ("nack", "nack pli", "ccm fir", "transport-cc" if twcc else "goog-remb"):
            lines.append(f"a=rtcp-fb:{pt} {feedback}")
        lines += [f"a=rtpmap:{pt + 1} rtx/90000", f"a=fmtp:{pt + 1} apt={pt}"]
    lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8", *_transport(transport), "a=mid:1", "a=recvonly"]
    lines += [f"a=extmap:1 {MID}", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]
    lines += ["a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000"]
    return "\r\n".join([*lines, ""])


def answer(transport: Session, offered: Session) -> str:
    """Accept everything that a server offers to send (Janus's own API lets the server offer)."""
    mids = " ".join(media.mid for media in offered.media)
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for media in offered.media:
        types = " ".join(map(str, media.codecs))
        lines += [f"m={media.kind} 9 UDP/TLS/RTP/SAVPF {types}", *_transport(transport)]
        lines += [f"a=mid:{media.mid}", "a=recvonly"]
        for pt, codec in media.codecs.items():
            lines.append(f"a=rtpmap:{pt} {codec}/{media.clock_rates[pt]}{'/2' if codec == 'opus' else ''}")
            if pt in media.rtx:
                lines.append(f"a=fmtp:{pt} apt={media.rtx[pt]}")
            elif media.kind == "video":
                lines += [f"a=rtcp-fb:{pt} nack", f"a=rtcp-fb:{pt} nack pli", f"a=rtcp-fb:{pt} goog-remb"]
    return "\r\n".join([*lines, ""])
