"""One viewer by Media Source Extensions, from the answer to its end; pure.

It gets fragments as they are made for as long as its connection takes them, and goes on from the reels when it was
full: behind by more than ``MAX_LAG`` when a keyframe comes, it goes on there. Nobody waits for it, and it keeps nothing
but the rest of one message.

What it says is heard for three things: that it is there, that it leaves, and that it begins anew (``RESTART``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from common.bucket import TokenBucket
from common.cameras import CameraName
from common.control import RIGHT_ENDED, WEBSOCKET, ViewerReport, ViewerState
from common.errors import ProtocolError
from common.media import Kind
from common.sessions import SessionName
from egress.media.stream import Stream
from egress.mse.outgoing import Outgoing, Outlet
from egress.mse.places import Places, Reels
from egress.mse.websocket import Message, Opcode, Reader, close_frame

RESTART = b"restart"  # from a page that wants the beginning and the newest group of pictures again
CONNECT_TIMEOUT = 5.0  # seconds from the answer until its connection is handed over: it is there already
SWEEP_INTERVAL = 1.0  # seconds, once it has a picture
PING_INTERVAL = 10.0  # seconds
SILENT_AFTER = 30.0  # seconds of silence, pongs included, after which nobody is there
RESTARTS_AT_ONCE, RESTART_RATE = 3, 0.2  # new beginnings, and a second: each is a group of pictures
SAID_BURST, SAID_RATE = 100, 20.0  # messages of a viewer's at once, and a second: pages send a pong every ten seconds
MEDIA_PAUSE = 2.0  # seconds without a fragment after which a viewer is said to wait
NORMAL, GOING_AWAY, PROTOCOL_ERROR, POLICY_VIOLATION = 1000, 1001, 1002, 1008  # RFC 6455 7.4.1
WHO_ARE_YOU = 4401  # its right has ended: as the page's other WebSocket has it


class MseViewer:
    """One session. Times are monotonic seconds unless named otherwise."""

    def __init__(
        self,
        session: SessionName,
        camera: CameraName,
        streams: Mapping[Kind, Stream],
        takes: frozenset[str],
        reels: Reels,
        *,
        holder: tuple[str, float | None] = ("", None),
        now: float,
        started: float,
    ) -> None:
        self.session = session
        self.takes = takes
        self.ended = ""  # why, once it is over
        self.created = self.due = now
        self.joined_at: float | None = None
        self.pictured_at: float | None = None
        self.places = Places(camera, streams, takes, reels, self._pump, self._lost, self._stuck)
        self._origin = reels.origin_ns / 1e9
        self._holder = holder
        self._started = started  # Unix time
        self._out = Outgoing()
        self._reader = Reader()
        self._said = TokenBucket(SAID_BURST, SAID_RATE)
        self._code = NORMAL  # to close with
        self._restarts = TokenBucket(RESTARTS_AT_ONCE, RESTART_RATE)
        self._heard_at = self._pinged_at = now

    @property
    def octets(self) -> int:
        """Bytes that were sent."""
        return self._out.octets + self.places.live_octets

    @property
    def remote(self) -> str:
        """The address of its browser, once that is known."""
        return self._out.outlet.remote if self._out.outlet is not None else ""

    def connect(self, outlet: Outlet, head: bytes, now: float) -> None:
        """Begin on the viewer's connection: ``head`` is the answer to its handshake."""
        self.joined_at = self._heard_at = self._pinged_at = now
        self._greet()
        self._out.open(outlet, head)
        self._pump()

    def receive(self, data: bytes, now: float) -> None:
        """Bytes of the viewer's; none if it has closed. Once it has ended it is not heard."""
        if self.ended:
            return
        self._heard_at = now
        if not data:
            self._end(NORMAL, "closed by the viewer")
            return
        try:
            messages = self._reader.feed(data)
        except ProtocolError as exc:
            self._end(PROTOCOL_ERROR, f"it does not speak WebSocket: {exc}")
            return
        for message in messages:
            if not self._said.take(now):
                self._end(POLICY_VIOLATION, "it sends too much")
                return
            self._hear(message, now)
        self._pump()

    def writable(self) -> None:
        """Go on: more can be sent."""
        self._out.writable()
        self._pump()

    def sweep(self, now: float) -> None:
        """Look after it, when it is ``due``."""
        self.due = now + (SWEEP_INTERVAL if self.pictured_at is not None else 0.0)
        if self._out.outlet is None:
            if now - self.created > CONNECT_TIMEOUT:
                self._end(GOING_AWAY, "its connection was never handed over")
            return
        if self.places.pictured and self.pictured_at is None:
            self.pictured_at = now
        if now - self._heard_at > SILENT_AFTER:
            self._end(GOING_AWAY, "nothing was heard from it")
        elif now - self._pinged_at > PING_INTERVAL:
            self._pinged_at = now
            self._out.say(Opcode.PING)
            self._pump()

    def close(self, reason: str) -> None:
        """Say goodbye, send nothing more, and give back the reels."""
        self._end(WHO_ARE_YOU if reason == RIGHT_ENDED else NORMAL, reason)
        self._out.close(close_frame(self._code, self.ended))
        self.places.close()

    def report(self, now: float) -> ViewerReport:
        """The viewer as the control plane is told of it."""
        connected = self._out.outlet is not None
        return ViewerReport(
            session=self.session,
            camera=self.places.camera,
            state=ViewerState.CONNECTED if connected else ViewerState.CONNECTING,
            started=self._started,
            remote=self.remote,
            transport=WEBSOCKET if connected else "",
            video=self.places.codec(Kind.VIDEO),
            audio=self.places.codec(Kind.AUDIO),
            waiting=self._waiting(now) if connected else "for the viewer to connect",
            packets=self.places.messages,
            bytes=self.octets,
            dropped=self.places.skipped,
            principal=self._holder[0],
            expires=self._holder[1],
            beside=self.places.beside,
        )

    def _pump(self) -> None:
        """Send what is there, as long as it is taken."""
        out, take = self._out, self.places.take
        if not out.blocked:
            out.flush()
        while not out.blocked and not self.ended and (data := take()) is not None:
            out.send(data)
        if out.broken:
            self._end(NORMAL, out.broken)
        elif out.blocked or self.ended:
            self.places.leave_live()
        elif out.outlet is not None:
            self.places.go_live(out.outlet.direct)

    def _stuck(self, data: bytes, sent: int) -> None:
        self._out.stuck(data, sent)
        self._pump()

    def _greet(self) -> None:
        kinds = [kind.value for kind in self.places.kinds]
        hello = {"type": "hello", "session": self.session, "kinds": kinds, "origin": self._origin}
        self._out.say(Opcode.TEXT, json.dumps(hello).encode())

    def _hear(self, message: Message, now: float) -> None:
        match message.opcode:
            case Opcode.CLOSE:
                self._end(NORMAL, "closed by the viewer")
            case Opcode.PING:
                self._out.say(Opcode.PONG, message.data)
            case Opcode.TEXT if message.data == RESTART and self._restarts.take(now):
                self._greet()
                self.places.restart()

    def _lost(self, codec: str) -> None:
        """Only a new session can help: the page makes one."""
        self._end(NORMAL, f"the camera changed to {codec}, which this session cannot carry")

    def _end(self, code: int, reason: str) -> None:
        if not self.ended:
            self.ended, self._code = reason, code
            if self._out.outlet is not None:  # its end may come in another turn of the loop
                self._out.outlet.hear_no_more()

    def _waiting(self, now: float) -> str:
        lead = self.places.lead
        pushed_at = lead.reel.feed.pushed_at if lead is not None else None
        if pushed_at is None or now - pushed_at > MEDIA_PAUSE:
            return "for the camera"
        return "for a keyframe" if lead is not None and lead.next is None else ""
