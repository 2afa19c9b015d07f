"""The multicast group that a camera says it sends to."""

from __future__ import annotations

import pytest

from common.errors import ProtocolError
from ingest import sdp
from ingest.rtsp.groups import MulticastGroup, group_of
from ingest.rtsp.transport import TransportSpec

MULTICAST = "RTP/AVP;multicast"


def group(answer: str, description: str = "m=video 0 RTP/AVP 96") -> MulticastGroup:
    section = sdp.parse(description.encode()).media[0]
    return group_of(TransportSpec.parse(MULTICAST + answer), section)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (";destination=239.1.2.3;port=5000-5001", MulticastGroup("239.1.2.3", (5000, 5001))),
        (";destination=239.1.2.3;port=5000-5000;ttl=9", MulticastGroup("239.1.2.3", (5000, 5001), ttl=9)),
        (";destination=239.1.2.3;client_port=5000-5003", MulticastGroup("239.1.2.3", (5000, 5003))),
        (
            ";destination=232.1.2.3;source=10.0.0.7;port=5000",
            MulticastGroup("232.1.2.3", (5000, 5001), sources=("10.0.0.7",)),
        ),
        (";destination=239.1.2.3;source=0.0.0.0;port=5000", MulticastGroup("239.1.2.3", (5000, 5001))),
        (";destination=239.1.2.3;source=camera;port=5000", MulticastGroup("239.1.2.3", (5000, 5001))),
        (";destination=ff15::7;port=5000", MulticastGroup("ff15::7", (5000, 5001))),
    ],
)
def test_the_answer_names_it(answer: str, expected: MulticastGroup) -> None:
    assert group(answer) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("m=video 5000 RTP/AVP 96\nc=IN IP4 239.1.2.3/64", MulticastGroup("239.1.2.3", (5000, 5001), ttl=64)),
        ("c=IN IP4 239.1.2.3/64/2\nm=video 5000/2 RTP/AVP 96", MulticastGroup("239.1.2.3", (5000, 5001), ttl=64)),
        ("c=IN IP4 0.0.0.0\nm=video 5000 RTP/AVP 96\nc=IN IP6 ff15::7/3", MulticastGroup("ff15::7", (5000, 5001))),
        (
            "c=IN IP4 232.1.2.3/999\na=source-filter: incl IN IP4 * 10.0.0.7 10.0.0.8\nm=video 5000 RTP/AVP 96",
            MulticastGroup("232.1.2.3", (5000, 5001), ttl=255, sources=("10.0.0.7", "10.0.0.8")),
        ),
        (
            "a=source-filter:\nm=video 5000 RTP/AVP 96\nc=IN IP4 239.1.2.3\na=source-filter:incl IN",
            MulticastGroup("239.1.2.3", (5000, 5001)),
        ),
        (
            "a=source-filter: excl IN IP4 * 10.0.0.7\nm=video 5000 RTP/AVP 96\nc=IN IP4 239.1.2.3",
            MulticastGroup("239.1.2.3", (5000, 5001)),
        ),
    ],
)
def test_the_description_names_what_the_answer_does_not(description: str, expected: MulticastGroup) -> None:
    assert group("", description) == expected
    assert group(";destination=239.9.9.9;port=7000;ttl=2", description).ports == (7000, 7001)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7",
        "127.0.0.1",
        "255.255.255.255",
        "224.0.0.1",
        "224.0.0.251",
        "ff02::1",
        "ff01::1",
        "::1",
        "example.org",
    ],
)
def test_what_is_no_group_of_a_camera_s_is_refused(address: str) -> None:
    with pytest.raises(ProtocolError, match="multicast address"):
        group(f";destination={address};port=5000")


@pytest.mark.parametrize(("answer", "words"), [(";port=5000", "no multicast"), (";destination=239.1.1.1", "no port")])
def test_what_is_missing_is_named(answer: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        group(answer)
