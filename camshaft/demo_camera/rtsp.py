"""The simulated camera's RTSP server (RFC 2326): one ``Connection`` for each client.

A session belongs to its connection and ends with it. Every path shows the same picture.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import cast

from camshaft.demo_camera.broadcast import Broadcast, Part
from camshaft.demo_camera.lanes import PortPair, TcpLane, TrackLane, UdpLane
from camshaft.demo_camera.settings import Audio
from common.errors import ProtocolError
from common.log import get_logger
from common.media import Kind
from ingest.rtsp.auth import Authorization, Challenge
from ingest.rtsp.message import Headers, Request, Response
from ingest.rtsp.parser import Parser
from ingest.rtsp.transport import TransportSpec

SERVER = "Camshaft-Demo-Camera"
REALM = "camera"
SESSION_TIMEOUT = 60  # seconds: RFC 2326 12.37
NONCE_LIFETIME = 300.0  # seconds; an older one is refused as stale (RFC 7616 3.3)
MAX_CONNECTIONS = 500

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}


@dataclass(frozen=True, slots=True)
class Account:
    """The account that may watch."""

    username: str
    password: str = field(repr=False)


class Server:
    """The things that all connections share."""

    def __init__(self, broadcast: Broadcast, account: Account | None, now: Callable[[], float]) -> None:
        self.broadcast = broadcast
        self.account = account
        self.now = now
        self.ports: dict[tuple[Kind, int], PortPair] = {}  # by address family, too
        self.connections: set[Connection] = set()

    def connect(self) -> asyncio.Protocol:
        """The protocol factory of the listening socket."""
        return Connection(self)

    def heard_from(self, host: str) -> None:
        """RTCP came by UDP: the sessions of that host are alive."""
        for connection in self.connections:
            if connection.host == host:
                connection.last_heard = self.now()

    def close_idle(self) -> None:
        """End sessions that were silent for too long."""
        oldest = self.now() - SESSION_TIMEOUT * 1.25
        for connection in tuple(self.connections):
            if connection.last_heard < oldest:
                connection.close()

    def close(self) -> None:
        """End every session."""
        for connection in tuple(self.connections):
            connection.close()


class Connection(asyncio.Protocol):
    """One client and its session; a ``Receiver`` of the broadcast."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = Parser()
        self._transport: asyncio.Transport | None = None
        self._lanes: dict[Kind, TrackLane] = {}
        self._session = ""
        self._challenges: list[Challenge] = []
        self._challenged_at = float("-inf")
        self._log = get_logger()
        self.host = ""
        self._family = 0
        self.last_heard = server.now()
        self._methods: dict[str, Callable[[Request], Response]] = {
            "OPTIONS": self._options,
            "DESCRIBE": self._describe,
            "SETUP": self._setup,
            "PLAY": self._play,
            "GET_PARAMETER": self._keep_alive,
            "TEARDOWN": self._teardown,
        }

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with a client that has connected."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self.host = transport.get_extra_info("peername")[0]
        self._family = transport.get_extra_info("socket").family
        self._server.connections.add(self)
        if len(self._server.connections) > MAX_CONNECTIONS:
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the session of a client that has gone."""
        self._server.connections.discard(self)
        self._server.broadcast.remove(self)

    def data_received(self, data: bytes) -> None:
        """Requests, and receiver reports in interleaved frames."""
        assert self._transport is not None
        self.last_heard = self._server.now()
        try:
            messages = self._parser.feed(data)
        except ProtocolError as exc:
            self._log.info("client does not speak RTSP", client=self.host, reason=str(exc))
            self._transport.write(bytes(_response(400)))
            self.close()
            return
        for message in messages:
            if isinstance(message, Request):
                self._transport.write(bytes(self._answer(message)))
                if message.method == "PLAY" and self._session and self._lanes:
                    self._server.broadcast.add(self)  # after the answer: its RTP-Info announces the first packet

    def close(self) -> None:
        """End the session and the connection."""
        self._server.connections.discard(self)
        self._server.broadcast.remove(self)
        if self._transport is not None:
            self._transport.close()

    # camshaft.demo_camera.broadcast.Receiver

    def media(self, kind: Kind, part: Part) -> None:
        """Send packets of one track."""
        if lane := self._lanes.get(kind):
            lane.media(part)

    def report(self, kind: Kind, packet: bytes) -> None:
        """Send a sender report of one track."""
        if lane := self._lanes.get(kind):
            lane.report(packet)

    # Requests

    def _answer(self, request: Request) -> Response:
        method = self._methods.get(request.method)
        number = request.headers.get("CSeq")
        if number is None:
            response = _response(400)
        elif method is None:
            response = _response(501)
        elif request.method != "OPTIONS" and not self._authorised(request):
            response = _response(401, *(("WWW-Authenticate", str(challenge)) for challenge in self._challenges))
        elif _session_of(request) not in ("", self._session):
            response = _response(454)
        else:
            response = method(request)
        common = [("CSeq", number)] if number is not None else []
        return changed(response, headers=Headers([*common, ("Server", SERVER), *response.headers]))

    def _authorised(self, request: Request) -> bool:
        account = self._server.account
        if account is None:
            return True
        given = Authorization.parse(request.headers.get("Authorization") or "")
        stale = self._server.now() - self._challenged_at > NONCE_LIFETIME
        for challenge in self._challenges:
            if given.verify(challenge, request.method, account.username, account.password) and not stale:
                return True
        if stale or not self._challenges:
            known = any(given.nonce == challenge.nonce for challenge in self._challenges)
            fresh = [Challenge.digest(REALM, algorithm=algorithm) for algorithm in ("SHA-256", "MD5")]
            self._challenges = [changed(challenge, stale=known) for challenge in fresh]
            self._challenged_at = self._server.now()
        return False

    def _options(self, _request: Request) -> Response:
        return _response(200, ("Public", ", ".join(self._methods)))

    def _describe(self, request: Request) -> Response:
        assert self._transport is not None
        host = self._transport.get_extra_info("sockname")[0]
        body = describe(self._server.broadcast, host).encode()
        base = request.url.rstrip("/") + "/"
        return changed(_response(200, ("Content-Base", base), ("Content-Type", "application/sdp")), body=body)

    def _setup(self, request: Request) -> Response:
        assert self._transport is not None
        kind = next((kind for kind in self._server.broadcast.sources if request.url.rstrip("/").endswith(kind)), None)
        if kind is None:
            return _response(404)
        try:
            wanted = TransportSpec.parse(request.headers.get("Transport") or "")
        except ProtocolError:
            return _response(461)
        if wanted.multicast or (not wanted.tcp and wanted.client_port is None):
            return _response(461)
        ssrc = self._server.broadcast.sources[kind].ssrc
        if wanted.tcp:
            channels = wanted.interleaved or (2 * len(self._lanes), 2 * len(self._lanes) + 1)
            self._lanes[kind] = TcpLane(self._transport, channels)
            agreed = TransportSpec(tcp=True, interleaved=channels, ssrc=ssrc)
        else:
            assert wanted.client_port is not None
            ports = self._server.ports[kind, self._family]
            self._lanes[kind] = UdpLane(ports, self.host, wanted.client_port)  # never to another host than asks
            agreed = TransportSpec(tcp=False, client_port=wanted.client_port, server_port=ports.numbers, ssrc=ssrc)
        self._session = self._session or secrets.token_hex(8)
        return self._in_session(("Transport", str(agreed)))

    def _play(self, request: Request) -> Response:
        if not self._lanes:
            return _response(455)
        broadcast, base = self._server.broadcast, request.url.rstrip("/")
        sources = [(kind, broadcast.sources[kind]) for kind in self._lanes]
        now = broadcast.now()
        info = ",".join(
            f"url={base}/{kind};seq={source.sequence};rtptime={source.timestamp(now)}" for kind, source in sources
        )
        return self._in_session(("Range", "npt=now-"), ("RTP-Info", info))

    def _keep_alive(self, _request: Request) -> Response:
        return self._in_session() if self._session else _response(200)

    def _teardown(self, _request: Request) -> Response:
        self._server.broadcast.remove(self)
        self._lanes.clear()
        self._session = ""
        return _response(200)

    def _in_session(self, *headers: tuple[str, str]) -> Response:
        return _response(200, ("Session", f"{self._session};timeout={SESSION_TIMEOUT}"), *headers)


def _session_of(request: Request) -> str:
    return (request.headers.get("Session") or "").partition(";")[0].strip()


def _response(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status, _REASONS[status], Headers(headers))


def describe(broadcast: Broadcast, host: str) -> str:
    """The session description (RFC 8866; RFC 6184 8.2 for H.264)."""
    clip = broadcast.clip
    family = "IP6" if ":" in host else "IP4"
    sets = ",".join(base64.b64encode(each).decode() for each in (clip.sps, clip.pps))
    lines = [
        "v=0",
        f"o=- 1 1 IN {family} {host}",
        f"s={SERVER}",
        "t=0 0",
        "a=range:npt=now-",
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        "a=rtpmap:96 H264/90000",
        f"a=fmtp:96 packetization-mode=1;profile-level-id={clip.sps[1:4].hex()};sprop-parameter-sets={sets}",
        f"a=framerate:{clip.settings.fps}",
        f"a=control:{Kind.VIDEO}",
    ]
    if clip.settings.audio is Audio.OPUS:
        lines += ["m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2", f"a=control:{Kind.AUDIO}"]
    elif clip.settings.audio is Audio.PCMU:
        lines += ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a=control:{Kind.AUDIO}"]
    return "\r\n".join([*lines, ""])
