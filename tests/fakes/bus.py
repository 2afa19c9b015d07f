"""A broker as far as a worker can tell: control messages and media in both directions, over sockets in a directory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import zmq

from common.bus import Channel, bind, open_socket
from common.control import Report, ToBroker, ToWorker, decode_for_broker, encode
from common.endpoints import Endpoints
from common.media import (
    Batch,
    decode_frame,
    encode_batch,
    encode_replay,
    live_topic,
    parse_taken,
    parse_topic,
    replay_topic,
)

T = TypeVar("T")
PATIENCE = 10.0  # seconds


class FakeBroker:
    """Async context manager. Keeps what workers say, and publishes what a test wants an egress to get."""

    def __init__(self, directory: Path) -> None:
        self.address = f"ipc://{directory}"
        self.endpoints = Endpoints.parse(self.address)
        self.messages: list[ToBroker] = []
        self.reports: dict[str, Report] = {}
        self.subscriptions: set[bytes] = set()
        self.given_up: list[bytes] = []  # topics that were subscribed to
        self.published: list[tuple[str, Batch]] = []  # rendition and batch of what is followed
        self._changed = asyncio.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    async def __aenter__(self) -> FakeBroker:
        control, media, incoming = (open_socket(self._context, kind) for kind in (zmq.ROUTER, zmq.XPUB, zmq.XSUB))
        bind(control, self.endpoints.control, None, "control plane")
        media.bind(self.endpoints.media_out)
        incoming.bind(self.endpoints.media_in)
        self._control = Channel(control, self._on_control, multipart=True)
        self._media = Channel(media, self._on_subscription)
        self._incoming = Channel(incoming, self._on_media)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._control.close()
        self._media.close()
        self._incoming.close()
        self._context.term()

    def tell(self, node: str, message: ToWorker | bytes) -> None:
        """Send a control message, or garbage."""
        self._control.send(node.encode(), message if isinstance(message, bytes) else encode(message))

    def publish(self, camera: str, *batches: Batch) -> None:
        """Live batches."""
        for batch in batches:
            self._media.send(live_topic(camera) + encode_batch(batch))

    def publish_frame(self, frame: bytes) -> None:
        """Any frame."""
        self._media.send(frame)

    def replay(self, camera: str, egress: str, *batches: Batch) -> None:
        """The cached group of pictures."""
        self._media.send(replay_topic(camera, egress) + encode_replay(map(encode_batch, batches)))

    def follow(self, rendition: str) -> None:
        """Keep what workers publish of it."""
        self._incoming.send(b"\1" + live_topic(rendition))

    def watches(self, camera: str) -> bool:
        """Whether an egress is subscribed to the camera."""
        return live_topic(camera) in self.subscriptions

    async def until(self, condition: Callable[[], T]) -> T:
        """The first true value of ``condition``, asked whenever something has come."""
        async with asyncio.timeout(PATIENCE):
            while not (value := condition()):
                self._changed.clear()
                await self._changed.wait()
        return value

    async def said(self, kind: type[T]) -> T:
        """The next message of that kind, taken out of ``messages``."""
        message = await self.until(lambda: next((m for m in self.messages if isinstance(m, kind)), None))
        assert message is not None
        self.messages.remove(message)  # type: ignore[arg-type]
        return message

    def _on_control(self, frames: list[bytes]) -> None:
        message = decode_for_broker(frames[1])
        if isinstance(message, Report):
            self.reports[message.node] = message
        else:
            self.messages.append(message)
        self._changed.set()

    def _on_media(self, message: bytes) -> None:
        frame = decode_frame(message)
        self.published += [(frame.rendition, batch) for batch in frame.batches]
        self._changed.set()

    def _on_subscription(self, frame: bytes) -> None:
        parse_taken(frame[1:]) or parse_topic(frame[1:])
        (self.subscriptions.add if frame[0] else self.subscriptions.discard)(frame[1:])
        if not frame[0]:
            self.given_up.append(frame[1:])
        self._changed.set()
