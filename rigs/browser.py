"""A viewer without a network: SDP offer, DTLS client and SRTP receiver, driven by hand, one datagram at a time.

Decryption is libsrtp's, so what it accepts is what browsers accept.
"""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass, field
from functools import cached_property

import pylibsrtp
from aiortc import rtp
from OpenSSL import SSL

from egress.wire.certificate import Certificate
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, Profile

UFRAG, PASSWORD = "remo", "a remote password of 22"  # of every browser, for ICE
CHROME_PROFILES = [SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM]
"""In Chrome's order: a server that let the client choose would get AES-CM."""

H264_TYPES = {"42001f": 102, "42e01f": 108, "4d001f": 116, "64001f": 118}
MODE_0_TYPE = 104  # packetization-mode=0, Constrained Baseline


def video_section(mid: str = "0", *, h264: dict[str, int] | None = None, direction: str = "recvonly") -> str:
    """A video section as Chromium writes it, shortened."""
    types = H264_TYPES if h264 is None else h264
    numbers = [
        "96",
        "97",
        *(str(n) for pt in types.values() for n in (pt, pt + 1)),
        str(MODE_0_TYPE),
        "45",
        "49",
        "127",
    ]
    lines = [
        f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        f"a={direction}",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=rtpmap:45 AV1/90000",
        "a=rtpmap:49 H265/90000",
        "a=rtpmap:127 ulpfec/90000",
        f"a=rtpmap:{MODE_0_TYPE} H264/90000",
        f"a=fmtp:{MODE_0_TYPE} level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ]
    for profile, pt in types.items():
        lines += [
            f"a=rtpmap:{pt} H264/90000",
            f"a=rtcp-fb:{pt} goog-remb",
            f"a=rtcp-fb:{pt} transport-cc",
            f"a=rtcp-fb:{pt} ccm fir",
            f"a=rtcp-fb:{pt} nack",
            f"a=rtcp-fb:{pt} nack pli",
            f"a=fmtp:{pt} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}",
            f"a=rtpmap:{pt + 1} rtx/90000",
            f"a=fmtp:{pt + 1} apt={pt}",
        ]
    return "\r\n".join(lines) + "\r\n"


def audio_section(mid: str = "1", *, codecs: tuple[str, ...] = ("opus", "PCMU", "PCMA")) -> str:
    """An audio section as Chromium writes it, shortened."""
    known = {
        "opus": (111, "opus/48000/2"),
        "PCMU": (0, "PCMU/8000"),
        "PCMA": (8, "PCMA/8000"),
        "G722": (9, "G722/8000"),
        "L16": (97, "L16/16000"),
    }
    lines = [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {' '.join(str(known[c][0]) for c in codecs)}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{mid}",
        "a=recvonly",
        "a=rtcp-mux",
        *(f"a=rtpmap:{known[c][0]} {known[c][1]}" for c in codecs),
    ]
    if "opus" in codecs:
        lines.append("a=fmtp:111 minptime=10;useinbandfec=1")
    return "\r\n".join(lines) + "\r\n"


@dataclass
class Browser:
    """One viewer. ``sent`` holds the datagrams it wants to send."""

    profiles: list[Profile] = field(default_factory=lambda: list(CHROME_PROFILES))
    sent: list[bytes] = field(default_factory=list)
    packets: list[rtp.RtpPacket] = field(default_factory=list)
    reports: list[rtp.AnyRtcpPacket] = field(default_factory=list)
    duplicates: int = 0
    connected: bool = False
    closed: bool = False

    @cached_property
    def certificate(self) -> Certificate:
        """Made when it is first asked for: who is given keys needs none."""
        return Certificate()

    @cached_property
    def ssl(self) -> SSL.Connection:
        """OpenSSL's part, likewise."""
        connection = SSL.Connection(self.certificate.context(profile.name for profile in self.profiles))
        connection.set_connect_state()
        return connection

    def offer(self, *sections: str, setup: str = "actpass", bundle: bool = True, fingerprint: bool = True) -> str:
        """An SDP offer of the given sections (default: video and audio)."""
        sections = sections or (video_section(), audio_section())
        mids = [line[6:] for section in sections for line in section.splitlines() if line.startswith("a=mid:")]
        lines = ["v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        if bundle:
            lines.append(f"a=group:BUNDLE {' '.join(mids)}")
        lines += [f"a=ice-ufrag:{UFRAG}", f"a=ice-pwd:{PASSWORD}", f"a=setup:{setup}"]
        if fingerprint:
            lines.append(f"a=fingerprint:{self.certificate.fingerprint()}")
        return "\r\n".join(lines) + "\r\n" + "".join(sections)

    def start_dtls(self) -> None:
        """Send the ClientHello."""
        self._advance()

    def receive(self, datagram: bytes) -> None:
        """Take a datagram of the server's."""
        if 20 <= datagram[0] < 64:
            self.ssl.bio_write(datagram)
            if not self.connected:
                self._advance()
                return
            try:
                self.ssl.recv(1500)
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.Error:
                pass
        elif rtp.is_rtcp(datagram):
            self.reports += rtp.RtcpPacket.parse(self._rx.unprotect_rtcp(datagram))
        else:
            try:
                self.packets.append(rtp.RtpPacket.parse(self._rx.unprotect(datagram)))
            except pylibsrtp.Error as exc:
                if "replay" not in str(exc):
                    raise
                self.duplicates += 1

    def send_rtcp(self, *packets: rtp.AnyRtcpPacket) -> None:
        """Send feedback."""
        self.sent.append(self.protect_rtcp(b"".join(map(bytes, packets))))

    def protect_rtcp(self, compound: bytes) -> bytes:
        """SRTCP of what may be no RTCP at all. Raises what libsrtp makes of it."""
        return self._tx.protect_rtcp(compound)

    def take_keys(self, profile: Profile, ours: bytes, theirs: bytes) -> None:
        """Protect with these master keys, each with its salt: as DTLS has it, or without any."""
        self.profile = profile
        self._tx, self._rx = (
            pylibsrtp.Session(pylibsrtp.Policy(key=master, ssrc_type=kind, srtp_profile=profile.libsrtp))
            for master, kind in (
                (ours, pylibsrtp.Policy.SSRC_ANY_OUTBOUND),
                (theirs, pylibsrtp.Policy.SSRC_ANY_INBOUND),
            )
        )

    def close(self) -> None:
        """Send close_notify."""
        self.ssl.shutdown()
        self._flush()

    def take(self) -> list[bytes]:
        """Take the datagrams sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

    def _advance(self) -> None:
        try:
            self.ssl.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            self.connected = True
            self._export_keys()
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(SSL.Error):
            self.sent.append(self.ssl.bio_read(65_536))

    def _export_keys(self) -> None:
        name = self.ssl.get_selected_srtp_profile().decode()
        if not name:
            return
        profile = next(p for p in self.profiles if p.name == name)
        key, salt = profile.key_size, profile.salt_size
        material = self.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt))
        client_key, server_key, client_salt, server_salt = struct.unpack(f"{key}s{key}s{salt}s{salt}s", material)
        self.take_keys(profile, client_key + client_salt, server_key + server_salt)
