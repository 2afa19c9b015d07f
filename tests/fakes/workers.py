"""Workers as a broker sees them: DEALERs that speak the control protocol and do what a test says."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import zmq

from common.bus import Channel, open_socket
from common.cameras import CameraSpec, CameraState
from common.control import (
    REPORT_INTERVAL,
    Answered,
    Assign,
    HangUp,
    IceNotRestarted,
    IceRestarted,
    Offer,
    Refused,
    Release,
    Report,
    RestartIce,
    Role,
    StreamReport,
    ToBroker,
    ToWorker,
    ViewerReport,
    ViewerState,
    decode_for_worker,
    encode,
)
from common.curve import Keys
from common.endpoints import Endpoints
from common.media import Kind, Track
from common.sessions import ice_mark

T = TypeVar("T")
PATIENCE = 10.0  # seconds
H264 = Track(Kind.VIDEO, "H264", 90_000, profile="42e01f")


class FakeWorker:
    """Async context manager. Reports once a second and when told to; keeps what the broker says in ``messages``."""

    role: Role

    def __init__(
        self,
        endpoints: Endpoints,
        node: str,
        *,
        keys: Keys | None = None,
        incarnation: str = "1",
        routing_id: bytes = b"",
    ) -> None:
        self.node = node
        own = keys is not None and keys.by_token
        self._routing_id = routing_id or (secrets.token_hex(16).encode() if own else node.encode())
        self.state = Report(node, self.role, incarnation, host="host", pid=1, version="1")
        self.messages: list[ToWorker] = []
        self._endpoints = endpoints
        self._keys = keys
        self._news = asyncio.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    async def __aenter__(self):
        socket = open_socket(self._context, zmq.DEALER, self._keys)
        socket.setsockopt(zmq.ROUTING_ID, self._routing_id)
        socket.connect(self._endpoints.control)
        assert await asyncio.to_thread(socket.poll, int(PATIENCE * 1000), zmq.POLLOUT), "the broker is not there"
        self.channel = Channel(socket, self._receive)
        self._beat()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.channel.close()
        self._context.term()

    def report(self, **changes: Any) -> None:
        """Change the report and send it."""
        self.state = dataclasses.replace(self.state, **changes)
        self.send(self.state)

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(REPORT_INTERVAL, self._beat)
        self.report()

    def send(self, message: ToBroker | bytes) -> None:
        """Send a message, or garbage."""
        assert self.channel.send(message if isinstance(message, bytes) else encode(message))

    async def until(self, condition: Callable[[], T]) -> T:
        """The first true value of ``condition``, asked whenever a message has come."""
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):
                self._news.clear()
                await self._news.wait()
        return value

    async def told(self, kind: type[T]) -> T:
        """The next message of that kind, taken out of ``messages``."""
        message = await self.until(lambda: next((m for m in self.messages if isinstance(m, kind)), None))
        self.messages.remove(message)  # type: ignore[arg-type]
        return message  # type: ignore[return-value]  # of that kind, as it was asked for

    def _receive(self, frame: bytes) -> None:
        message = decode_for_worker(frame)
        self.messages.append(message)
        self.obey(message)
        self._news.set()

    def obey(self, message: ToWorker) -> None:
        """Do what a worker of this kind does by itself."""


class FakeIngest(FakeWorker):
    """Plays every camera it is given, with one H.264 track."""

    role = Role.INGEST

    def obey(self, message: ToWorker) -> None:
        match message:
            case Assign(camera) if not any(
                (stream.camera, stream.revision) == (camera.id, camera.revision) for stream in self.state.served
            ):  # it is told again what it does already where its report and the message cross
                self.show(camera.id, CameraState.PLAYING, spec=camera, tracks=(H264,), transport="tcp")
            case Release(id):
                self.report(served=tuple(stream for stream in self.state.served if stream.camera != id))

    def show(self, id: str, state: CameraState, *, spec: CameraSpec | None = None, **fields: Any) -> None:
        """Report a camera's state."""
        before = next((stream for stream in self.state.served if stream.camera == id), None)
        revision = spec.revision if spec else before.revision if before else 0
        others = tuple(stream for stream in self.state.served if stream.camera != id)
        self.report(served=(*others, StreamReport(id, revision, state, **fields)))


class FakeEgress(FakeWorker):
    """Answers every offer with ``answer of OFFER``, unless ``refusal`` or ``silent`` is set, and restarts ICE so."""

    role = Role.EGRESS
    refusal: tuple[int, str, str] | None = None
    silent = False

    def obey(self, message: ToWorker) -> None:
        match message:
            case Offer(session, camera, sdp, principal=principal, expires=expires):
                if self.refusal is not None:
                    self.send(Refused(session, *self.refusal))
                elif not self.silent:
                    state = ViewerState.CONNECTED
                    viewer = ViewerReport(session, camera, state, started=1.0, principal=principal, expires=expires)
                    self.state = dataclasses.replace(self.state, viewers=(*self.state.viewers, viewer))
                    self.send(Answered(session, f"answer of {sdp}"))
                    self.report()
            case RestartIce(request, session, ufrag):
                if self.refusal is not None:
                    self.send(IceNotRestarted(request, session, *self.refusal))
                elif not self.silent:
                    ice = ice_mark(session, ufrag)
                    self.send(IceRestarted(request, session, ice, f"a=ice-ufrag:for-{ufrag}\r\n"))
                    viewers = (
                        dataclasses.replace(v, ice=ice) if v.session == session else v for v in self.state.viewers
                    )
                    self.report(viewers=tuple(viewers))
            case HangUp(session):
                self.forget(session)

    def forget(self, session: str) -> None:
        """Report without that session."""
        self.report(viewers=tuple(viewer for viewer in self.state.viewers if viewer.session != session))
