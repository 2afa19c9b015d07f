"""Broken set-ups, each with the link that is named for it and a word of the sentence that mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.director.events import EndReason
from broker.why.evidence import CameraEvidence, Evidence, PageReport, Pair
from broker.why.links import BrokenLink
from broker.why.verdict import facts, judge
from common.cameras import CameraName, CameraState
from common.control import Handshake, Tried, ViewerReport, ViewerState
from common.sessions import SessionName

YARD = CameraName("yard")
OURS = ("192.168.1.5:8189", "192.168.1.5:8189 tcp")
PUBLIC = ("203.0.113.9:8189", "203.0.113.9:8189 tcp")  # of documentation, which Python calls private
GLOBAL = ("9.9.9.9:8189", "9.9.9.9:8189 tcp")
HERE = "198.51.100.7"


def seen(state: CameraState = CameraState.PLAYING, detail: str = "", video: str = "H264") -> CameraEvidence:
    return CameraEvidence(state, state.sentence, detail, video)


def connecting(*offered: str, heard: tuple[str, ...] = (), at: tuple[str, ...] = (), **more: Any) -> ViewerReport:
    tried = Tried(offered, heard, at, more.get("handshake", Handshake.NONE))
    return ViewerReport(SessionName("s"), YARD, ViewerState.CONNECTING, tried=tried)


def connected(**more: Any) -> ViewerReport:
    fields = (
        {"remote": f"{HERE}:5000", "transport": "udp", "video": "H264", "packets": 900, "lost": 3}
        | {"round_trip": 0.02}
        | more
    )
    return ViewerReport(SessionName("s"), YARD, ViewerState.CONNECTED, **fields)


def page(**more: Any) -> PageReport:
    fields = {"state": "connecting", "local": ("host udp x.local:5000",)} | more
    return PageReport(**fields)


FINE = Evidence("0123", YARD, 20.0, 10.0, "egress-0", HERE, seen(), connected(), page(octets=9, received=9, decoded=9))
ENDED = "ended_by_egress"
FAILED_PAIR = Pair("host udp x.local:5000", "host udp 192.168.1.5:8189", "failed")

CASES = {
    "a tunnel's MTU": (
        {"report": connected(lost=300, datagram=480), "page": page(octets=9)},
        BrokenLink.PATH,
        "about 508 bytes",
    ),
    "a tunnel's MTU, by WHEP": (
        {"report": connected(lost=300, datagram=480), "page": None},
        BrokenLink.PATH,
        "a small MTU",
    ),
    "a tunnel's MTU, by IPv6": (
        {"report": connected(lost=300, datagram=480, remote="[2001:db8::7]:5000"), "page": page(octets=9)},
        BrokenLink.PATH,
        "about 528 bytes",
    ),
    "a tunnel's MTU, and every picture is large": (
        {"report": connected(round_trip=None, datagram=480), "page": page()},
        BrokenLink.PATH,
        "a small MTU",
    ),
    "the same by WHEP": (
        {"report": connected(round_trip=None, datagram=480), "page": None},
        BrokenLink.PATH,
        "a small MTU",
    ),
    "a tunnel's MTU, and the path is left alone": (
        {"report": connected(datagram=480, waiting="for the viewer's path, which seems to be stuck"), "page": None},
        BrokenLink.PATH,
        "a small MTU",
    ),
    "large ones are lost, and few": ({"report": connected(datagram=480), "page": None}, BrokenLink.NONE, "arrive"),
    "all is well": ({}, BrokenLink.NONE, "has decoded 9 pictures"),
    "wrong camera password": (
        {"seen": seen(CameraState.UNAUTHORIZED), "report": connected(packets=0)},
        BrokenLink.CAMERA,
        "user name or password",
    ),
    "camera unplugged": (
        {"seen": seen(CameraState.UNREACHABLE, "no route to 10.0.0.9")},
        BrokenLink.CAMERA,
        "10.0.0.9",
    ),
    "camera removed": ({"seen": None}, BrokenLink.CAMERA, "no camera yard"),
    "camera starts yet": (
        {"seen": seen(CameraState.CONNECTING), "report": connecting(*OURS)},
        BrokenLink.CAMERA,
        "Connecting",
    ),
    "camera without keyframes": (
        {"report": connected(packets=0, waiting="for a keyframe")},
        BrokenLink.CAMERA,
        "keyframe",
    ),
    "camera stands still": ({"report": connected(waiting="for the camera")}, BrokenLink.CAMERA, "sends nothing"),
    "camera with only sound": ({"seen": seen(video="")}, BrokenLink.CAMERA, "only sound"),
    "no converter": (
        {"seen": seen(video="H265"), "report": connected(video="not negotiated")},
        BrokenLink.CODEC,
        "H265",
    ),
    "no codec at all": (
        {"report": None, "refused": True, "over": True, "code": "no_usable_codec", "reason": "No codec."},
        BrokenLink.CODEC,
        "No codec.",
    ),
    "no room": (
        {"report": None, "refused": True, "over": True, "code": "limit_sessions", "reason": "Full (limits.sessions)."},
        BrokenLink.OFFER,
        "limits.sessions",
    ),
    "no egress": (
        {"report": None, "refused": True, "over": True, "code": "no_egress", "reason": "No egress process."},
        BrokenLink.SERVER,
        "No egress process",
    ),
    "egress killed": (
        {"over": True, "code": "worker_lost", "reason": "The process no longer answers."},
        BrokenLink.SERVER,
        "no longer answers",
    ),
    "egress silent": ({"report": None}, BrokenLink.SERVER, "not reported"),
    "right taken": (
        {"over": True, "code": "right_ended", "reason": "The right was taken back."},
        BrokenLink.OFFER,
        "right",
    ),
    "no address": ({"report": connecting(), "page": None}, BrokenLink.ADDRESSES, "media.advertise"),
    "egress of an older version": (
        {"report": ViewerReport(SessionName("s"), YARD, ViewerState.CONNECTING), "page": None},
        BrokenLink.WAY_IN,
        "does not say",
    ),
    "behind NAT without advertise": (
        {"address": "8.8.8.8", "report": connecting(*OURS), "page": page(pairs=(FAILED_PAIR,))},
        BrokenLink.ADDRESSES,
        "forward the ports",
    ),
    "ports published, and media's not": (
        {"address": "", "report": connecting("172.17.0.2:8189"), "page": page(host="192.168.1.5")},
        BrokenLink.ADDRESSES,
        "name it in media.advertise",
    ),
    "the page came from what was offered": (
        {"address": "", "report": connecting(*OURS), "page": page(host="192.168.1.5")},
        BrokenLink.WAY_IN,
        "TURN server",
    ),
    "the page came from a name": (
        {"address": "", "report": connecting(*OURS), "page": page(host="cams.example.org")},
        BrokenLink.WAY_IN,
        "TURN server",
    ),
    "the page came from this machine": (
        {"address": "", "report": connecting(*OURS), "page": page(host="[::1]")},
        BrokenLink.WAY_IN,
        "TURN server",
    ),
    "ports closed": (
        {"address": "8.8.8.8", "report": connecting(*GLOBAL), "page": page(), "over": True, "code": ENDED},
        BrokenLink.WAY_IN,
        "docs/networks.md",
    ),
    "ports closed at home": (
        {"address": "", "report": connecting(*OURS), "page": None},
        BrokenLink.WAY_IN,
        "TURN server",
    ),
    "UDP blocked and TCP off": ({"report": connecting(OURS[0]), "page": page()}, BrokenLink.WAY_IN, "media.tcp: off"),
    "wrong TURN secret": (
        {"report": connecting(*OURS), "page": page(errors=("turn:t.example: 401 Unauthorized",))},
        BrokenLink.WAY_IN,
        "static-auth-secret",
    ),
    "WebRTC kept from networks": (
        {"report": connecting(*OURS), "page": page(local=())},
        BrokenLink.BROWSER,
        "extension",
    ),
    "nothing gets out": (
        {"report": connecting(*OURS, heard=("8.8.8.8:5000",))},
        BrokenLink.WAY_OUT,
        "lets nothing out",
    ),
    "DTLS dropped": (
        {"report": connecting(*OURS, heard=("8.8.8.8:5000",), at=("8.8.8.8:5000",))},
        BrokenLink.HANDSHAKE,
        "never began",
    ),
    "large packets dropped": (
        {"report": connecting(*OURS, heard=("8.8.8.8:5000",), handshake=Handshake.BEGUN)},
        BrokenLink.HANDSHAKE,
        "MTU",
    ),
    "no way chosen": (
        {"report": connecting(*OURS, heard=("8.8.8.8:5000",), handshake=Handshake.DONE)},
        BrokenLink.HANDSHAKE,
        "chose no path",
    ),
    "media dropped": ({"page": page(octets=0)}, BrokenLink.PATH, "nothing arrives"),
    "line too lossy": ({"page": page(octets=9, received=0)}, BrokenLink.PATH, "no picture is complete"),
    "line stuck": (
        {"report": connected(waiting="for the viewer's path, which seems to be stuck")},
        BrokenLink.PATH,
        "streams.sub",
    ),
    "decoder missing": ({"page": page(octets=9, received=7)}, BrokenLink.BROWSER, "cannot decode"),
    "it has just begun": ({"at": 11.0, "report": connecting(*OURS)}, BrokenLink.NONE, "connecting for 1.0 s"),
    "it did not wait": (
        {"at": 11.0, "report": None, "over": True, "code": "left", "reason": "The viewer left."},
        BrokenLink.NONE,
        "left after 1.0 s",
    ),
    "player by WHEP": ({"page": None}, BrokenLink.NONE, "arrived: its receiver reports 3 as lost"),
    "player by WHEP just joined": (
        {"page": None, "at": 13.0, "report": connected(round_trip=None)},
        BrokenLink.NONE,
        "900",
    ),
    "player by WHEP without media": ({"page": None, "report": connected(round_trip=None)}, BrokenLink.PATH, "MTU"),
    "player by WHEP on a bad line": (
        {"page": None, "report": connected(lost=400)},
        BrokenLink.PATH,
        "400 of them as lost",
    ),
    "player by WHEP without a decoder": (
        {"page": None, "report": connected(plis=9)},
        BrokenLink.BROWSER,
        "cannot decode",
    ),
    "player by WHEP that was idle": ({"page": None, "report": connected(packets=0)}, BrokenLink.NONE, "0 packets"),
    "page by its own port": (
        {"page": None, "report": connected(transport="websocket", round_trip=None)},
        BrokenLink.NONE,
        "900 fragments",
    ),
    "nothing sent yet": ({"report": connected(packets=0)}, BrokenLink.NONE, "Nothing has gone"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_broken_link_is_named(case: str) -> None:
    change, link, words = CASES[case]
    verdict = judge(replace(FINE, **change))
    assert verdict.link is link, verdict
    assert words in f"{verdict.sentence} {verdict.advice}", verdict


@pytest.mark.parametrize("reason", EndReason)
def test_each_reason_of_ours_to_end_a_session_is_told_as_it_is(reason: EndReason) -> None:
    """Unless its egress says why, it has nothing to do with what was seen before."""
    verdict = judge(replace(FINE, report=None, over=True, code=reason, reason=reason.sentence))
    assert (verdict.sentence == reason.sentence) == (reason is not EndReason.EGRESS)


def test_both_sides_are_told() -> None:
    report = connecting(*PUBLIC, heard=("8.8.8.8:5000",), at=("8.8.8.8:5000",), handshake=Handshake.BEGUN)
    side = page(pairs=(FAILED_PAIR,), errors=("turn:t.example: 701 timed out",))
    told = "\n".join(facts(replace(FINE, report=report, page=side, over=True, code="left", reason="The viewer left.")))
    for words in (
        f"the offer came from {HERE}",
        "over: The viewer left.",
        "we offered 203.0.113.9:8189, 203.0.113.9:8189 tcp",
        "checks came from 8.8.8.8:5000",
        "answered ours at 8.8.8.8:5000",
        "handshake: begun",
        "tried host udp x.local:5000 → host udp 192.168.1.5:8189: failed",
        "could not use turn:t.example: 701 timed out",
    ):
        assert words in told
    assert "900 packets, 3 lost" in "\n".join(facts(FINE))
