"""What we use of aiortc beyond its documented interface: if an upgrade breaks one of these, egress has to change."""

from __future__ import annotations

from aiortc import rtp, sdp
from aiortc.rtcdtlstransport import RTCDtlsParameters


def test_lines_are_grouped_by_section() -> None:
    assert sdp.grouplines("v=0\r\nm=a\r\na=x\r\nm=b\r\n") == (["v=0"], [["m=a", "a=x"], ["m=b"]])


def test_sdp_is_parsed_into_what_we_read() -> None:
    description = sdp.SessionDescription.parse(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
        "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AB\r\na=setup:actpass\r\n"
        "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=rtcp-fb:96 nack pli\r\n"
        "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    )
    (media,) = description.media
    assert (description.group[0].semantic, description.group[0].items) == ("BUNDLE", ["0"])
    assert (media.kind, media.profile, media.fmt, media.direction) == (
        "video",
        "UDP/TLS/RTP/SAVPF",
        [96, 97],
        "recvonly",
    )
    assert (media.rtp.muxId, media.rtcp_mux) == ("0", True)
    assert media.dtls == RTCDtlsParameters(fingerprints=media.dtls.fingerprints, role="auto")
    assert (media.ice.usernameFragment, media.ice.password, media.ice.iceLite) == ("u", "p", False)
    h264, rtx = media.rtp.codecs
    assert (h264.name, h264.clockRate, h264.payloadType, str(h264)) == ("H264", 90_000, 96, "H264/90000")
    assert h264.parameters == {"packetization-mode": "1"}
    assert [(f.type, f.parameter) for f in h264.rtcpFeedback] == [("nack", "pli")]
    assert rtx.parameters == {"apt": 96}


def test_rtcp_parses_and_serialises() -> None:
    for packet in (
        rtp.RtcpByePacket([1]),
        rtp.RtcpRrPacket(1, [rtp.RtcpReceiverInfo(2, 0, 0, 0, 0, 0, 0)]),
        rtp.RtcpSrPacket(1, rtp.RtcpSenderInfo(1, 2, 3, 4)),
        rtp.RtcpSdesPacket([rtp.RtcpSourceInfo(1, [(1, b"x")])]),
    ):
        assert rtp.RtcpPacket.parse(bytes(packet)) == [packet]
    assert (rtp.RTCP_RTPFB_NACK, rtp.RTCP_PSFB_PLI, rtp.RTCP_PSFB_FIR, rtp.RTCP_PSFB_APP) == (1, 1, 4, 15)
    assert rtp.unpack_remb_fci(rtp.pack_remb_fci(1_000, [1])) == (1_000, [1])
