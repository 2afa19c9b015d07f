"""One RTSP session (RFC 2326) on one connection, from OPTIONS to TEARDOWN; no I/O.

The session is told what happened and returns what to do, as ``Action``s; time is an argument. It knows one transport,
UDP or TCP: falling back to the other is a new session, because cameras want a fresh DESCRIBE before a repeated SETUP,
and a fresh connection helps them too. It ends by raising ``CameraError``, once; all it can do after that is ``stop``.

    START → OPTIONS → DESCRIBE → SETUP (once a section) → PLAY → PLAYING → TEARDOWN → CLOSED

Each of the states between START and PLAYING has exactly one request under way. Its answer is taken by order, not by
``CSeq``, which some cameras get wrong; only where that was right so far, an answer that comes twice is known by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from common.cameras import CameraState
from common.errors import CameraError
from ingest import sdp
from ingest.quoting import quoted
from ingest.rtsp.auth import Pin
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.login import Login
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.plays import PlayRequest, Plays
from ingest.rtsp.remedies import unanswered
from ingest.rtsp.requests import Requests
from ingest.rtsp.rtp_info import Announced
from ingest.rtsp.setup import Asking, Setup, channels_for, refused
from ingest.rtsp.transport import Pair, TransportSpec
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control
from ingest.srtp.agreement import Agreement

REPLY_TIMEOUT = 10.0  # seconds: a Wi-Fi camera may stall that long and still be alive
HANDSHAKE_TIMEOUT = 20.0  # seconds from the connection to PLAY's answer, however many requests it takes

# RFC 2326 11.3.17 and 11.5.4: cameras that serve one session, or few, answer so to a further one.
_REFUSALS = {404: CameraState.NOT_FOUND, 410: CameraState.NOT_FOUND, 453: CameraState.FULL, 503: CameraState.FULL}
_REDIRECTS = {301, 302, 303, 305, 307, 308}
_PERHAPS_TLS = "the camera hung up at the first request; if its port speaks TLS, write rtsps:// instead of rtsp://"
_ASSUMED = frozenset({"GET_PARAMETER"})  # of a camera that was not asked what it understands
_LOGIN = {401, 403}
_NO_DESCRIPTION = "the camera's reply to DESCRIBE holds no session description; check the path in its URL"
_ENDED = "the camera ends the session when asked for it"
_FROM_NOW = ("Range", "npt=0-")  # RFC 2326 10.5; without a range some cameras send nothing


class SessionState(Enum):
    """The session's state, named after the request whose answer is awaited."""

    START = auto()
    OPTIONS = auto()
    DESCRIBE = auto()
    SETUP = auto()
    PLAY = auto()
    PLAYING = auto()
    TEARDOWN = auto()
    CLOSED = auto()


class SessionEvent(Enum):
    """The events that move the session on."""

    CONNECTED = auto()
    ANSWERED = auto()  # and no more requests of this kind are needed
    MORE = auto()  # answered, and there is another section to set up
    STOPPED = auto()  # by us, with something to tear down
    ENDED = auto()  # nothing is left to be said


_ALWAYS = {SessionEvent.ENDED: SessionState.CLOSED}

TRANSITIONS: dict[SessionState, dict[SessionEvent, SessionState]] = {
    SessionState.START: {SessionEvent.CONNECTED: SessionState.OPTIONS, **_ALWAYS},
    SessionState.OPTIONS: {SessionEvent.ANSWERED: SessionState.DESCRIBE, **_ALWAYS},
    SessionState.DESCRIBE: {SessionEvent.ANSWERED: SessionState.SETUP, **_ALWAYS},
    SessionState.SETUP: {
        SessionEvent.MORE: SessionState.SETUP,
        SessionEvent.ANSWERED: SessionState.PLAY,
        SessionEvent.STOPPED: SessionState.TEARDOWN,
        **_ALWAYS,
    },
    SessionState.PLAY: {
        SessionEvent.ANSWERED: SessionState.PLAYING,
        SessionEvent.STOPPED: SessionState.TEARDOWN,
        **_ALWAYS,
    },
    SessionState.PLAYING: {SessionEvent.STOPPED: SessionState.TEARDOWN, **_ALWAYS},
    SessionState.TEARDOWN: {SessionEvent.ANSWERED: SessionState.CLOSED, **_ALWAYS},
    SessionState.CLOSED: {**_ALWAYS},
}


_NOTHING_ASKED = {SessionState.START, SessionState.CLOSED}
# A request is under way, and nothing plays yet.
_AWAITING = {SessionState.OPTIONS, SessionState.DESCRIBE, SessionState.SETUP, SessionState.PLAY}


@dataclass(frozen=True, slots=True)
class Send:
    """Write this to the connection."""

    message: Request | Response


@dataclass(frozen=True, slots=True)
class BindPorts:
    """Open a pair of UDP ports for the section that is set up next, and tell ``bound``."""


@dataclass(frozen=True, slots=True)
class Punch:
    """Open the holes in firewalls on the way: every section is set up, PLAY comes next."""


@dataclass(frozen=True, slots=True)
class Playing:
    """PLAY was answered."""

    announced: tuple[Announced, ...] = ()  # by what the packets that play are known


Action = Send | BindPorts | Punch | Playing


class RedirectedError(CameraError):
    """The stream is elsewhere."""

    def __init__(self, location: str) -> None:
        super().__init__(CameraState.REJECTED, "the camera redirects elsewhere")
        self.location = location


@dataclass(slots=True, eq=False)
class RtspSession:
    """See the module's text. ``select`` picks the sections to set up, and raises ``CameraError`` if none is of use."""

    url: RtspUrl
    udp: bool
    select: Callable[[sdp.SessionDescription], Sequence[sdp.MediaSection]]
    pin: Pin = field(default_factory=Pin)
    keepalive: Keepalive = field(default_factory=Keepalive)  # what earlier sessions of the camera taught
    ssrc: int = 0  # of our reports
    multicast: bool = False  # UDP that is sent to a group is asked for
    state: SessionState = field(default=SessionState.START, init=False)
    setups: list[Setup] = field(default_factory=list, init=False)
    refused: dict[str, str] = field(default_factory=dict, init=False)  # kind: why the camera did not set it up
    server: str = field(default="", init=False)  # what the camera calls itself
    _login: Login = field(init=False, repr=False)
    _requests: Requests = field(init=False, repr=False)
    _base: RtspUrl = field(init=False)  # of the whole: for PLAY, keepalive and TEARDOWN
    _sections: list[sdp.MediaSection] = field(default_factory=list, init=False)
    _public: frozenset[str] = field(default=frozenset(), init=False)
    _plays: Plays = field(init=False, repr=False)
    _asking: Asking = field(init=False, repr=False)
    _reply_due: float | None = field(default=None, init=False)
    _handshake_due: float = field(default=0.0, init=False)
    _keepalive_due: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._login = Login(self.url, self.pin)
        self._requests = Requests(self._login)
        self._base = self.url

    @property
    def due(self) -> float | None:
        """When ``tick`` has to be called next, by monotonic time."""
        return self._keepalive_due if self.state is SessionState.PLAYING else self._reply_due

    def start(self, now: float) -> list[Action]:
        """The connection is there."""
        self._move(SessionEvent.CONNECTED)
        self._handshake_due = now + HANDSHAKE_TIMEOUT
        if self.pin.habits.skips_options:
            self._public = _ASSUMED
            return self._describe(now)
        return self._ask("OPTIONS", self.url, now)

    def bound(self, ports: Pair, now: float) -> list[Action]:
        """``BindPorts`` was done; RTP comes to the first port, RTCP to the second."""
        return self._setup(now, TransportSpec(tcp=False, client_port=ports))

    def receive(self, message: Request | Response, now: float) -> list[Action]:
        """The camera sent something. Raises ``CameraError`` if that ends the session."""
        if isinstance(message, Request):
            return [Send(_answer(message))]
        self.server = self.server or quoted(message.headers.get("Server") or "")
        if message.status < 200 or self.state in _NOTHING_ASKED or not self._requests.expects(message):
            return []
        challenges = message.headers.all("WWW-Authenticate")
        request, auth = self._requests.under_way, self._login.auth
        if message.status == 401 and request is not None and auth.challenged(challenges):
            return self._send(self._requests.again(request), now)
        if self.state is SessionState.TEARDOWN:
            self._move(SessionEvent.ANSWERED)
            return []
        if message.status == 401 and (auth.sent or self.state is not SessionState.OPTIONS):  # else DESCRIBE may be open
            if self.state is SessionState.PLAYING:
                return []  # the keepalive was refused; as long as media comes, that is enough
            raise self._login.refusal(challenges)
        if self.state in _AWAITING:
            rejection = self._requests.rejected(message, self.server)
            self._login.answered(message.status, rejection, options=self.state is SessionState.OPTIONS)
        auth.accepted()
        if self.state is SessionState.PLAYING:
            if message.status >= 400:
                self.keepalive.refused(self._requests.method)  # announced, and then refused: another from now on
            return []
        if message.status in _REDIRECTS and (location := message.headers.get("Location")):
            raise RedirectedError(location)
        return _HANDLERS[self.state](self, message, now)

    def tick(self, now: float, *, partial: bool = False, flowing: bool = False) -> list[Action]:
        """Keep the session alive. Raises ``CameraError`` for an overdue reply; ``partial``: a part of it is there;
        ``flowing``: media is, which says of PLAY what its reply would."""
        if self.due is None or now < self.due:
            return []
        if self.state is SessionState.PLAYING:
            self._keepalive_due = now + self._requests.keepalive_interval
            self.keepalive.sent(now)
            method = self.keepalive.method
            return self._ask(method, self._base, now) if method else []
        if self.state is SessionState.PLAY and flowing:
            return self._on_play(Response(200), now)
        method = self._requests.method or "the request"
        if partial:
            raise CameraError(CameraState.MALFORMED, f"the camera's reply to {method} did not end")
        self._requests.unanswered(_beside(self.setups, self._sections), now)
        detail = unanswered(method, None if self._requests.answered else self.url)
        raise self._login.unanswered(CameraState.UNANSWERED, detail)

    def lost(self, reason: str, now: float) -> CameraError:
        """The connection ended, and not by us: why, as far as it can be known."""
        if self.state in _AWAITING:
            method = self._requests.method
            self._requests.unanswered(_beside(self.setups, self._sections), now)
            if self._login.doubtful:
                detail = f"the camera hung up when {method} gave it the user name and password; check them"
                return self._login.unanswered(CameraState.CLOSED, detail)
            if self._requests.count == 1 and self.url.scheme == "rtsp" and not self.url.tunnel:
                return CameraError(CameraState.CLOSED, _PERHAPS_TLS)
            reason = reason or f"the camera hung up instead of answering {method}"
        return CameraError(CameraState.CLOSED, reason)

    def broke(self, now: float) -> None:
        """Learn from a session that the camera ended, or that is silent: what was said to keep it alive may be why."""
        if self.state is SessionState.PLAYING:
            self.keepalive.ended(now, self._requests.timeout)

    def stop(self, now: float) -> list[Action]:
        """End the session. When actions are returned, it is polite to wait for CLOSED, for a moment."""
        if self._requests.session_id is not None and SessionEvent.STOPPED in TRANSITIONS[self.state]:
            self._move(SessionEvent.STOPPED)
            return self._ask("TEARDOWN", self._base, now)
        if self.state is not SessionState.TEARDOWN:
            self._move(SessionEvent.ENDED)
        return []

    # What each answer leads to.

    def _on_options(self, response: Response, now: float) -> list[Action]:
        if response.status == 200:  # some cameras refuse OPTIONS and are fine otherwise
            self._public = frozenset(map(str.strip, ",".join(response.headers.all("Public")).upper().split(",")))
        return self._describe(now)

    def _describe(self, now: float) -> list[Action]:
        self._move(SessionEvent.ANSWERED)
        return self._ask("DESCRIBE", self.url, now, ("Accept", "application/sdp"))

    def _on_describe(self, response: Response, now: float) -> list[Action]:
        self._expect_success(response)
        description = sdp.parse(response.body)
        if not description.media and b"v=0" not in response.body:
            raise CameraError(CameraState.MALFORMED, _NO_DESCRIPTION)
        base = response.headers.get("Content-Base") or response.headers.get("Content-Location")
        self._base = resolve_base(self.url, base, description.control)
        sections = self.select(description)
        if not sections:
            raise CameraError(CameraState.NO_PLAYABLE_TRACK)
        self.refused |= {each.kind: _ENDED for each in sections[1:] if self.pin.habits.forbids(each.kind, now)}
        self._sections = [each for each in sections if each is sections[0] or each.kind not in self.refused]
        self._move(SessionEvent.ANSWERED)
        return self._next_setup(now)

    def _on_setup(self, response: Response, now: float) -> list[Action]:
        section = self._sections[0]
        self.pin.habits.answered(section.kind)
        if self._asking.again(response.status):
            return self._setup(now, self._asking.spec)
        try:
            if response.status >= 400 and response.status not in _LOGIN:
                raise refused(response.status, _state(response), self._requests.rejected(response, self.server))
            self._expect_success(response)
            self._requests.learn(response.headers)
            self.setups.append(self._asking.answered(response, self.setups))
        except CameraError as exc:
            if not self.setups:
                raise
            self.refused[section.kind] = f"the camera did not set it up: {exc.detail}"  # it still has a picture
        del self._sections[0]
        if self._sections:
            self._move(SessionEvent.MORE)
            return self._next_setup(now)
        self._move(SessionEvent.ANSWERED)
        tracks = [resolve_control(self._base, setup.section.control) for setup in self.setups]
        self._plays = Plays(self._base, self.url, tracks)
        return [Punch(), *self._play(self._plays.now, now)]

    def _on_play(self, response: Response, now: float) -> list[Action]:
        if response.status == 454 and self._requests.take_other_id():  # each SETUP began one, and the last one counts
            return self._play(self._plays.now, now)
        if way := self._plays.refused(response.status) if response.status >= 400 else self._plays.granted():
            return self._play(way, now)
        if not self._plays.begun:
            self._expect_success(response)
        self._requests.learn(response.headers)
        self._move(SessionEvent.ANSWERED)
        self.keepalive.begin(self._public, now)
        self._reply_due = None
        self._keepalive_due = now + self._requests.keepalive_interval
        return [Playing(self._requests.announced)]

    def _play(self, request: PlayRequest, now: float) -> list[Action]:
        if not self._plays.one_by_one:
            self._base = request.url
        return self._ask("PLAY", request.url, now, *([_FROM_NOW] if request.ranged else []))

    # Requests.

    def _next_setup(self, now: float) -> list[Action]:
        self._asking = Asking(Agreement(self._sections[0], self.ssrc))
        if self.udp and not self.multicast:
            self._reply_due = self._handshake_due
            return [BindPorts()]
        channels = None if self.multicast else channels_for(self.setups)
        return self._setup(now, TransportSpec(tcp=not self.udp, multicast=self.multicast, interleaved=channels))

    def _setup(self, now: float, spec: TransportSpec) -> list[Action]:
        url = resolve_control(self._base, self._sections[0].control)
        return self._ask("SETUP", url, now, *self._asking.headers(url.wire, spec))

    def _ask(self, method: str, url: RtspUrl, now: float, *headers: tuple[str, str]) -> list[Action]:
        return self._send(self._requests.ask(method, url, *headers), now)

    def _send(self, request: Request, now: float) -> list[Action]:
        self._reply_due = min(now + REPLY_TIMEOUT, self._handshake_due)
        return [Send(request)]

    def _expect_success(self, response: Response) -> None:
        if not 200 <= response.status < 300:
            raise CameraError(_state(response), self._requests.rejected(response, self.server))

    def _move(self, event: SessionEvent) -> None:
        self.state = TRANSITIONS[self.state][event]


_HANDLERS: dict[SessionState, Callable[[RtspSession, Response, float], list[Action]]] = {
    SessionState.OPTIONS: RtspSession._on_options,
    SessionState.DESCRIBE: RtspSession._on_describe,
    SessionState.SETUP: RtspSession._on_setup,
    SessionState.PLAY: RtspSession._on_play,
}


def _beside(setups: list[Setup], left: list[sdp.MediaSection]) -> str:
    """The kind of the track that is set up, where another one already is; else empty."""
    return left[0].kind if setups and left else ""


def _state(refusal: Response) -> CameraState:
    return _REFUSALS.get(refusal.status, CameraState.REJECTED)


def _answer(request: Request) -> Response:
    """Cameras may ask too (RFC 2326 10). Raises ``CameraError`` if the session ends with it."""
    echoed = [(name, value) for name, value in request.headers if name.lower() in ("cseq", "session")]
    known = {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN", "REDIRECT"}
    if request.method not in known:
        return Response(501, "Not Implemented", Headers(echoed))
    if request.method in ("REDIRECT", "TEARDOWN"):  # where to is asked again by the next DESCRIBE
        raise CameraError(CameraState.CLOSED, f"the camera ended the session ({request.method})")
    return Response(200, "OK", Headers([*echoed, ("Public", ", ".join(sorted(known)))]))
