from __future__ import annotations

from contextlib import suppress

import pytest
from aiortc import sdp as foreign
from hypothesis import given
from hypothesis import strategies as st

from rigs.load import sdp
from rigs.load.sdp import Session

OURS = Session("ufrag", "p" * 24, ("sha-256", ":".join(["AB"] * 32)), "actpass", candidates=[("192.0.2.1", 4000)])

ANSWER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-lite
a=group:BUNDLE 0
m=video 9 UDP/TLS/RTP/SAVPF 100 101
c=IN IP4 0.0.0.0
a=sendonly
a=mid:0
a=ice-ufrag:server
a=ice-pwd:secret
a=fingerprint:SHA-256 01:ab
a=setup:passive
a=rtpmap:100 H264/90000
a=fmtp:100 packetization-mode=1;profile-level-id=42e01f
a=rtcp-fb:100 nack pli
a=rtpmap:101 rtx/90000
a=fmtp:101 apt=100
a=extmap:3/recvonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=candidate:1 1 udp 2130706431 198.51.100.7 8189 typ host
a=candidate:2 1 udp 2130706430 2001:db8::7 8189 typ host
a=candidate:3 1 tcp 1671430142 198.51.100.7 8189 typ host tcptype passive
a=candidate:4 2 udp 2130706430 198.51.100.7 8190 typ host
a=candidate:5 1 udp 2130706430 0b1c.local 8190 typ host
m=audio 0 UDP/TLS/RTP/SAVPF 0
a=mid:1
a=inactive
"""


def test_what_matters_of_an_answer_is_read() -> None:
    session = sdp.parse(ANSWER.replace("\n", "\r\n"))
    assert (session.ufrag, session.password, session.setup, session.lite) == ("server", "secret", "passive", True)
    assert session.fingerprint == ("sha-256", "01:AB")
    assert session.candidates == [("198.51.100.7", 8189), ("2001:db8::7", 8189)]
    video, audio = session.media
    assert video.accepted
    assert not audio.accepted
    assert video.rtx == {101: 100}
    assert video.extensions == {sdp.TRANSPORT_CC: 3}
    assert session.payload_types() == {100: ("video", "h264", 90_000), 101: ("video", "rtx", 90_000)}


def test_a_foreign_parser_reads_our_offer() -> None:
    offer = foreign.SessionDescription.parse(sdp.offer(OURS))
    assert [media.kind for media in offer.media] == ["video", "audio"]
    assert {codec.name for codec in offer.media[0].rtp.codecs} == {"H264", "rtx"}
    assert offer.media[0].ice.usernameFragment == "ufrag"
    assert [(c.ip, c.port) for c in offer.media[0].ice_candidates] == [("192.0.2.1", 4000)]


def test_our_own_parser_reads_our_offer() -> None:
    offer = sdp.parse(sdp.offer(OURS, twcc=True))
    assert offer.candidates == OURS.candidates
    assert "transport-cc" in offer.media[0].feedback
    assert sdp.TRANSPORT_CC in offer.media[0].extensions


def test_an_answer_takes_everything_that_is_offered() -> None:
    answer = sdp.parse(sdp.answer(OURS, sdp.parse(ANSWER)))
    assert answer.payload_types()[100] == ("video", "h264", 90_000)
    assert answer.media[0].rtx == {101: 100}


@pytest.mark.parametrize("missing", ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"])
def test_a_description_without_transport_is_refused(missing: str) -> None:
    text = "\n".join(line for line in ANSWER.splitlines() if not line.startswith(missing))
    with pytest.raises(ValueError, match="lacks"):
        sdp.parse(text)


@given(st.data())
def test_mangled_text_raises_nothing_but_what_is_documented(data: st.DataObject) -> None:
    lines = ANSWER.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index] = lines[index][: data.draw(st.integers(0, len(lines[index])))]
    with suppress(ValueError, IndexError):
        sdp.parse("\n".join(lines))
