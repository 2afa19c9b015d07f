"""Offers of foreign players and hand-made ones, which are not quite as browsers write them: what is served of each."""

from __future__ import annotations

import pytest

from common.errors import RequestError
from common.media import Kind, Track
from egress.negotiation import negotiate

CAMERA = [Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"), Track(Kind.AUDIO, "opus", 48_000, 2)]
HEAD = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n"
BUNDLE, ALONE = "a=group:BUNDLE 0 1\n", "a=group:BUNDLE 0\n"
FINGERPRINT = f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\n"
ICE = "a=ice-ufrag:abcd\na=ice-pwd:0123456789abcdefghijklmn\n"
SETUP = "a=setup:actpass\n"
H264 = "a=rtpmap:102 H264/90000\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\na=rtcp-fb:102 nack pli\n"
OPUS = "a=rtpmap:111 opus/48000/2\n"
DATA = f"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:1\na=sctp-port:5000\n{ICE}{FINGERPRINT}{SETUP}"
ONLY, SPEEX = "a=bundle-only\n", "a=rtpmap:97 speex/8000\n"
SDES = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\n"
CANDIDATES = "".join(f"a=candidate:{n} 1 udp {n} 192.0.2.{n % 250} 5000 typ host\n" for n in range(400))
BOTH, PICTURE, SOUND = ["video", "audio"], ["video"], ["audio"]


def section(kind: str = "video", mid: str = "a=mid:0\n", *, rest: str = "", **parts: str) -> str:
    """One section; ``parts`` are lines, or words of its first line, in place of the usual ones."""
    maps, types = (H264, "102") if kind == "video" else (OPUS, "111 0")
    usual = {
        "port": "9", "protocol": "UDP/TLS/RTP/SAVPF", "types": types, "direction": "a=recvonly\n",
        "mux": "a=rtcp-mux\n", "ice": ICE, "fingerprint": FINGERPRINT, "setup": SETUP, "maps": maps,
    } | parts  # fmt: skip
    first = "m={kind} {port} {protocol} {types}\nc=IN IP4 0.0.0.0\n{mid}{direction}{mux}"
    return (first + "{ice}{fingerprint}{setup}{maps}{rest}").format(kind=kind, mid=mid, rest=rest, **usual)


V, A = section(), section("audio", "a=mid:1\n")


def picture(**parts: str) -> str:
    return HEAD + ALONE + section(**parts)


def h264(parameters: str) -> str:
    return picture(maps=f"a=rtpmap:102 H264/90000\n{parameters}")


OFFERS = {
    "usual": (HEAD + BUNDLE + V + A, BOTH),
    "sound first": (HEAD + BUNDLE + section("audio", "a=mid:0\n") + section(mid="a=mid:1\n"), ["audio", "video"]),
    "without a bundle": (HEAD + V + A, PICTURE),
    "sound outside of the bundle": (HEAD + ALONE + V + A, PICTURE),
    "mids in words": (
        f"{HEAD}a=group:BUNDLE v a\n{section(mid='a=mid:v' + chr(10))}{section('audio', 'a=mid:a' + chr(10))}", BOTH
    ),
    "mid after a tab": (picture(mid="a=mid:\t0\n"), PICTURE),
    "no mids": (HEAD + section(mid="") + section("audio", ""), PICTURE),
    "transport of the session (werift, old pion)": (
        HEAD + FINGERPRINT + ICE + SETUP + ALONE + section(fingerprint="", ice="", setup=""), PICTURE
    ),
    "fingerprint of the session": (HEAD + FINGERPRINT + ALONE + section(fingerprint=""), PICTURE),
    "transport in the first section alone": (
        HEAD + BUNDLE + V + section("audio", "a=mid:1\n", ice="", fingerprint="", setup=""), BOTH
    ),
    "setup active": (picture(setup="a=setup:active\n"), PICTURE),
    "no setup": (picture(setup=""), PICTURE),
    "setup holdconn": (picture(setup="a=setup:holdconn\n"), PICTURE),
    "setup of nothing": (picture(setup="a=setup:\n"), PICTURE),
    "setup passive": (picture(setup="a=setup:passive\n"), "not_webrtc"),
    "fingerprint in lower case": (picture(fingerprint=FINGERPRINT.lower()), PICTURE),
    "fingerprint SHA-256": (picture(fingerprint=FINGERPRINT.replace("sha", "SHA")), PICTURE),
    "two fingerprints": (picture(fingerprint=f"a=fingerprint:sha-1 {':'.join(['AB'] * 20)}\n{FINGERPRINT}"), PICTURE),
    "no fingerprint": (picture(fingerprint=""), "not_webrtc"),
    "SDES alone": (picture(fingerprint="", setup="", rest=SDES), "not_webrtc"),
    "SDES beside DTLS": (picture(rest=SDES), PICTURE),
    "no ICE": (picture(ice=""), "not_webrtc"),
    "ICE with blanks": (picture(ice="a=ice-ufrag: abcd \na=ice-pwd: 0123456789abcdefghijklmn \n"), PICTURE),
    "ICE lite": (HEAD + "a=ice-lite\n" + ALONE + V, "not_webrtc"),
    "no rtcp-mux": (picture(mux=""), "not_webrtc"),
    "rtcp-mux-only": (picture(mux="a=rtcp-mux\na=rtcp-mux-only\n"), PICTURE),
    "sendrecv": (picture(direction="a=sendrecv\n"), PICTURE),
    "no direction": (picture(direction=""), PICTURE),
    "direction of the session": (HEAD + "a=recvonly\n" + ALONE + section(direction=""), PICTURE),
    "sendonly": (picture(direction="a=sendonly\n"), "nothing_wanted"),
    "RTP/SAVPF": (picture(protocol="RTP/SAVPF"), PICTURE),
    "RTP/SAVP": (picture(protocol="RTP/SAVP"), PICTURE),
    "UDP/TLS/RTP/SAVP": (picture(protocol="UDP/TLS/RTP/SAVP"), PICTURE),
    "TCP/DTLS/RTP/SAVPF": (picture(protocol="TCP/DTLS/RTP/SAVPF"), PICTURE),
    "protocol in lower case": (picture(protocol="udp/tls/rtp/savpf"), PICTURE),
    "plain RTP": (picture(protocol="RTP/AVP"), "not_webrtc"),
    "sound bundle-only (GStreamer)": (HEAD + BUNDLE + V + section("audio", "a=mid:1\n", port="0", rest=ONLY), BOTH),
    "sound not wanted": (HEAD + BUNDLE + V + section("audio", "a=mid:1\n", port="0"), PICTURE),
    "a port that is one": (picture(port="54321"), PICTURE),
    "a data channel behind": (HEAD + BUNDLE + V + DATA, PICTURE),
    "a data channel before": (HEAD + BUNDLE + DATA.replace("mid:1", "mid:0") + section(mid="a=mid:1\n"), PICTURE),
    "a data channel alone": (HEAD + "a=group:BUNDLE 1\n" + DATA, "nothing_wanted"),
    "two pictures": (HEAD + BUNDLE + V + section(mid="a=mid:1\n"), PICTURE),
    "H.264 without parameters": (h264(""), PICTURE),
    "H.264 in lower case": (picture(maps="a=rtpmap:102 h264/90000\n"), PICTURE),
    "parameters in upper case": (h264("a=fmtp:102 Packetization-Mode=1;Profile-Level-Id=42E01F\n"), PICTURE),
    "parameters with blanks": (h264("a=fmtp:102 packetization-mode=1; profile-level-id=42e01f ; x\n"), PICTURE),
    "parameters with empty ones": (h264("a=fmtp:102 packetization-mode=1;;profile-level-id=42e01f;\n"), PICTURE),
    "a profile that is none": (h264("a=fmtp:102 packetization-mode=1;profile-level-id=xyz\n"), PICTURE),
    "a profile cut short": (h264("a=fmtp:102 packetization-mode=1;profile-level-id=42e0\n"), PICTURE),
    "level 1.0": (h264("a=fmtp:102 packetization-mode=1;profile-level-id=42e00a\n"), PICTURE),
    "a type below 96": (picture(types="35", maps=H264.replace("102", "35")), PICTURE),
    "a type without an rtpmap": (picture(types="102 103"), PICTURE),
    "a type that is no number": (picture(types="102 abc"), PICTURE),
    "an rtpmap without a clock": (picture(types="102 103", rest="a=rtpmap:103 VP8\n"), PICTURE),
    "an rtpmap of nothing": (picture(rest="a=rtpmap:\na=rtpmap:999 X/1\n"), PICTURE),
    "candidates of nonsense": (picture(rest="a=candidate:\na=candidate:x\na=end-of-candidates\n"), PICTURE),
    "mDNS candidates": (picture(rest="a=candidate:1 1 udp 2113937151 5d1c.local 5000 typ host\n"), PICTURE),
    "forty extensions": (picture(rest="".join(f"a=extmap:{n} urn:x:{n}\n" for n in range(1, 41))), PICTURE),
    "simulcast": (picture(rest="a=rid:h recv\na=simulcast:recv h\n"), PICTURE),
    "OPUS without channels": (HEAD + BUNDLE + V + A.replace("opus/48000/2", "OPUS/48000"), BOTH),
    "sound that no camera has": (HEAD + BUNDLE + V + A.replace("111 0", "97").replace(OPUS, SPEEX), PICTURE),
    "a group of lip sync": (HEAD + "a=group:LS 0 1\n" + BUNDLE + V + A, BOTH),
    "a group of strangers": (HEAD + "a=group:BUNDLE x y\n" + V, PICTURE),
    "picture not wanted": (f"{HEAD}a=group:BUNDLE 1\n{section(port='0')}{A}", SOUND),
    "text beside": (HEAD + ALONE + V + "m=text 0 UDP/TLS/RTP/SAVPF 0\na=mid:1\n", PICTURE),
    "no lines of the session": (V, PICTURE),
    "blank lines, a BOM and a NUL": (f"\ufeff\n\n{HEAD}{ALONE}{V}\0", PICTURE),
    "sound before the picture, without a bundle": (HEAD + A + V, PICTURE),
    "sound inactive": (HEAD + BUNDLE + V + section("audio", "a=mid:1\n", direction="a=inactive\n"), PICTURE),
    "all inactive": (picture(direction="a=inactive\n"), "nothing_wanted"),
    "no feedback": (picture(maps=H264.replace("a=rtcp-fb:102 nack pli\n", "")), PICTURE),
    "H.264 Baseline alone (42001f)": (h264("a=fmtp:102 packetization-mode=1;profile-level-id=42001f\n"), PICTURE),
    "packetization-mode 0 alone": (h264("a=fmtp:102 packetization-mode=0;profile-level-id=42e01f\n"), PICTURE),
    "no packetization-mode": (h264("a=fmtp:102 profile-level-id=42001f\n"), PICTURE),
    "trickle that never ends": (HEAD + "a=ice-options:trickle\n" + ALONE + V, PICTURE),
    "candidates of TCP alone": (
        picture(rest="a=candidate:1 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active\n"), PICTURE
    ),
    "extensions mixed (RFC 8285)": (
        HEAD + "a=extmap-allow-mixed\n" + ALONE + section(rest="a=extmap-allow-mixed\n"), PICTURE
    ),
    "blanks behind colons": (
        picture(maps=H264.replace("rtpmap:", "rtpmap: ").replace("fmtp:", "fmtp:  "), mid="a=mid: 0\n"), PICTURE
    ),
    "sound of which only the static type is said": (
        HEAD + BUNDLE + V + section("audio", "a=mid:1\n", types="8", maps=""), PICTURE
    ),
    "twenty kilobytes": (picture(rest=CANDIDATES), PICTURE),
    "thirty more codecs": (
        picture(
            types="102 " + " ".join(map(str, range(35, 64))),
            rest="".join(f"a=rtpmap:{n} X{n}/90000\n" for n in range(35, 64)),
        ), PICTURE
    ),
    "simulcast as senders have it": (
        picture(rest="a=rid:q send\na=rid:h send\na=simulcast:send q;h\na=ssrc-group:SIM 1 2\n"), PICTURE
    ),
    "types beyond seven bits, and those of RTCP": (
        picture(types="200 102 72 103", rest="a=rtpmap:200 H264/90000\na=rtpmap:72 H264/90000\n"), PICTURE
    ),
    "parameters of a format that is not named": (picture(rest="a=fmtp:97 x=y\na=fmtp:\na=fmtp:98\n"), PICTURE),
    "parameters that are no numbers": (
        HEAD + BUNDLE + V + section("audio", "a=mid:1\n", rest="a=fmtp:111 stereo=true; minptime=10ms\n"), BOTH
    ),
    "retransmissions of nothing": (
        picture(types="102 103", rest="a=rtpmap:103 rtx/90000\na=fmtp:103 apt=x\n"), PICTURE
    ),
    "blanks around lines": ("".join(f"  {line} \n" for line in picture().splitlines()), PICTURE),
    "more blanks, or tabs, in the first line": (picture().replace("m=video 9 ", "m=video  9\t"), PICTURE),
    "a number of ports": (picture(port="9/2"), PICTURE),
    "rtcp-mux-only alone": (picture(mux="a=rtcp-mux-only\n"), PICTURE),
    "transport in the data channel alone": (
        f"{HEAD}a=group:BUNDLE 1 0\n{DATA}{section(fingerprint='', ice='', setup='')}", PICTURE
    ),
    "fingerprint by SHA-512": (picture(fingerprint=f"a=fingerprint:sha-512 {':'.join(['AB'] * 64)}\n"), PICTURE),
    "fingerprint by SHA-1 alone": (
        picture(fingerprint=f"a=fingerprint:sha-1 {':'.join(['AB'] * 20)}\n"), "not_webrtc"
    ),
    "fingerprint without colons": (picture(fingerprint=f"a=fingerprint:sha-256 {'AB' * 32}\n"), "not_webrtc"),
    "the other's zone in a candidate": (picture(rest="a=candidate:1 1 udp 1 fe80::1%eth0 5000 typ host\n"), PICTURE),
    "bandwidths of nonsense": (picture(rest="b=AS:x\nb=TIAS:-1\n"), PICTURE),
    "JSON": ('{"type":"offer","sdp":"v=0"}', "malformed_sdp"),
    "one mid twice": (HEAD + BUNDLE + V + section("audio"), "malformed_sdp"),
}  # fmt: skip


def test_a_static_payload_type_of_sound_needs_no_rtpmap() -> None:
    offer = HEAD + BUNDLE + V + section("audio", "a=mid:1\n", types="8", maps="")
    sound = Track(Kind.AUDIO, "PCMA", 8_000)
    assert [section.kind for section in negotiate(offer, [CAMERA[0], sound]).sections] == BOTH


def test_what_the_answer_repeats_of_an_offer_is_what_it_means() -> None:
    """Numbers of seven bits alone, as others have no place in a packet, and parameters as RFC 8866 6.15 writes them."""
    rtx = "a=rtpmap:103 RTX/90000\na=fmtp:103 APT = 102\na=rtpmap:200 rtx/90000\na=fmtp:200 apt=102\n"
    offer = picture(
        types="200 102 103", rest=rtx, maps="a=rtpmap:102 H264/90000\na=fmtp:102 Profile-Level-ID = 640028\n"
    )
    [served] = negotiate(offer, CAMERA[:1]).sections
    assert [(each.payload_type, each.rtx, each.profile) for each in served.formats] == [(102, 103, "640028")]


def test_an_offer_without_media_is_answered_with_what_a_player_does_before() -> None:
    """Flutter in a browser and react-native-webrtc make one where they are told ``offerToReceiveVideo`` alone."""
    with pytest.raises(RequestError, match="adds a transceiver that receives") as caught:
        negotiate(HEAD + "a=extmap-allow-mixed\n", CAMERA)
    assert (caught.value.status, caught.value.code) == (400, "malformed_sdp")


@pytest.mark.parametrize("last", [True, False], ids=["whole", "cut"])
@pytest.mark.parametrize("end", ["\r\n", "\n"], ids=["CRLF", "LF"])
@pytest.mark.parametrize("name", OFFERS)
def test_what_of_an_offer_is_served(name: str, end: str, *, last: bool) -> None:
    """With and without the newline at its end."""
    offer, expected = OFFERS[name]
    offer = (offer if last else offer.rstrip("\n")).replace("\n", end)
    if isinstance(expected, str):
        with pytest.raises(RequestError) as caught:
            negotiate(offer, CAMERA)
        assert caught.value.code == expected
        assert "Error" not in caught.value.message  # no word of Python's
    else:
        assert [section.kind for section in negotiate(offer, CAMERA).sections] == expected
