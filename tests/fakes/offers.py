"""Tracks that cameras send and sections that viewers offer, beyond the sections of ``rigs.browser``."""

from __future__ import annotations

from common.media import Kind, Track

CONSTRAINED_BASELINE, MAIN, HIGH, BASELINE = "42e01f", "4d0029", "640028", "420029"
OPUS = Track(Kind.AUDIO, "opus", 48_000, 2)
CHANNEL = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n"


def h264(profile: str) -> Track:
    return Track(Kind.VIDEO, "H264", 90_000, profile=profile)


def transport_in(number: int, offer: str) -> str:
    """The offer with its transport described in one section alone, and the sections after it bundle-only.

    As RFC 8829 5.2.1 has it: such a section has no attribute of the categories IDENTICAL and TRANSPORT.
    """
    session, *sections = offer.split("m=")
    attributes = [line for line in session.splitlines() if line.startswith(("a=ice-", "a=setup", "a=fingerprint"))]
    session = "".join(f"{line}\r\n" for line in session.splitlines() if line not in attributes)
    for at, section in enumerate(sections):
        if at == number:
            sections[at] = section + "".join(f"{line}\r\n" for line in attributes)
        elif at > number:
            section = section.replace(" 9 ", " 0 ", 1).replace("a=rtcp-mux\r\n", "")
            sections[at] = section + "a=bundle-only\r\n"
    return "m=".join([session, *sections])
