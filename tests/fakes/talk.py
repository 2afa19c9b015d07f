"""A conversation between a session and a camera that answers as it should, unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable

from ingest.rtsp.auth import Pin
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.session import (
    BindPorts,
    RtspSession,
    Send,
    SessionState,
)
from ingest.rtsp.url import RtspUrl
from ingest.sdp import MediaSection, SessionDescription

URL = "rtsp://admin:secret@camera:8554/live"
SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=control:trackID=1\r\nm=audio 0 RTP/AVP 0\r\na=control:trackID=2\r\n"


def everything(description: SessionDescription) -> list[MediaSection]:
    return list(description.media)


class Talk:
    """A session and a camera that answers as it should, unless told otherwise."""

    def __init__(
        self,
        url: str = URL,
        *,
        udp: bool = False,
        select: Callable[[SessionDescription], list[MediaSection]] = everything,
        pin: Pin | None = None,
    ) -> None:
        self.session = RtspSession(RtspUrl.parse(url), udp, select, pin or Pin())
        self.now = 100.0
        self.sent: list[Request] = []
        self.events: list[object] = []
        self.ports = 5_000
        self.answers: dict[str, list[Response]] = {}  # by method, used up one by one
        self.sdp = SDP
        self.describe_headers: list[tuple[str, str]] = []
        self.session_header = "abc"
        self.public = "OPTIONS, DESCRIBE, GET_PARAMETER"

    def do(self, actions: object) -> None:
        assert isinstance(actions, list)
        for action in actions:
            if isinstance(action, BindPorts):
                self.ports += 2
                self.do(self.session.bound((self.ports - 2, self.ports - 1), self.now))
            elif isinstance(action, Send) and isinstance(action.message, Request):
                self.sent.append(action.message)
            else:
                self.events.append(action)

    def start(self) -> Talk:
        self.do(self.session.start(self.now))
        return self

    def answer(self, *responses: Response) -> Talk:
        for response in responses:
            self.do(self.session.receive(response, self.now))
        return self

    def step(self) -> Talk:
        """Answer the last request."""
        request = self.sent[-1]
        queued = self.answers.get(request.method)
        return self.answer(queued.pop(0) if queued else self.usual(request))

    def usual(self, request: Request) -> Response:
        cseq = ("CSeq", request.headers.get("CSeq") or "")
        match request.method:
            case "OPTIONS":
                return Response(200, "OK", Headers([cseq, ("Public", self.public)]))
            case "DESCRIBE":
                return Response(200, "OK", Headers([cseq, *self.describe_headers]), self.sdp)
            case "SETUP":
                transport = request.headers.get("Transport") or ""
                headers = [cseq, ("Session", self.session_header), ("Transport", transport)]
                return Response(200, "OK", Headers(headers))
        return Response(200, "OK", Headers([cseq]))

    def until(self, state: SessionState) -> Talk:
        if self.session.state is SessionState.START:
            self.start()
        while self.session.state is not state:
            self.step()
        return self

    @property
    def last(self) -> Request:
        return self.sent[-1]

    @property
    def lines(self) -> list[tuple[str, str]]:
        return [(request.method, request.url) for request in self.sent]


def unauthorized(*challenges: str) -> Response:
    return Response(401, "Unauthorized", Headers(("WWW-Authenticate", value) for value in challenges))
