"""One viewer: ICE, DTLS, SRTP and RTCP of one peer connection.

The engine hands in datagrams and the time, and sends what comes back. RTP in order never gets here: the engine counts
it itself and calls ``inspect`` for the packets that are to be decrypted.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from rigs.load import rtcp, sdp
from rigs.load.dtls import Dtls, DtlsError, Identity, Keys
from rigs.load.feedback import Feedback
from rigs.load.ice import Address, IceAgent
from rigs.load.rtp import HEADER, Stream, payload_of, starts_h264_keyframe
from rigs.load.stun import StunError

CONNECT_TIMEOUT = 15.0  # seconds from the answer to DTLS
REPORT_INTERVAL = 1.0  # seconds between receiver reports
TAIL = 24  # last bytes of a frame by which it is recognised on its way

_PROFILES = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}

Out = list[tuple[bytes, Address]]


class State(Enum):
    """How far a viewer has come."""

    SIGNALLING = auto()
    CHECKING = auto()  # ICE
    SHAKING = auto()  # DTLS
    CONNECTED = auto()
    CLOSED = auto()  # by us or by the peer, in an orderly way
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Options:
    """How viewers behave; the default is a browser's behaviour."""

    nack: bool = True
    twcc: bool = False  # transport-wide feedback where the server takes it up
    remb: int = 0  # bit/s that is reported as estimate every second; 0: none
    sample: int = 1000  # one packet in so many is decrypted and checked
    consent: float = 5.0  # seconds between consent checks; more often measures their round trips better
    tcp: bool = False  # by a TCP connection to the server's passive candidate (RFC 6544) and nothing else


@dataclass(slots=True, eq=False)
class Viewer:
    """A viewer. Times are monotonic seconds, 0.0 while the event has not come."""

    number: int
    socket: socket.socket
    identity: Identity
    options: Options
    agent: IceAgent
    state: State = State.SIGNALLING
    problem: str = ""
    streams: dict[int, Stream] = field(default_factory=dict)
    profile: str = ""
    started_at: float = 0.0
    answered_at: float = 0.0
    connected_at: float = 0.0
    first_packet_at: float = 0.0
    first_keyframe_at: float = 0.0
    corrupt: int = 0  # packets that failed authentication
    checked: int = 0  # packets that passed it
    stray: int = 0  # datagrams that are nothing we know
    shift: int | None = None  # RTP timestamp minus that of the camera, once a frame was recognised
    tails: list[tuple[bytes, int, float]] = field(default_factory=list)  # of frames to be recognised
    feedback: Feedback = field(init=False)
    _dtls: Dtls | None = None
    _receive: Session | None = None
    _send: Session | None = None
    _types: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    _originals: dict[int, int] = field(default_factory=dict)
    _report_due: float = 0.0

    def __post_init__(self) -> None:
        self.feedback = Feedback(1_000_000 + self.number, f"viewer-{self.number}", self.streams, self.options.remb)

    def describe(self, setup: str) -> sdp.Session:
        """Our transport for a description."""
        fingerprint = ("sha-256", self.identity.fingerprint)
        candidates = [] if self.options.tcp else [self.socket.getsockname()[:2]]
        return sdp.Session(self.agent.ufrag, self.agent.password, fingerprint, setup, candidates=candidates)

    def connect(self, remote: sdp.Session, we_are_server: bool, now: float) -> Out:
        """Both descriptions are known: begin with ICE."""
        self.answered_at = now
        self._types = remote.payload_types()
        self._originals = {pt: apt for media in remote.media for pt, apt in media.rtx.items()}
        if self.options.twcc:
            self.feedback.twcc_id = next((m.extensions.get(sdp.TRANSPORT_CC, 0) for m in remote.media if m.accepted), 0)
        self._dtls = Dtls(self.identity, remote.fingerprint, server=we_are_server)
        family = self.socket.family
        offered = remote.passive if self.options.tcp else remote.candidates
        candidates = [(host, port) for host, port in offered if (":" in host) == (family == socket.AF_INET6)]
        if self.options.tcp:
            candidates = [self.socket.getpeername()[:2]]
        self.agent.set_remote(remote.ufrag, remote.password, candidates, now)
        self.state = State.CHECKING
        return self.agent.due(now)

    def receive_keys(self, keys: Keys, types: dict[int, tuple[str, str, int]], now: float) -> None:
        """Skip signalling, ICE and DTLS: somebody else agreed on the keys (the floor)."""
        self._types = types
        self._secure(keys, now)

    def datagram(self, data: bytes, source: Address, at_ns: int, now: float) -> Out:
        """Anything but RTP in order; returns what is to be sent."""
        first = data[0]
        try:
            if first < 4:
                return self._stun(data, source, now)
            if 20 <= first < 64 and self._dtls is not None:
                return self._dtls_record(data, now)
            if 128 <= first < 192 and len(data) >= 12 and self._receive is not None:
                if 192 <= data[1] < 224:  # RFC 5761 4
                    self._rtcp(data, now)
                    return []
                return self._rtp(data, at_ns, now)
        except StunError:
            pass
        except DtlsError as exc:
            self._fail(str(exc))
        self.stray += 1
        return []

    def due(self, now: float) -> Out:
        """Everything that time alone brings about: checks, retransmissions, reports, giving up."""
        out = self.agent.due(now)
        to = self.agent.nominated
        if self.state in (State.CHECKING, State.SHAKING):
            if now - self.answered_at > CONNECT_TIMEOUT:
                self._fail("no ICE path to the server" if self.state is State.CHECKING else "no answer to DTLS")
            elif self._dtls is not None and to is not None:
                out += [(data, to) for data in self._dtls.due()]
        elif self.state is State.CONNECTED and to is not None:
            if self.agent.expired(now):
                self._fail("consent expired: the server no longer answers")
            elif now >= self._report_due:
                assert self._send is not None
                self._report_due = now + REPORT_INTERVAL
                out.append((self._send.protect_rtcp(self.feedback.report(now)), to))
        return out

    def close(self) -> Out:
        """Hang up in an orderly way."""
        to, dtls = self.agent.nominated, self._dtls
        if self.state is not State.FAILED:
            self.state = State.CLOSED
        return [(data, to) for data in dtls.close()] if dtls is not None and to is not None else []

    def stream(self, ssrc: int, payload_type: int) -> Stream | None:
        """The stream of an SSRC, made when it appears; ``None`` for a payload type that was not negotiated."""
        stream = self.streams.get(ssrc)
        if stream is None and payload_type in self._types:
            kind, codec, rate = self._types[payload_type]
            kind = "rtx" if payload_type in self._originals else kind
            stream = self.streams[ssrc] = Stream(ssrc, kind, codec, rate, kind == "rtx" or bool(self.feedback.twcc_id))
        return stream

    def lost_packets(self, stream: Stream, count: int) -> Out:
        """The engine found ``count`` packets missing just now."""
        return self._nack(stream, list(stream.missing)[-count:])

    def repair(self) -> Out:
        """Ask once more for what is still missing; empty when there is nothing left to ask for."""
        out: Out = []
        for stream in self.streams.values():
            out += self._nack(stream, list(stream.missing))
        return out

    def inspect(self, stream: Stream, packet: bytes, now: float) -> None:
        """Decrypt and check one packet."""
        stream.sample_in = self.options.sample - 1
        if self._receive is None:
            return
        try:
            plain = self._receive.unprotect(packet)
        except SrtpError as exc:
            if "replay" not in str(exc):  # a packet that came twice or very late is not damaged
                self.corrupt += 1
            return
        self.checked += 1
        if stream.kind == "rtx":
            _repaired(self.streams.values(), self._originals, plain)
            return
        if stream.kind != "video":
            return
        payload = payload_of(plain)
        if not self.first_keyframe_at:
            if stream.codec != "h264" or starts_h264_keyframe(payload):
                self.first_keyframe_at = now
            else:
                stream.sample_in = 0
        if packet[1] & 0x80 and self.shift is None:
            self.tails.append((payload[-TAIL:], HEADER.unpack_from(packet)[3], now))

    def _stun(self, data: bytes, source: Address, now: float) -> Out:
        before = self.agent.nominated
        out = self.agent.receive(data, source, now)
        if before is None and self.agent.nominated is not None and self.state is State.CHECKING:
            self.state = State.SHAKING
            if not self.options.tcp:
                self.socket.connect(self.agent.nominated)
            if self._dtls is not None:
                out += [(flight, self.agent.nominated) for flight in self._dtls.start()]
        return out

    def _dtls_record(self, data: bytes, now: float) -> Out:
        assert self._dtls is not None
        flights = self._dtls.receive(data)
        if self._dtls.done and self.state is State.SHAKING:
            self._secure(self._dtls.keys(), now)
        if self._dtls.closed and self.state is State.CONNECTED:
            self.state, self.problem = State.CLOSED, "closed by the server"
        to = self.agent.nominated
        return [(flight, to) for flight in flights] if to is not None else []

    def _secure(self, keys: Keys, now: float) -> None:
        profile = _PROFILES[keys.profile]
        self._receive = Session(Policy(keys.remote, ssrc_type=Policy.SSRC_ANY_INBOUND, srtp_profile=profile))
        self._send = Session(Policy(keys.local, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
        self.profile = keys.profile
        self.connected_at, self._report_due = now, now + REPORT_INTERVAL
        self.state = State.CONNECTED

    def _rtp(self, data: bytes, at_ns: int, now: float) -> Out:
        """A packet that is not a plain continuation of its stream."""
        _first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        stream = self.stream(ssrc, second & 0x7F)
        if stream is None:
            self.stray += 1
            return []
        if not self.first_packet_at:
            self.first_packet_at = now
        holes = stream.add(sequence, timestamp, len(data), at_ns)
        stream.frames += second >> 7
        stream.sample_in -= 1
        if stream.sample_in < 0 or stream.kind == "rtx":
            self.inspect(stream, data, now)
        if self.feedback.twcc_id:
            self.feedback.collect(data, at_ns)
        return self.lost_packets(stream, holes) if holes else []

    def _rtcp(self, data: bytes, now: float) -> None:
        assert self._receive is not None
        try:
            plain = self._receive.unprotect_rtcp(data)
        except SrtpError:
            self.corrupt += 1
            return
        for report in rtcp.sender_reports(plain):
            stream = self.streams.get(report.ssrc)
            if stream is not None:
                stream.report_ntp, stream.report_timestamp, stream.report_at = report.ntp, report.timestamp, now

    def _nack(self, stream: Stream, numbers: list[int]) -> Out:
        to = self.agent.nominated
        if not self.options.nack or stream.kind != "video" or to is None or self._send is None:
            return []
        compound = self.feedback.nack(stream, numbers)
        return [(self._send.protect_rtcp(compound), to)] if compound else []

    def _fail(self, problem: str) -> None:
        self.state, self.problem = State.FAILED, problem


def _repaired(streams: Iterable[Stream], originals: Mapping[int, int], plain: bytes) -> None:
    """RFC 4588 4: the payload of a retransmission starts with the original sequence number."""
    payload = payload_of(plain)
    if originals.get(plain[1] & 0x7F) is None or len(payload) < 2:
        return
    if (video := next((stream for stream in streams if stream.kind == "video"), None)) is not None:
        video.retransmitted(int.from_bytes(payload[:2], "big"))
