"""Viewers' offers, STUN, DTLS and SRTCP, and media from the bus on its way to them."""

from __future__ import annotations

import contextlib
import hmac
import struct
from functools import cache, cached_property

from OpenSSL import SSL

from common.control import Offer
from common.errors import ProtocolError, RequestError
from common.media import Kind, Track, decode_frame, encode_batch, live_topic
from egress import negotiation
from egress.answer import TransportDescription, write_answer
from egress.media.feed import Source
from egress.media.stream import Stream
from egress.negotiation import UNKNOWN, negotiate
from egress.wire import rtcp
from egress.wire.certificate import Certificate
from egress.wire.dtls import DtlsServer, Identity
from egress.wire.port import _read_ancillary
from egress.wire.stun import BINDING_RESPONSES, BindingRequest, BindingResponse, binding_success, kind_of
from rigs.browser import CHROME_PROFILES, Browser, audio_section, video_section
from tests.fakes.media import audio, gop_stream, video
from tests.fuzz.common_targets import LIVE, REPLAY
from tests.fuzz.target import Program, Target, repeated, string

PASSWORD = b"a password of 22 chars"
IDENTITY = Identity(compiled=False)
TRANSPORT = TransportDescription("ours", "password", "sha-256 AB:CD", (("192.0.2.1", 5000), ("2001:db8::1", 5000)))
SOURCES = {Kind.VIDEO: Source(1, 2), Kind.AUDIO: Source(3, 4)}
CAMERAS = (
    (),
    (Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"), Track(Kind.AUDIO, "PCMU", 8_000)),
    (Track(Kind.VIDEO, "H264", 90_000, profile="64001f"), Track(Kind.AUDIO, "opus", 48_000, 2)),
    (Track(Kind.VIDEO, "H265", 90_000, problem="H265 cannot be forwarded yet"),),
)


@cache
def certificate() -> Certificate:
    """One for all browsers: making one takes longer than most inputs."""
    return Certificate()


class QuickBrowser(Browser):
    """A browser without a certificate of its own."""

    def __post_init__(self) -> None:
        self.certificate = certificate()

    @cached_property
    def ssl(self) -> SSL.Connection:
        """OpenSSL's part, made when it is first asked for: most that make an offer send no DTLS."""
        connection = SSL.Connection(_context())
        connection.set_connect_state()
        return connection


@cache
def _context() -> SSL.Context:
    return certificate().context(profile.name for profile in CHROME_PROFILES)


BROWSER = QuickBrowser()
OFFERS = tuple(
    offer.encode()
    for offer in (
        BROWSER.offer(),
        BROWSER.offer(audio_section("0", codecs=("PCMU", "PCMA", "G722")), video_section("1", h264={"640c1f": 98})),
        BROWSER.offer(video_section(), bundle=False),
        BROWSER.offer(video_section(), setup="active").replace("a=mid", "a=bundle-only\r\na=mid"),
    )
)
SDP_WORDS = (
    b"\r\nm=video 9 UDP/TLS/RTP/SAVPF ", b"\r\na=group:BUNDLE ", b"\r\na=mid:", b"\r\na=rtpmap:",
    b" H264/90000", b"\r\na=fmtp:", b"\r\na=rtcp-fb:* nack", b"\r\na=extmap:3 ",
    b"\r\na=setup:", b"\r\na=fingerprint:sha-256 ", b"\r\na=ice-ufrag:",
    b"\r\na=candidate:", b"\r\na=ssrc:", b"\r\na=simulcast:", b"\r\na=rid:", b"packetization-mode=1", b"apt=",
    b"\r\nc=IN IP4 ", b"\r\na=sctp-port:", b"\r\na=bundle-only", b"\r\na=rtcp-mux", b"\r\na=recvonly",
)  # fmt: skip


def answer_offer(data: bytes) -> None:
    """As egress does it, for cameras of all sorts: what is left is an answer or a refusal in words."""
    if not data:
        return
    tracks = CAMERAS[data[0] % len(CAMERAS)]
    negotiation._negotiate.cache_clear()  # what is timed is the parsing
    offer = Offer("s1", "door", data[1:].decode("utf-8", "replace"), tracks)
    negotiated = negotiate(offer.sdp, offer.tracks)
    for section in negotiated.sections:
        for track in tracks or UNKNOWN[section.kind]:
            section.choose(track.codec, track.profile)
    write_answer(negotiated, TRANSPORT, SOURCES, "cname").encode()


def check(ufrag: str, password: str, *, nominate: bool = True, controlled: bool = False, extra: bytes = b"") -> bytes:
    """A connectivity check (RFC 8445 7.2.2) as a browser makes it."""
    name = f"{ufrag}:theirs".encode()
    attributes = struct.pack("!HH", 6, len(name)) + name + bytes(-len(name) % 4) + extra
    attributes += struct.pack("!HH", 0x25, 0) if nominate else b""
    attributes += struct.pack("!HHQ", 0x8029 if controlled else 0x802A, 8, 1)
    signed = struct.pack("!HHI12s", 1, len(attributes) + 24, 0x2112A442, b"transaction!") + attributes
    return signed + struct.pack("!HH", 8, 20) + hmac.digest(password.encode(), signed, "sha1")


def read_stun(data: bytes) -> None:
    kind = BindingResponse if kind_of(data) in BINDING_RESPONSES else BindingRequest
    assert not kind.parse(data).verify(b"a password that no input can know")


def read_candidates_addresses(data: bytes) -> None:
    program = Program(data)
    ancillary = []
    while program:
        ancillary.append((program.byte(), program.byte(), program.string()))
    with contextlib.suppress(struct.error):
        _read_ancillary(ancillary)


def _association() -> DtlsServer:
    return DtlsServer(IDENTITY, [certificate().fingerprint()], lambda _: None)


def read_records(data: bytes) -> None:
    """Datagrams at an association that has just begun."""
    program, association = Program(data), _association()
    now = 0.0
    while program:
        now += 0.1
        association.receive(program.string())
        association.retransmit(now)
    association.close()


@cache
def _hello() -> bytes:
    browser = QuickBrowser()
    browser.start_dtls()
    return browser.take()[0]


def shake_hands(data: bytes) -> None:
    """A handshake whose datagrams are lost, repeated, reordered and changed as the program says."""
    program, browser = Program(data), QuickBrowser()
    to_browser: list[bytes] = []
    association = DtlsServer(IDENTITY, [certificate().fingerprint()], to_browser.append)
    browser.start_dtls()
    for turn in range(24):
        for datagram in filter(None, browser.take()):
            how = program.byte()
            changed = bytearray(datagram)
            if how & 1:
                changed[program.number(2) % len(changed)] ^= program.byte()
            if not how & 2:
                association.receive(bytes(changed))
            if how & 4:
                association.receive(datagram)
        association.retransmit(turn / 4)
        for datagram in to_browser[:]:
            with contextlib.suppress(SSL.Error):  # the browser's own end of it
                browser.receive(datagram)
        to_browser.clear()
        if not program and browser.connected:
            break
    association.srtp.unprotect_rtcp(program.rest()) if association.connected else None
    association.close()


@cache
def _connected() -> DtlsServer:
    browser, to_browser = QuickBrowser(), list[bytes]()
    association = DtlsServer(IDENTITY, [certificate().fingerprint()], to_browser.append)
    browser.start_dtls()
    while not association.connected:
        for datagram in browser.take():
            association.receive(datagram)
        while to_browser:
            browser.receive(to_browser.pop(0))
    return association


def unprotect(data: bytes) -> None:
    assert _connected().srtp.unprotect_rtcp(data) is None, "nobody knows the key"


def receive_media(data: bytes) -> None:
    """Frames from the bus, live and cached, and what becomes of them in a stream."""
    program = Program(data)
    stream = Stream("door", lambda: None)
    now = 10.0
    while program:
        now += program.byte() / 16
        with contextlib.suppress(ProtocolError):
            frame = decode_frame(program.string())
            if frame.node is None:
                for batch in frame.batches:
                    stream.incoming.receive(batch, now=now, unix_ns=int(now * 1e9))
            else:
                stream.incoming.receive_replay(frame.batches, now=now)
    for feed in stream.feeds.values():
        0 <= feed.timeline.at(int(now * 1e9)) < 1 << 32  # noqa: B015


def _frames(*frames: bytes) -> bytes:
    return b"".join(b"\1" + string(frame) for frame in frames)


_MEDIA = [live_topic("door") + encode_batch(batch) for _, batch in zip(range(12), gop_stream(), strict=False)]
_SOUND = [live_topic("door") + encode_batch(audio(number)) for number in range(3)]

RECEIVER_REPORT = struct.pack("!BBHI", 0x81, 201, 7, 1) + struct.pack("!IIIIII", 2, 1 << 24, 3, 4, 5, 6)
NACK = struct.pack("!BBHII", 0x81, 205, 4, 1, 2) + struct.pack("!HHHH", 7, 0xFFFF, 9, 1)
PLI = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
FIR = struct.pack("!BBHII", 0x84, 206, 4, 1, 0) + struct.pack("!II", 2, 1 << 24)
REMB = struct.pack("!BBHII", 0x8F, 206, 5, 1, 0) + b"REMB" + struct.pack("!II", 0x01_0E_C3_50, 2)
ARRIVALS = (
    struct.pack("!BBHII", 0x8F, 205, 6, 1, 2) + struct.pack("!HHI", 9, 5, 1 << 8) + b"\x20\x05\1\2\3\4\5" + bytes(1)
)
BYE = struct.pack("!BBHI", 0x81, 203, 1, 1)
FEEDBACK = (RECEIVER_REPORT, NACK, PLI, FIR, REMB, ARRIVALS, BYE, RECEIVER_REPORT + NACK + PLI)

TARGETS = [
    Target(
        "offer",
        "a viewer's SDP offer, from anybody",
        answer_offer,
        tuple(bytes((n,)) + o for n, o in enumerate(OFFERS)),
        (RequestError,),
        SDP_WORDS,
        {
            "feedback of all": lambda size: (
                b"\2"
                + OFFERS[2]
                + b"".join(b"a=rtpmap:%d H264/90000\r\na=rtcp-fb:* x%d\r\n" % (n, n) for n in range(size // 50))
            ),
            "codecs": repeated(b"a=rtpmap:%d H264/90000\r\n", b"\2" + OFFERS[2]),
            "fmtp": repeated(b"a=fmtp:102 a%d=b\r\n", b"\2" + OFFERS[2]),
            "parameters": repeated(b"a%d=b;", b"\2" + OFFERS[2] + b"a=fmtp:102 ", b"\r\n"),
            "sections": repeated(b"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:%d\r\n", b"\2" + OFFERS[2]),
            "formats": repeated(b" 96", b"\2v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF", b"\r\n"),
            "candidates": repeated(b"a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n", b"\2" + OFFERS[2]),
            "fingerprints": repeated(b"a=fingerprint:sha-256 A%d\r\n", b"\2" + OFFERS[2]),
            "ssrcs": repeated(b"a=ssrc:%d cname:x\r\n", b"\2" + OFFERS[2]),
            "groups": repeated(b"a=group:BUNDLE 0\r\n", b"\2v=0\r\n", OFFERS[0]),
            "mids": repeated(b" %d", b"\2v=0\r\na=group:BUNDLE", b"\r\n" + OFFERS[0]),
            "extensions": repeated(b"a=extmap:%d x\r\n", b"\2" + OFFERS[2]),
            "blanks": repeated(b" ", b"\2v=0\r\nm=", b"\r\n"),
            "blank addresses": repeated(b" ", b"\2v=0\r\nc=", b"\r\n"),
            "line ends": repeated(b"\r", b"\2" + OFFERS[2]),
            "lines": repeated(b"\n", b"\2" + OFFERS[2]),
            "simulcast": repeated(b"a=rid:%d send\r\n", b"\2" + OFFERS[2]),
        },
    ),
    Target(
        "stun",
        "STUN at the media port, from anybody",
        read_stun,
        (
            check("ours", "x"),
            check("ours", "x", nominate=False, controlled=True),
            check("ours", "x", extra=b"\0\x24\0\4" + bytes(4)),
            binding_success(b"transaction!", b"x", "2001:db8::7", 9),
        ),
        (ProtocolError,),
        (b"\0\6\0\4a:b\0", b"\0\x08\0\x14", b"\x21\x12\xa4\x42", b"\x80\x28\0\4"),
        {
            "attributes": lambda size: (
                b"\0\1" + (size // 4 * 4).to_bytes(2) + b"\x21\x12\xa4\x42" + bytes(12) + b"\x80\x22\0\0" * (size // 4)
            ),
            "names": lambda size: check("a" * (size - 100), "x"),
        },
        most=512,
        bound=2_048,
    ),
    Target(
        "ancillary",
        "what the kernel says of a datagram",
        read_candidates_addresses,
        (b"\0\x08" + string(bytes(12)) + b"\x29\x32" + string(bytes(20)) + b"\1\x40" + string(bytes(16)),),
        most=256,
        bound=2_048,
        grow={"items": repeated(b"\0\x08\0\0")},
    ),
    Target(
        "dtls-records",
        "DTLS at the media port before a handshake, from an address that a check came from",
        read_records,
        (
            string(_hello()),
            string(_hello()[:100]) + string(_hello()),
            string(b"\x16\xfe\xfd" + bytes(30)),
            string(b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28"),
        ),
        words=(b"\x16\xfe\xff", b"\x16\xfe\xfd", b"\x14\xfe\xfd", b"\x15\xfe\xfd", b"\x17\xfe\xfd", b"\0\x0e\0\x04"),
        grow={
            "records": lambda size: (
                string(b"\x16\xfe\xfd" + bytes(8) + b"\0\0")
                + string((b"\x14\xfe\xfd" + bytes(8) + b"\0\0") * (size // 13))
            )
        },
        most=2_048,
        bound=2_048,
    ),
    Target(
        "dtls-handshake",
        "a whole DTLS handshake, changed on its way",
        shake_hands,
        (b"", b"\2\4\2\4", b"\1\0\x20\xff\0\4", b"\0\1\0\x50\1\4"),
        most=64,
        bound=64,
    ),
    Target(
        "srtcp",
        "SRTCP at the media port, from the address of a viewer",
        unprotect,
        (b"\x80\xc9" + bytes(30), b"\x81\xc8\0\7" + bytes(40)),
        most=1_600,
        bound=2_048,
        grow={"long": repeated(b"\x80\xc9\0\1")},
    ),
    Target(
        "rtcp",
        "RTCP, from a viewer",
        rtcp.parse,
        FEEDBACK,
        (ProtocolError,),
        (b"REMB", b"\x8f\xcd", b"\x81\xcd", b"\x8f\xce"),
        {
            "reports": repeated(RECEIVER_REPORT),
            "nacks": repeated(NACK),
            "losses": repeated(PLI),
            "requests": lambda size: (
                struct.pack("!BBHII", 0x84, 206, size // 4 - 1, 1, 0) + b"\0\0\0\2\1\0\0\0" * (size // 8)
            ),
            "empty ones": repeated(b"\x80\xc9\0\1\0\0\0\0"),
            "byes": repeated(b"\x80\xcb\0\0"),
            "arrivals": repeated(
                struct.pack("!BBHII", 0x8F, 205, 4, 1, 2) + struct.pack("!HHI", 9, 400, 0) + b"\x01\x90\0\0"
            ),
            "all arrived": lambda size: (
                struct.pack("!BBHII", 0x8F, 205, size // 4, 1, 2)
                + struct.pack("!HHI", 9, size // 2, 0)
                + b"\x3f\xff" * (size // 100)
                + b"\1" * size
            ),
        },
        most=1_500,
        bound=1_500,
    ),
    Target(
        "stream",
        "media from the bus, in a viewer's process",
        receive_media,
        (_frames(*_MEDIA), _frames(LIVE, REPLAY, *_SOUND), _frames(*_MEDIA[:2], *_MEDIA[4:], REPLAY)),
        words=(b"door\0", b"door@out-1\0", b"\x9a\1\xa5video\xa4H264", b"\xc4\1g", b"\xcf" + b"\xff" * 8),
        grow={
            "pending": lambda size: _frames(
                *[live_topic("door") + encode_batch(video(3 * n + 5, n, size=5)) for n in range(size // 90)]
            ),
            "keyframes": lambda size: _frames(
                *[live_topic("door") + encode_batch(video(3 * n, n, size=5, keyframe=True)) for n in range(size // 90)]
            ),
            "epochs": lambda size: _frames(
                *[
                    live_topic("door") + encode_batch(video(0, n, size=5, keyframe=True, epoch=n + 1))
                    for n in range(size // 90)
                ]
            ),
        },
    ),
]
