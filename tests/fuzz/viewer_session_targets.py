"""Viewers' whole sessions as programs: what they send, in any order, media and time."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any

from OpenSSL import SSL

from broker.front.sdpfrag import check_fragment
from common import control
from common.errors import RequestError
from egress.media.stream import Stream
from egress.mux import Mux
from egress.negotiation import Negotiated, negotiate
from egress.sender import Sender
from egress.viewer import Viewer
from egress.wire.ice import AMPLIFICATION, Address, Credentials, Path
from egress.wire.port import UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM
from egress.wire.srtp import GcmKeys
from egress.wire.stun import binding_success
from rigs.browser import PASSWORD
from tests.fakes.media import audio, gop_stream
from tests.fakes.session import viewer_of
from tests.fuzz.egress_targets import BROWSER, FEEDBACK, OFFERS, QuickBrowser, check
from tests.fuzz.target import SESSION, Program, Target, repeated, string

ADDRESSES: tuple[Address, ...] = (
    ("192.0.2.1", 5000),
    ("192.0.2.1", 5001),
    ("198.51.100.7", 9),
    ("2001:db8::7", 5000, 0, 0),
)


@lru_cache(maxsize=8)
def negotiated(offer: str) -> Negotiated:
    """The offers that most sessions begin with are read once: to read them is a target of its own."""
    return negotiate(offer, [])


class PlainAssociation:
    """Stands in for ``DtlsServer``: connected by the first datagram, and nothing is encrypted."""

    failure = ""
    over = connected = doubted = False

    def __init__(self) -> None:
        self.srtp = PLAIN_SRTP

    def receive(self, datagram: bytes) -> bool:
        self.connected, self.over = True, datagram[:1] == b"\x15"
        return True

    def repeat(self) -> None:
        pass

    def retransmit(self, now: float) -> None:
        pass

    def close(self) -> None:
        self.over = True


class PlainSrtp:
    """Stands in for ``Srtp``."""

    profile = SRTP_AEAD_AES_128_GCM

    def __init__(self) -> None:
        self.gcm_keys = GcmKeys(self.profile, bytes(28), compiled=False)

    def protect_rtcp(self, packet: bytes) -> bytes:
        return packet

    protect_rtp = unprotect_rtcp = protect_rtcp


PLAIN_SRTP = PlainSrtp()


class ViewerSessions:
    """Up to three viewers of one camera at the port that ``egress.worker`` drives over sockets."""

    def __init__(self, *, encrypted: bool) -> None:
        self.now = 1_000.0
        self.encrypted = encrypted
        self.stream = Stream("door", lambda: None)
        self.mux = Mux()
        self.viewers: list[tuple[Viewer, QuickBrowser]] = []
        self.behind: list[Sender] = []
        self.checked: set[Address] = set()  # addresses from which somebody has shown to know a password …
        self.proved: set[Address] = set()  # … and that somebody receives there
        self.bytes_in: Counter[Address] = Counter()
        self.bytes_out: Counter[Address] = Counter()
        self.sent: list[tuple[bytes, Address]] = []
        self._media = gop_stream(gop=5, size=40)
        self._sounds = 0
        sock = SimpleNamespace(sendto=self._send, sendmsg=lambda parts, *rest: self._send(b"".join(parts), rest[-1]))
        self.socket: Any = SimpleNamespace(socket=sock, family=socket.AF_INET, gso=False, blocked=0, failed=0)
        self.socket.way = partial(UdpTarget, self.socket)

    def _send(self, datagram: bytes, remote: Address) -> None:
        assert remote in self.checked, "nothing goes where no check has come from"
        self.bytes_out[remote] += len(datagram)
        if remote not in self.proved:
            assert not 128 <= datagram[0] < 192, "media goes where somebody has shown that it receives"
            assert self.bytes_out[remote] <= AMPLIFICATION * self.bytes_in[remote]
        self.sent.append((bytes(datagram), remote))

    def offer(self, offer: str) -> None:
        """Somebody new. Raises ``RequestError``."""
        name, behind = f"s{len(self.viewers)}", self.behind.append
        viewer = viewer_of(negotiated(offer), self.stream, name, on_behind=behind, now=self.now)
        browser = QuickBrowser() if self.encrypted else BROWSER
        if not self.encrypted:
            viewer.reach.dtls = PlainAssociation()  # type: ignore[assignment]
        self.mux.add(viewer)
        self.viewers.append((viewer, browser))

    def receive(self, datagram: bytes, remote: Address) -> None:
        if datagram:
            self.bytes_in[remote] += len(datagram)
            self.mux.receive(datagram, Path(remote), self.socket, self.now, int(self.now * 1e9), 0.0)

    def play(self, count: int) -> None:
        for _ in range(count):
            sound = audio(self._sounds)
            self._sounds += 1
            for batch in (next(self._media), sound):
                self.stream.incoming.receive(batch._replace(arrival_ns=0), now=self.now, unix_ns=0)
        behind, self.behind = self.behind, []
        for sender in behind:
            sender.catch_up(self.now)

    def sweep(self, seconds: float) -> None:
        """As the worker's sweep does it."""
        self.now += seconds
        reported: list[control.ViewerReport] = []
        for each in tuple(self.viewers):
            viewer = each[0]
            if self.now >= viewer.due:
                viewer.sweep(now=self.now, unix_ns=int(self.now * 1e9))
            self.mux.keep_consent(viewer, self.now)
            reported.append(viewer.report(self.now))
            if viewer.ended:
                self.leave(each)
        if reported:
            report = control.Report("out-1", control.Role.EGRESS, "1", viewers=tuple(reported))
            assert len(_read(report).viewers) == len(reported), "a report of ours is valid, all of it"
        assert len(self.mux._by_address) <= 17 * len(self.viewers) + 1
        assert len(self.mux._by_ufrag) <= 2 * len(self.viewers)

    def answer_checks(self, remote: Address) -> None:
        """The browser at this address answers the checks that were sent there."""
        sent, self.sent = self.sent, []
        for datagram, to in sent:
            if to == remote and datagram[:2] == b"\0\1":
                self.proved.add(remote)
                host, port = remote[:2]
                self.receive(binding_success(datagram[8:20], PASSWORD.encode(), host, port), remote)

    def leave(self, each: tuple[Viewer, QuickBrowser]) -> None:
        self.viewers.remove(each)
        self.mux.remove(each[0])
        each[0].close(unix_ns=int(self.now * 1e9))


def watch(data: bytes, *, encrypted: bool) -> None:
    """Viewers' sessions: offer, ICE and its restarts, DTLS, RTCP, trickle, leave, media and time, in any order."""
    program = Program(data)
    sessions = ViewerSessions(encrypted=encrypted)
    while program:
        what, where = program.byte(), program.byte()
        remote = ADDRESSES[where & 3]
        each = sessions.viewers[(where >> 2) % len(sessions.viewers)] if sessions.viewers else None
        match what & 15:
            case 0 if len(sessions.viewers) < 3:
                with contextlib.suppress(RequestError):
                    sessions.offer(OFFERS[where % 3].decode())
            case 1 if len(sessions.viewers) < 3:
                with contextlib.suppress(RequestError):
                    sessions.offer(OFFERS[0].decode() + program.string().decode("utf-8", "replace"))
            case 2 | 3 if each:
                agent = each[0].reach.agent
                generation = agent.former if what & 192 == 64 and agent.former is not None else agent.current
                sessions.checked.add(remote)
                extra = program.string() if what & 16 else b""
                request = check(
                    generation.ufrag,
                    generation.password,
                    nominate=bool(what & 32),
                    controlled=what & 192 == 192,
                    extra=extra[: len(extra) // 4 * 4],
                )
                sessions.receive(request, remote)
            case 4 | 5 if each:
                browser = each[1]
                sessions.proved.add(remote)  # once the handshake is over
                if not sessions.encrypted:
                    sessions.receive(b"\x16", remote)
                    continue
                with contextlib.suppress(SSL.Error):
                    browser.start_dtls() if not browser.connected else None
                for datagram in filter(None, browser.take()):
                    changed = bytearray(datagram)
                    if what & 32:
                        changed[program.byte() % len(changed)] ^= 1 + (where >> 4)
                    sessions.receive(bytes(changed), remote)
                back, sessions.sent = sessions.sent, []
                for datagram, to in back:
                    if to == remote and 20 <= datagram[0] < 64:
                        with contextlib.suppress(SSL.Error):
                            browser.receive(datagram)
            case 6 | 7 if each:
                feedback = (
                    _about(each[0], program.string()) if what & 16 else _about(each[0], FEEDBACK[where % len(FEEDBACK)])
                )
                if sessions.encrypted and each[1].connected:
                    with contextlib.suppress(Exception):  # libsrtp takes no packet that is none
                        feedback = each[1].protect_rtcp(feedback)
                sessions.receive(feedback, remote)
            case 8:
                sessions.receive(program.string(), remote)
            case 9 | 10:
                sessions.sweep((where / 16) ** 2 / 4)
            case 12:
                sessions.answer_checks(remote)
            case 11:
                sessions.play(where % 4)
            case 13 if each and what & 16:
                each[0].restart(Credentials(f"again{where}", PASSWORD.encode()), sessions.now)
                sessions.mux.restarted(each[0])
            case 13 if each:
                sessions.leave(each)
            case 14:
                with contextlib.suppress(RequestError):
                    check_fragment(program.string().decode("utf-8", "replace"))
            case 15:
                sessions.stream.incoming.start(sessions.now)
                sessions.stream.incoming.receive_replay([], now=sessions.now)
    sessions.sent.clear()
    sessions.sweep(0.5)


def _read(report: control.Report) -> control.Report:
    """A report as the broker has it."""
    message = control.decode_for_broker(control.encode(report))
    assert isinstance(message, control.Report)
    assert not message.partial
    return message


def _about(viewer: Viewer, feedback: bytes) -> bytes:
    """Feedback about what this viewer is sent: SSRC 2 stands for the picture's."""
    ssrcs = list(viewer.senders)
    return feedback.replace(b"\0\0\0\2", ssrcs[0].to_bytes(4)) if ssrcs else feedback


_VIEWER = b"\0\0\x22\0\x0c\0" + b"\4\0" * 4 + b"\x0b\7"

TARGETS = [
    Target(
        "viewer-session",
        "whole sessions of viewers: offer, ICE and its restarts, DTLS, RTCP, trickle, leave, and time",
        lambda data: watch(data, encrypted=True),
        (
            _VIEWER + b"".join(bytes((6, n)) for n in range(8)) + b"\x09\x20\x0d\0",
            b"\0\1\x22\0\x22\1\4\1\x24\1\xff\4\1\x0b\3\x22\2\x0a\xff\x0a\xff",
            _VIEWER + b"\x1d\0\x42\0\x22\1\x0c\1\x22\1\x1d\1\x0b\3\x0a\xff",
            _VIEWER + b"\x0b\4\x16\0" + string(FEEDBACK[1]) + b"\x08\0" + string(b"\x80\xc9" + bytes(30)) + b"\x09\x80",
        ),
        grow={
            "feedback": repeated(b"\6\2", _VIEWER),
            "checks": repeated(b"\x22\1", _VIEWER),
            "sweeps": repeated(b"\x09\4", _VIEWER),
        },
        most=256,
        bound=1_024,
        slow=SESSION,
    ),
    Target(
        "viewer-feedback",
        "the same without encryption, which takes the longest of all",
        lambda data: watch(data, encrypted=False),
        (
            _VIEWER + b"".join(bytes((6, n)) for n in range(7)) + b"\x0b\4\x09\x20\x0d\0",
            b"\0\0\0\1\x22\0\x22\5\4\0\4\5\x0b\4\x06\0\x0a\x20\x06\1\x06\6\x0d\4\x0a\xff",
            _VIEWER + b"".join(b"\x16\0" + string(packet) for packet in FEEDBACK[:6]) + b"\x0a\x40",
            b"\1\0"
            + string(b"a=x\r\n")
            + b"\x0e\0"
            + string(b"a=candidate:1\n")
            + b"\x32\0"
            + string(b"\0\x24\0\4" + bytes(4)),
        ),
        grow={
            "feedback": repeated(b"\6\1\x0b\1", _VIEWER),
            "checks": repeated(b"\x22\1", _VIEWER),
            "sweeps": repeated(b"\x09\4", _VIEWER),
            "media": repeated(b"\x0b\7", _VIEWER),
        },
        most=512,
        bound=4_096,
        slow=SESSION,
    ),
]
