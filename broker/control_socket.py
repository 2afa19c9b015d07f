"""The broker's connections to its workers: one ROUTER, and which connection is which worker's.

Where each worker has a key, that says which worker a message comes from, whatever the message says, and a message to a
worker goes to the connection whose key is still good. Otherwise a worker's connection is called by its node's name.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection

import zmq

from broker.keyring import Keyring
from broker.unauthenticated import Unauthenticated
from common.bus import Channel, bind, open_socket
from common.control import SUBSCRIBERS, KeyWanted, NodeName, Report, ToBroker, ToWorker, decode_for_broker, encode
from common.curve import Domain, Keys
from common.endpoints import Endpoints
from common.errors import ProtocolError
from common.log import get_logger

log = get_logger()


class ControlSocket:
    """Open from the start until closed. ``heard`` is called with each message and the node that it comes from.

    ``counters`` gets what was dropped; ``broke`` is called when the connection of some worker is over. Raises
    ``AddressInUseError`` or ``ConfigError``.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        keyring: Keyring | None,
        heard: Callable[[NodeName, ToBroker], None],
        counters: Counter[str],
        broke: Callable[[], None] | None = None,
    ) -> None:
        self._keyring = keyring
        self._heard = heard
        self._counters = counters
        self._routes: dict[NodeName, tuple[bytes, str]] = {}  # node to its connection, and the key of that
        socket = open_socket(context, zmq.ROUTER)
        try:
            bind(socket, endpoints.control, keys, "control plane", None if keyring is None else Domain.CONTROL)
        except BaseException:
            socket.close(linger=0)
            raise
        self._unauthenticated = Unauthenticated(socket, counters, "control_strangers", broke=broke)
        if keyring is None:
            self._channel = Channel(socket, self._receive, multipart=True)
        else:
            self._channel = Channel(socket, self._receive_signed, signed=True)

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()
        self._unauthenticated.close()

    def keep(self, nodes: Collection[NodeName]) -> None:
        """Forget the connections of all nodes but these: names that workers were given anew at each start."""
        for node in self._routes.keys() - set(nodes):
            del self._routes[node]

    def send(self, node: NodeName, message: ToWorker) -> bool:
        """Hand a message to a worker's connection. ``False`` if there is none, or if no message can hold it."""
        try:
            frame = encode(message)
        except (TypeError, ValueError, OverflowError) as exc:
            self._counters["control_unsendable"] += 1
            log.warning("a message to a worker cannot be sent", worker=node, reason=type(exc).__name__)
            return False
        identity = node.encode()
        if self._keyring is not None:
            identity, key = self._routes.get(node, (b"", ""))
            member = self._keyring.member(key)
            if member is None or member.node != node:
                self._routes.pop(node, None)
                return False
        return self._channel.send(identity, frame)

    def _receive(self, frames: list[bytes]) -> None:
        try:
            identity, payload = frames
            node, message = NodeName(identity.decode()), decode_for_broker(payload)
        except (ValueError, ProtocolError) as exc:
            self._garbage(exc)
            return
        self._heard(node, message)

    def _receive_signed(self, frames: list[zmq.Frame]) -> None:
        assert self._keyring is not None
        member = self._keyring.member(str(frames[-1].get("User-Id")))
        if member is None:
            self._counters["control_revoked"] += 1
            return
        try:
            identity, payload = (frame.bytes for frame in frames)
            message = decode_for_broker(payload)
        except (ValueError, ProtocolError) as exc:
            self._garbage(exc)
            return
        if isinstance(message, Report) and (message.node, message.role) != (member.node, member.role):
            self._counters["control_impostor"] += 1
            log.debug("control message dropped", reason="another worker's name or role", worker=member.node)
            return
        self._routes[member.node] = identity, member.key
        with contextlib.suppress(sqlite3.Error):  # a disk that is full must not silence a worker
            self._keyring.saw(member, time.time())
        if not isinstance(message, KeyWanted) or member.role in SUBSCRIBERS:
            self._heard(member.node, message)

    def _garbage(self, error: Exception) -> None:
        self._counters["control_garbage"] += 1
        log.debug("control message dropped", reason=str(error))
