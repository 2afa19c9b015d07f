import contextlib
import tracemalloc
from collections.abc import Callable

import pytest
from aiortc import RTCDtlsFingerprint, RTCDtlsParameters, sdp
from hypothesis import given
from hypothesis import strategies as st

from common.errors import RequestError
from common.media import Kind, Track
from egress.negotiation import _negotiate, negotiate
from egress.offer import MAX_FORMATS, MAX_LINE, MAX_LINES, MAX_SECTIONS, read, reduce
from rigs.browser import Browser, audio_section, video_section
from tests.fakes.cost import assert_cheap

BROWSER = Browser()
H264 = Track(Kind.VIDEO, "H264", 90_000, profile="640028")
LARGEST = 64 << 10  # characters that the front door lets through


def refused(offer: str) -> str:
    with pytest.raises(RequestError) as caught:
        negotiate(offer, [H264])
    assert (caught.value.status, caught.value.code) == (400, "malformed_sdp")
    return str(caught.value)


def test_aiortc_parses_sdp_into_what_we_read() -> None:
    """Its documentation does not speak of this: where an upgrade breaks it, this module has to change."""
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
    assert media.dtls == RTCDtlsParameters([RTCDtlsFingerprint("sha-256", "AB")], role="auto")
    assert (media.ice.usernameFragment, media.ice.password, media.ice.iceLite) == ("u", "p", False)
    h264, rtx = media.rtp.codecs
    assert (h264.name, h264.clockRate, h264.payloadType, str(h264)) == ("H264", 90_000, 96, "H264/90000")
    assert h264.parameters == {"packetization-mode": "1"}
    assert [(f.type, f.parameter) for f in h264.rtcpFeedback] == [("nack", "pli")]
    assert rtx.parameters == {"apt": 96}


def test_feedback_is_that_of_its_payload_type_and_that_of_all() -> None:
    section = "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=rtpmap:96 H264/90000\r\na=rtpmap:97 VP8/90000\r\n"
    lines = ("97 nack pli", "* nack", "96 ccm fir", "96 x", "* ack", "96 nack", "96 nack", "98 nack")
    text, _ = reduce(section + "".join(f"a=rtcp-fb:{line}\r\n" for line in lines))
    (media,) = read(text).media
    assert [[(f.type, f.parameter) for f in codec.rtcpFeedback] for codec in media.rtp.codecs] == [
        [("nack", None), ("ccm", "fir"), ("nack", None)],
        [("nack", None), ("nack", "pli")],
    ]


def test_of_what_stands_twice_the_first_counts() -> None:
    twice = "a=rtpmap:102 H264/90000\r\na=rtpmap:102 VP8/90000\r\na=fmtp:102 x=1\r\na=fmtp:102 x=2\r\n"
    text, _ = reduce(f"m=video 9 UDP/TLS/RTP/SAVPF 102\r\na=mid:a\r\na=mid:b\r\n{twice}")
    (media,) = read(text).media
    assert [(codec.name, codec.parameters) for codec in media.rtp.codecs] == [("H264", {"x": "1"})]
    assert media.rtp.muxId == "a"


def test_each_section_has_lines_of_its_own() -> None:
    text, _ = reduce(BROWSER.offer(video_section("0"), audio_section("1"), video_section("2") + "a=bundle-only\r\n"))
    offer = read(text)
    assert [(media.kind, media.rtp.muxId) for media in offer.media] == [("video", "0"), ("audio", "1"), ("video", "2")]
    assert (offer.bundle, offer.bundle_only) == (("0", "1", "2"), {"2"})
    assert [bool(media.rtp.codecs) for media in offer.media] == [True] * 3


@pytest.mark.parametrize("other", ["image 0 udptl t38", "message 9 tcp/msrp *", "text 0 rtp/avp 98"])
def test_a_section_of_another_kind_is_passed_over(other: str) -> None:
    offer = BROWSER.offer(video_section("0")) + f"m={other}\r\n"
    assert [section.mid for section in negotiate(offer, [H264]).sections] == ["0"]


@pytest.mark.parametrize(
    ("offer", "problem"),
    [
        (BROWSER.offer(*(audio_section(str(n)) for n in range(MAX_SECTIONS + 1))), "media sections"),
        (BROWSER.offer(video_section().replace("SAVPF", "SAVPF" + " 96" * MAX_FORMATS)), "formats"),
        (BROWSER.offer(audio_section() + f"a=fmtp:111 {'x' * MAX_LINE}\r\n").replace("a=fmtp:111 m", "a=x:"), "a line"),
        (BROWSER.offer(*[audio_section() + "".join(f"a=rtcp-fb:{n} nack\r\n" for n in range(2 * MAX_LINES))]), "lines"),
        (BROWSER.offer(audio_section() + "a=fingerprint:sha-256 AB\r\n" * 17), "fingerprints"),
        ("v=0\r\n", "no media section"),
        (BROWSER.offer(audio_section("0"), audio_section("0")), "distinct"),
        (BROWSER.offer(audio_section("0\0")), "control characters"),
        (BROWSER.offer(audio_section("\x1b[31m0")), "control characters"),
    ],
)
def test_what_is_beyond_a_limit_is_refused_by_name(offer: str, problem: str) -> None:
    assert problem in refused(offer)


def wide(size: int) -> str:
    """As many codecs as there is room for, each line of feedback for all of them."""
    count = size // 50
    lines = (f"a=rtpmap:{35 + n} H264/90000\r\na=rtcp-fb:* x{n}\r\n" for n in range(count))
    section = video_section().replace("SAVPF", "SAVPF " + " ".join(str(35 + n % 29) for n in range(count)))
    return BROWSER.offer(section + "".join(lines))


def widest_allowed(size: int) -> str:
    types = [pt for pt in range(256) if not 72 <= pt <= 76][: min(size // 120, MAX_FORMATS)]
    lines = (
        "rtpmap:{} H264/90000",
        "fmtp:{} packetization-mode=1",
        "rtcp-fb:{} nack",
        "rtcp-fb:{} ccm fir",
        "rtcp-fb:* nack",
    )
    own = "".join(f"a={line.format(pt)}\r\n" for pt in types for line in lines)
    head = f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, types))}\r\na=recvonly\r\na=rtcp-mux\r\n"
    return BROWSER.offer(f"{head}a=mid:0\r\n{own}")


SHAPES: dict[str, Callable[[int], str]] = {
    "codecs with feedback": wide,
    "as many formats as are allowed": widest_allowed,
    "lines that do not matter": lambda size: BROWSER.offer() + "a=candidate:x\r\n" * (size // 15),
    "one long line": lambda size: BROWSER.offer() + "a=fmtp:111 " + "x;" * (size // 2),
    "blanks": lambda size: BROWSER.offer() + "o=" + " " * size,
    "empty lines": lambda size: "\r\n" * (size // 2) + BROWSER.offer(),
    "sections": lambda size: BROWSER.offer(*(f"m=video 9 A 96\r\na=mid:{n}\r\n" for n in range(size // 25))),
    "fingerprints": lambda size: BROWSER.offer() + "a=fingerprint:sha-256 A\r\n" * (size // 24),
    "groups": lambda size: "a=group:BUNDLE 0\r\n" * (size // 18) + BROWSER.offer(),
    "extensions": lambda size: BROWSER.offer(video_section() + "a=extmap:1 urn:x\r\n" * (size // 18)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_offer_takes_long_to_read(shape: str) -> None:
    offer = SHAPES[shape](LARGEST)

    def run() -> None:
        _negotiate.cache_clear()
        negotiate(offer, [H264])

    assert_cheap(run)


@pytest.mark.thorough
def test_offers_that_are_kept_stay_small() -> None:
    _negotiate.cache_clear()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n in range(40):  # more than are kept
            negotiate(widest_allowed(LARGEST) + f"a=fmtp:35 x={n}{'y' * 1_000}\r\n", [H264])
            negotiate(BROWSER.offer(video_section(), audio_section(f"m{n}")), [H264])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16 << 20


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    for offer in (text, f"{BROWSER.offer()}{text}", f"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na={text}"):
        with contextlib.suppress(RequestError):
            read(reduce(offer)[0])
