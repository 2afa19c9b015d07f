"""Offers of browsers that cannot be run here, as they are seen in the field: sections, numbers, parameters, extensions.

They are put together from what such offers have in common, with credentials of nobody. Viewers': they only receive.
Where a comment says "seen", the numbers and their order are those of an offer that somebody has shown in public.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from egress.offer import PLAYOUT_DELAY, TRANSPORT_CC
from rigs.browser import PASSWORD, UFRAG

FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
_H264 = "level-asymmetry-allowed=1;packetization-mode={};profile-level-id={}"
_FEEDBACK = ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")


@dataclass(frozen=True)
class Codec:
    """One line of formats: number, name with clock, parameters, and the number of its retransmissions."""

    number: int
    name: str
    parameters: str = ""
    rtx: int | None = None


@dataclass(frozen=True)
class Offer:
    """A browser's offer."""

    video: tuple[Codec, ...]
    audio: tuple[Codec, ...]
    mids: tuple[str, str] = ("0", "1")  # of video and audio
    audio_first: bool = False
    extensions: tuple[tuple[int, str], ...] = ()  # of video
    session: tuple[str, ...] = ("a=extmap-allow-mixed", "a=msid-semantic: WMS")
    more: tuple[str, ...] = field(default=())  # lines of the video section
    data: tuple[str, ...] = ()  # lines of a section for data, of a page that also wants a channel
    gathered: tuple[str, ...] = ()  # candidates of each section, of a page that waited for them

    def __str__(self) -> str:
        sections = [self._section("video", self.mids[0]), self._section("audio", self.mids[1])]
        mids = list(self.mids)
        if self.audio_first:
            sections.reverse()
            mids.reverse()
        if self.data:
            mids.append("data" if mids[0] in ("audio", "video") else "2")
            sections.append([self.data[0], *self._transport(mids[-1]), *self.data[1:]])
        head = ["v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(mids)}"]
        return "\r\n".join([*head, *self.session, *(line for section in sections for line in section)]) + "\r\n"

    def _section(self, kind: str, mid: str) -> list[str]:
        codecs = self.video if kind == "video" else self.audio
        numbers = [n for codec in codecs for n in (codec.number, codec.rtx) if n is not None]
        lines = [
            f"m={kind} {53171 if self.gathered else 9} UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
            *self._transport(mid),
        ]
        if kind == "video":
            lines += [f"a=extmap:{number} {uri}" for number, uri in self.extensions]
        lines += ["a=recvonly", "a=rtcp-mux", *(["a=rtcp-rsize"] if kind == "video" else [])]
        for codec in codecs:
            lines.append(f"a=rtpmap:{codec.number} {codec.name}")
            video = codec.name.split("/")[0] in ("H264", "H265", "VP8", "VP9", "AV1")
            lines += [f"a=rtcp-fb:{codec.number} {feedback}" for feedback in _FEEDBACK if video]
            lines += [f"a=fmtp:{codec.number} {codec.parameters}"] if codec.parameters else []
            if codec.rtx is not None:
                lines += [f"a=rtpmap:{codec.rtx} rtx/90000", f"a=fmtp:{codec.rtx} apt={codec.number}"]
        return lines + (list(self.more) if kind == "video" else [])

    def _transport(self, mid: str) -> list[str]:
        return [
            "c=IN IP4 0.0.0.0",
            "a=rtcp:9 IN IP4 0.0.0.0",
            *self.gathered,
            f"a=ice-ufrag:{UFRAG}",
            f"a=ice-pwd:{PASSWORD}",
            "a=ice-options:trickle",
            f"a=fingerprint:sha-256 {FINGERPRINT}",
            "a=setup:actpass",
            f"a=mid:{mid}",
        ]


def _h264(number: int, profile: str, rtx: int, mode: int = 1) -> Codec:
    return Codec(number, "H264/90000", _H264.format(mode, profile), rtx)


def _audio(*, old: bool) -> tuple[Codec, ...]:
    opus = Codec(111, "opus/48000/2", "minptime=10;useinbandfec=1")
    g711 = Codec(9, "G722/8000"), Codec(0, "PCMU/8000"), Codec(8, "PCMA/8000")
    noise = Codec(13, "CN/8000"), Codec(110, "telephone-event/48000"), Codec(126, "telephone-event/8000")
    if old:
        return (opus, Codec(103, "ISAC/16000"), *g711, Codec(105, "CN/16000"), *noise)
    return (opus, Codec(63, "red/48000/2", "111/111"), *g711, *noise)


_RED = Codec(127, "red/90000", rtx=125), Codec(104, "ulpfec/90000")
_VP8 = Codec(100, "VP8/90000", rtx=101)
_OLD_EXTENSIONS = (
    (14, "urn:ietf:params:rtp-hdrext:toffset"),
    (2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"),
    (13, "urn:3gpp:video-orientation"),
    (3, TRANSPORT_CC),
    (12, PLAYOUT_DELAY),
    (4, "urn:ietf:params:rtp-hdrext:sdes:mid"),
)
_EXTENSIONS = (
    (1, "urn:ietf:params:rtp-hdrext:toffset"),
    (4, TRANSPORT_CC),
    (5, PLAYOUT_DELAY),
    (9, "urn:ietf:params:rtp-hdrext:sdes:mid"),
)

SAFARI_12_IOS = Offer(
    video=(_h264(96, "640c1f", 97), _h264(98, "42e01f", 99), _VP8, *_RED),
    audio=_audio(old=True),
    mids=("video", "audio"),
    audio_first=True,
    extensions=_OLD_EXTENSIONS[:-1],
    session=("a=msid-semantic: WMS",),
)
SAFARI_12_IOS_WITH_DATA = Offer(  # seen in two reports to aiortc of 2019 and 2020: gathered, and with an old channel
    video=SAFARI_12_IOS.video,
    audio=(_audio(old=True)[0], Codec(103, "ISAC/16000"), Codec(9, "G722/8000"), Codec(102, "ILBC/8000")),
    mids=("video", "audio"),
    audio_first=True,
    extensions=_OLD_EXTENSIONS[:-1],
    session=("a=msid-semantic: WMS 6937f626",),
    data=("m=application 53171 DTLS/SCTP 5000", "a=sctpmap:5000 webrtc-datachannel 1024"),
    gathered=(
        "a=candidate:211156821 1 udp 2113937151 192.0.2.5 53171 typ host generation 0 network-cost 50",
        "a=candidate:2075991921 1 udp 2113939711 2001:db8::8d44 53172 typ host generation 0 network-cost 50",
    ),
)
SAFARI_13 = Offer(  # seen in reports of 2020 to ion-sfu (13.1) and to Kinesis' SDK for C
    video=(_h264(96, "640c1f", 97), _h264(98, "42e01f", 99), _VP8, *_RED),
    audio=_audio(old=True),
    extensions=_OLD_EXTENSIONS,
    session=("a=msid-semantic: WMS",),
)
SAFARI_17_IOS = Offer(  # seen in a report to SRS: no H.265, VP8 at 104, and FlexFEC
    video=(
        _h264(96, "640c1f", 97),
        _h264(98, "42e01f", 99),
        _h264(100, "640c1f", 101, mode=0),
        _h264(102, "42e01f", 103, mode=0),
        Codec(104, "VP8/90000", rtx=105),
        Codec(106, "VP9/90000", "profile-id=0", 107),
        Codec(108, "VP9/90000", "profile-id=2", 109),
        Codec(127, "red/90000", rtx=125),
        Codec(112, "ulpfec/90000"),
        Codec(35, "flexfec-03/90000", "repair-window=10000000"),
    ),
    audio=_audio(old=False),
    extensions=_EXTENSIONS,
    data=("m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=sctp-port:5000", "a=max-message-size:262144"),
)
SAFARI_18 = Offer(  # H.265 at 104, without parameters, is seen where Kinesis' SDK for C learnt of it
    video=(
        _h264(96, "640c1f", 97),
        _h264(98, "42e01f", 99),
        _h264(100, "640c1f", 101, mode=0),
        _h264(102, "42e01f", 103, mode=0),
        Codec(104, "H265/90000", rtx=105),  # without parameters
        Codec(106, "VP8/90000", rtx=107),
        Codec(108, "VP9/90000", "profile-id=0", 109),
        Codec(127, "VP9/90000", "profile-id=2", 125),
        Codec(112, "red/90000", rtx=113),
        Codec(114, "ulpfec/90000"),
    ),
    audio=_audio(old=False),
    extensions=_EXTENSIONS,
)
ANDROID_WEBVIEW = Offer(  # H.264 only where the phone's chip decodes it, and then these two
    video=(
        Codec(96, "VP8/90000", rtx=97),
        Codec(98, "VP9/90000", "profile-id=0", 99),
        Codec(45, "AV1/90000", rtx=46),
        _h264(125, "42e01f", 107),
        _h264(108, "640c1f", 109),
        Codec(124, "red/90000", rtx=120),
        Codec(119, "ulpfec/90000"),
    ),
    audio=_audio(old=False),
    extensions=_EXTENSIONS,
)
ANDROID_CHROMIUM_63 = Offer(  # seen in the tests of Phenix' WebSDK: one H.264, Baseline without constraints, and last
    video=(
        Codec(96, "VP8/90000", rtx=97),
        Codec(98, "VP9/90000", rtx=99),
        Codec(100, "red/90000", rtx=101),
        Codec(102, "ulpfec/90000"),
        _h264(127, "42001f", 104),
    ),
    audio=_audio(old=True),
    mids=("video", "audio"),
    audio_first=True,
    extensions=((2, "urn:ietf:params:rtp-hdrext:toffset"), (5, TRANSPORT_CC), (6, PLAYOUT_DELAY)),
    session=("a=msid-semantic: WMS",),
)
CHROMIUM_64_PLAN_B = Offer(
    video=(
        Codec(96, "VP8/90000", rtx=97),
        Codec(98, "VP9/90000", "profile-id=0", 99),
        _h264(102, "42001f", 122),
        _h264(127, "42e01f", 121),
        _h264(125, "4d0032", 107),
        _h264(108, "640032", 109),
        Codec(124, "red/90000", rtx=120),
        Codec(123, "ulpfec/90000"),
    ),
    audio=_audio(old=True),
    mids=("video", "audio"),
    audio_first=True,
    extensions=((5, TRANSPORT_CC), (6, PLAYOUT_DELAY)),
    session=("a=msid-semantic: WMS",),
)
