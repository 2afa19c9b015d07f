"""One RTSP session (RFC 2326) on one connection, from OPTIONS to TEARDOWN; no I/O.

The session is told what happened and returns what to do, as ``Action``s; time is an argument. It knows one transport,
UDP or TCP: falling back to the other is a new session, because cameras want a fresh DESCRIBE before a repeated SETUP,
and a fresh connection helps them too. It ends by raising ``CameraError``, once; all it can do after that is ``stop``.

    START → OPTIONS → DESCRIBE → SETUP (once a section) → PLAY → PLAYING → TEARDOWN → CLOSED

Each of the states between START and PLAYING has exactly one request under way. Its answer is taken by order, not by
``CSeq``, which some cameras get wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from common.cameras import CameraState
from common.errors import CameraError
from ingest.rtsp import sdp
from ingest.rtsp.auth import Pin
from ingest.rtsp.keepalive import Keepalive
from ingest.rtsp.login import Login
from ingest.rtsp.message import Headers, Request, Response, printable
from ingest.rtsp.requests import Requests
from ingest.rtsp.setup import Setup, TransportRefusedError, agreed, channels_for
from ingest.rtsp.transport import Pair, TransportSpec
from ingest.rtsp.url import RtspUrl, resolve_base, resolve_control

REPLY_TIMEOUT = 10.0  # seconds: a Wi-Fi camera may stall that long and still be alive
HANDSHAKE_TIMEOUT = 20.0  # seconds from the connection to PLAY's answer, however many requests it takes
MAX_KEEPALIVE_INTERVAL = 30.0  # seconds: half the default timeout; NATs forget idle connections too
MIN_KEEPALIVE_INTERVAL = 1.0  # seconds, whatever the camera says

# RFC 2326 11.3.17 and 11.5.4: cameras that serve one session, or few, answer so to a further one.
_REFUSALS = {404: CameraState.NOT_FOUND, 410: CameraState.NOT_FOUND, 453: CameraState.FULL, 503: CameraState.FULL}
_TRANSPORT_REFUSED = {400, 405, 406, 451, 456, 459, 460, 461, 462, 500, 501, 551}  # to SETUP: the other may do
_URL_REFUSED = {400, 404, 451, 454, 455, 459, 460}  # to PLAY: that of the whole, or of the one stream, may do
_REDIRECTS = {301, 302, 303, 305, 307}
_PERHAPS_TLS = "the camera hung up at the first request; if its port speaks TLS, write rtsps:// instead of rtsp://"
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


TRANSITIONS = {
    (SessionState.START, SessionEvent.CONNECTED): SessionState.OPTIONS,
    (SessionState.OPTIONS, SessionEvent.ANSWERED): SessionState.DESCRIBE,
    (SessionState.DESCRIBE, SessionEvent.ANSWERED): SessionState.SETUP,
    (SessionState.SETUP, SessionEvent.MORE): SessionState.SETUP,
    (SessionState.SETUP, SessionEvent.ANSWERED): SessionState.PLAY,
    (SessionState.PLAY, SessionEvent.ANSWERED): SessionState.PLAYING,
    (SessionState.SETUP, SessionEvent.STOPPED): SessionState.TEARDOWN,
    (SessionState.PLAY, SessionEvent.STOPPED): SessionState.TEARDOWN,
    (SessionState.PLAYING, SessionEvent.STOPPED): SessionState.TEARDOWN,
    (SessionState.TEARDOWN, SessionEvent.ANSWERED): SessionState.CLOSED,
    **{(state, SessionEvent.ENDED): SessionState.CLOSED for state in SessionState},
}


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
    state: SessionState = field(default=SessionState.START, init=False)
    setups: list[Setup] = field(default_factory=list, init=False)
    refused: dict[str, str] = field(default_factory=dict, init=False)  # kind: why the camera did not set it up
    server: str = field(default="", init=False)  # what the camera calls itself
    _login: Login = field(init=False, repr=False)
    _requests: Requests = field(init=False, repr=False)
    _base: RtspUrl = field(init=False)  # of the whole: for PLAY, keepalive and TEARDOWN
    _sections: list[sdp.MediaSection] = field(default_factory=list, init=False)
    _public: frozenset[str] = field(default=frozenset(), init=False)
    _play_urls: list[RtspUrl] = field(default_factory=list, init=False)  # to try if PLAY's is refused
    _ports: Pair | None = field(default=None, init=False)
    _reply_due: float | None = field(default=None, init=False)
    _handshake_due: float = field(default=0.0, init=False)
    _keepalive_due: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._login = Login(self.url, self.pin)
        self._requests = Requests(self._login)
        self._base = self.url

    @property
    def due(self) -> float | None:
        """When ``tick`` has to be called next."""
        return self._keepalive_due if self.state is SessionState.PLAYING else self._reply_due

    def start(self, now: float) -> list[Action]:
        """The connection is there."""
        self._move(SessionEvent.CONNECTED)
        self._handshake_due = now + HANDSHAKE_TIMEOUT
        return self._ask("OPTIONS", self.url, now)

    def bound(self, ports: Pair, now: float) -> list[Action]:
        """``BindPorts`` was done; RTP comes to the first port, RTCP to the second."""
        self._ports = ports
        return self._setup(now, TransportSpec(tcp=False, client_port=ports))

    def receive(self, message: Request | Response, now: float) -> list[Action]:
        """The camera sent something. Raises ``CameraError`` if that ends the session."""
        if isinstance(message, Request):
            return [Send(_answer(message))]
        self.server = self.server or printable(message.headers.get("Server") or "")
        if message.status < 200 or self.state in (SessionState.START, SessionState.CLOSED):
            return []
        challenges = message.headers.all("WWW-Authenticate")
        request, auth = self._requests.under_way, self._login.auth
        if message.status == 401 and request is not None and auth.challenged(challenges):
            return self._send(self._requests.again(request), now)
        if self.state is SessionState.TEARDOWN:
            self._move(SessionEvent.ANSWERED)
            return []
        if message.status == 401:
            if self.state is SessionState.PLAYING:
                return []  # the keepalive was refused; as long as media comes, that is enough
            raise self._login.refusal(challenges)
        if self.state in _AWAITING:
            options = self.state is SessionState.OPTIONS
            self._login.answered(message.status, self._rejection(message), options=options)
        auth.accepted()
        if self.state is SessionState.PLAYING:
            if message.status >= 400:
                self.keepalive.refused(self._requests.method)  # announced, and then refused: another from now on
            return []
        if message.status in _REDIRECTS and (location := message.headers.get("Location")):
            raise RedirectedError(location)
        return _HANDLERS[self.state](self, message, now)

    def tick(self, now: float, *, partial: bool = False) -> list[Action]:
        """Keep the session alive. Raises ``CameraError`` for an overdue reply; ``partial``: a part of it is there."""
        if self.due is None or now < self.due:
            return []
        if self.state is SessionState.PLAYING:
            self._schedule_keepalive(now)
            self.keepalive.sent(now)
            method = self.keepalive.method
            return self._ask(method, self._base, now) if method else []
        method = self._requests.method or "the request"
        if partial:
            raise CameraError(CameraState.MALFORMED, f"the camera's reply to {method} did not come to an end")
        raise self._login.unanswered(CameraState.UNREACHABLE, f"no reply to {method} came in time")

    def lost(self, reason: str) -> CameraError:
        """The connection ended, and not by us: why, as far as it can be known."""
        if self.state in _AWAITING:
            method = self._requests.method
            if self._login.doubtful:
                detail = f"the camera hung up when {method} gave it the user name and password; check them"
                return self._login.unanswered(CameraState.CLOSED, detail)
            if self._requests.first and self.url.scheme == "rtsp":
                return CameraError(CameraState.CLOSED, _PERHAPS_TLS)
            reason = reason or f"the camera hung up instead of answering {method}"
        return CameraError(CameraState.CLOSED, reason)

    def broke(self, now: float) -> None:
        """The camera ended the session, or sends nothing any more: it may be for what was said to keep it alive."""
        if self.state is SessionState.PLAYING:
            self.keepalive.ended(now, self._requests.timeout)

    def stop(self, now: float) -> list[Action]:
        """End the session. When actions are returned, it is polite to wait for CLOSED, for a moment."""
        if self._requests.session_id is not None and (self.state, SessionEvent.STOPPED) in TRANSITIONS:
            self._move(SessionEvent.STOPPED)
            return self._ask("TEARDOWN", self._base, now)
        if self.state is not SessionState.TEARDOWN:
            self._move(SessionEvent.ENDED)
        return []

    # What each answer leads to.

    def _on_options(self, response: Response, now: float) -> list[Action]:
        if response.status == 200:  # some cameras refuse OPTIONS and are fine otherwise
            names = ",".join(response.headers.all("Public")).upper().split(",")
            self._public = frozenset(name.strip() for name in names)
        self._move(SessionEvent.ANSWERED)
        return self._ask("DESCRIBE", self.url, now, ("Accept", "application/sdp"))

    def _on_describe(self, response: Response, now: float) -> list[Action]:
        self._expect_success(response)
        if not response.body:
            raise CameraError(CameraState.MALFORMED, "the camera's reply to DESCRIBE holds no session description")
        description = sdp.parse(response.body)
        base = response.headers.get("Content-Base") or response.headers.get("Content-Location")
        self._base = resolve_base(self.url, base, description.control)
        self._sections = list(self.select(description))
        if not self._sections:
            raise CameraError(CameraState.NO_PLAYABLE_TRACK)
        self._move(SessionEvent.ANSWERED)
        return self._next_setup(now)

    def _on_setup(self, response: Response, now: float) -> list[Action]:
        section = self._sections[0]
        try:
            if response.status in _TRANSPORT_REFUSED:
                raise TransportRefusedError(CameraState.REJECTED, self._rejection(response))
            self._expect_success(response)
            self._requests.learn(response.headers)
            self.setups.append(Setup(section, agreed(response.headers.get("Transport"), self._ports, self.setups)))
        except CameraError as exc:
            if not self.setups:
                raise
            self.refused[section.kind] = f"the camera did not set it up: {exc.detail}"  # it still has a picture
        del self._sections[0]
        if self._sections:
            self._move(SessionEvent.MORE)
            return self._next_setup(now)
        self._move(SessionEvent.ANSWERED)
        urls = [self._base, self.url]
        if len(self.setups) == 1:
            urls.append(resolve_control(self._base, self.setups[0].section.control))
        self._play_urls = [url for url in dict.fromkeys(urls) if url != self._base]
        return [Punch(), *self._ask("PLAY", self._base, now, _FROM_NOW)]

    def _on_play(self, response: Response, now: float) -> list[Action]:
        if response.status >= 400 and (otherwise := self._play_otherwise(response.status, now)):
            return otherwise
        self._expect_success(response)
        self._requests.learn(response.headers)
        self._move(SessionEvent.ANSWERED)
        self.keepalive.begin(self._public, now)
        self._reply_due = None
        self._schedule_keepalive(now)
        return [Playing()]

    def _play_otherwise(self, status: int, now: float) -> list[Action]:
        """PLAY was refused: ask once more in each way that some camera insists on."""
        request = self._requests.under_way
        if status == 457 and request is not None and "Range" in request.headers:
            return self._ask("PLAY", self._base, now)
        if status == 454 and self._requests.take_other_id():  # each SETUP began a session, and the last one counts
            return self._ask("PLAY", self._base, now, _FROM_NOW)
        if status in _URL_REFUSED and self._play_urls:
            self._base = self._play_urls.pop(0)
            return self._ask("PLAY", self._base, now, _FROM_NOW)
        return []

    # Requests.

    def _next_setup(self, now: float) -> list[Action]:
        if self.udp:
            self._reply_due = self._handshake_due
            return [BindPorts()]
        return self._setup(now, TransportSpec(tcp=True, interleaved=channels_for(self.setups)))

    def _setup(self, now: float, spec: TransportSpec) -> list[Action]:
        url = resolve_control(self._base, self._sections[0].control)
        return self._ask("SETUP", url, now, ("Transport", str(spec)))

    def _schedule_keepalive(self, now: float) -> None:
        half = min(max(self._requests.timeout / 2, MIN_KEEPALIVE_INTERVAL), MAX_KEEPALIVE_INTERVAL)
        self._keepalive_due = now + 0.9 * half  # a timer may be late

    def _ask(self, method: str, url: RtspUrl, now: float, *headers: tuple[str, str]) -> list[Action]:
        return self._send(self._requests.ask(method, url, *headers), now)

    def _send(self, request: Request, now: float) -> list[Action]:
        self._reply_due = min(now + REPLY_TIMEOUT, self._handshake_due)
        return [Send(request)]

    def _expect_success(self, response: Response) -> None:
        if 200 <= response.status < 300:
            return
        state = _REFUSALS.get(response.status, CameraState.REJECTED)
        hint = "; the camera may want a user name and password in its URL"
        asks = response.status == 403 and self.url.username is None
        raise CameraError(state, self._rejection(response) + (hint if asks else ""))

    def _rejection(self, response: Response) -> str:
        return f"{self._requests.method} was answered with {_status(response)}"

    def _move(self, event: SessionEvent) -> None:
        self.state = TRANSITIONS[self.state, event]


_HANDLERS: dict[SessionState, Callable[[RtspSession, Response, float], list[Action]]] = {
    SessionState.OPTIONS: RtspSession._on_options,
    SessionState.DESCRIBE: RtspSession._on_describe,
    SessionState.SETUP: RtspSession._on_setup,
    SessionState.PLAY: RtspSession._on_play,
}


def _status(response: Response) -> str:
    return f"{response.status} {printable(response.reason)}".strip()


def _answer(request: Request) -> Response:
    """Cameras may ask too (RFC 2326 10). Raises ``CameraError`` if the session ends with it."""
    echoed = [(name, value) for name, value in request.headers if name.lower() in ("cseq", "session")]
    known = {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "TEARDOWN", "REDIRECT"}
    if request.method not in known:
        return Response(501, "Not Implemented", Headers(echoed))
    if request.method in ("REDIRECT", "TEARDOWN"):  # where to is asked again by the next DESCRIBE
        raise CameraError(CameraState.CLOSED, f"the camera ended the session ({request.method})")
    return Response(200, "OK", Headers([*echoed, ("Public", ", ".join(sorted(known)))]))
