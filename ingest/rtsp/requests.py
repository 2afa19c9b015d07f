"""One session's requests as they go on the wire: numbered, with the session's id and its credentials; no I/O."""

from __future__ import annotations

import re

from ingest.quoting import quoted
from ingest.rtsp.login import Login
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.remedies import remedy
from ingest.rtsp.rtp_info import Announced, parse
from ingest.rtsp.url import RtspUrl

USER_AGENT = "camshaft"  # TP-Link cameras answer 401 for ever to requests without one
DEFAULT_SESSION_TIMEOUT = 60.0  # seconds: RFC 2326 12.37
MAX_KEEPALIVE_INTERVAL = 30.0  # seconds: half the default timeout; NATs forget idle connections too
MIN_KEEPALIVE_INTERVAL = 1.0  # seconds, whatever the camera says


class Requests:
    """One request at a time is under way: the last that was asked."""

    def __init__(self, login: Login) -> None:
        self.timeout = DEFAULT_SESSION_TIMEOUT  # seconds that the camera keeps the session without a request
        self.session_id: str | None = None  # the first that was given: PLAY and all that follows carry it
        self._other_id: str | None = None  # the last one that was different
        self.announced: tuple[Announced, ...] = ()  # by what packets are known, as the last answer has it
        self._login = login
        self._under_way: Request | None = None  # without CSeq and Authorization
        self._sequence = 0
        self._numbers_count = True  # the camera answers each request with its CSeq, as far as we know
        self._answer: Response | None = None  # the last one that was expected

    @property
    def under_way(self) -> Request | None:
        """The last one that was asked, as the session wants it; ``None`` before the first."""
        return self._under_way

    @property
    def method(self) -> str:
        """The method of the last request; empty before the first."""
        return self._under_way.method if self._under_way else ""

    @property
    def answered(self) -> bool:
        """Whether any was answered."""
        return self._answer is not None

    @property
    def count(self) -> int:
        """How many have been sent so far."""
        return self._sequence

    @property
    def keepalive_interval(self) -> float:
        """Seconds from one request that keeps the session alive to the next."""
        half = min(max(self.timeout / 2, MIN_KEEPALIVE_INTERVAL), MAX_KEEPALIVE_INTERVAL)
        return 0.9 * half  # a timer may be late

    def expects(self, answer: Response) -> bool:
        """Whether an answer is that to the last request, and not the one before it once more."""
        right = answer.headers.get("CSeq") == str(self._sequence)
        if not right and self._numbers_count and answer == self._answer:
            return False
        self._numbers_count &= right
        self._answer = answer
        return True

    def rejected(self, answer: Response, server: str) -> str:
        """A sentence about an ``answer`` to the last request that refuses, with what may be done about it.

        ``server`` is what the camera calls itself.
        """
        said = f"{self.method} was answered with {f'{answer.status} {quoted(answer.reason)}'.strip()}"
        auth = self._login.auth
        url = self._under_way.url if self._under_way else ""
        anonymous = auth.username is None
        return said + remedy(answer.status, self.method, url, server=server, realm=auth.realm, anonymous=anonymous)

    def unanswered(self, beside: str, now: float) -> None:
        """Have the next session go round the last request: the camera hung up at it, or did not answer.

        ``beside``: see ``Habits.failed``.
        """
        if self.method == "OPTIONS" or not self._login.doubtful:
            self._login.auth.pin.habits.failed(self.method, beside, now, began=self.count <= 2)

    def ask(self, method: str, url: RtspUrl, *headers: tuple[str, str]) -> Request:
        """A new one, to be sent."""
        self._under_way = Request(method, url.wire, Headers(headers))
        return self.again(self._under_way)

    def again(self, request: Request) -> Request:
        """The one that is under way, to be sent with the credentials that were asked for since."""
        self._sequence += 1
        headers = [("CSeq", str(self._sequence)), ("User-Agent", USER_AGENT)]
        if authorization := self._login.auth.header(request.method, request.url):
            headers.append(("Authorization", authorization))
        if self.session_id is not None:
            headers.append(("Session", self.session_id))
        return Request(request.method, request.url, Headers([*headers, *request.headers]))

    def learn(self, headers: Headers) -> None:
        """RFC 2326 12.37: ``Session: id;timeout=60``. H264DVR 1.0 gives each SETUP an id of its own and plays by the
        first. RFC 2326 12.33: ``RTP-Info``."""
        self.announced = parse(headers.get("RTP-Info"))
        identifier, *parameters = (headers.get("Session") or "").split(";")
        identifier = identifier.strip()
        if self.session_id is None:
            self.session_id = identifier or None
        elif identifier and identifier != self.session_id:
            self._other_id = identifier
        for parameter in parameters:
            match = re.match(r"\s*timeout\s*=\s*\"?([0-9]{1,9})", parameter, re.IGNORECASE)  # a unit may stand behind
            if match:
                self.timeout = float(match[1]) or DEFAULT_SESSION_TIMEOUT

    def take_other_id(self) -> bool:
        """Go on with the last id that was given, if it is not the first. Whether there is one."""
        if self._other_id is None:
            return False
        self.session_id, self._other_id = self._other_id, None
        return True
