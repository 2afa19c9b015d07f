"""Counts who connects to a socket of the bus and is no peer: port scanners, other programs, another cluster's workers.
The log says so at most once a minute for each socket. Tells as well when a connection of any peer breaks, and has those
sent away that are none yet and say too much (``peers``).

ZeroMQ drops them by itself and tells nobody but a monitor, of which a socket has one.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import cast

import zmq
from zmq.utils.monitor import parse_monitor_message

from broker.peers import Peers
from common.bus import Channel
from common.log import Quiet, get_logger

_EVENTS = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

_CONNECTIONS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED

_numbers = itertools.count()

log = get_logger()


class Unauthenticated:
    """Counts failed handshakes of one bound socket as ``counters[name]``, from now until closed.

    To be made once the socket is bound, and before it is given to another thread. ``broke`` is called when a connection
    is over. ``greedy``: its peers only subscribe, and those that do without end are counted as that.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        counters: Counter[str],
        name: str,
        clock: Callable[[], float] = time.monotonic,
        broke: Callable[[], None] | None = None,
        greedy: str = "",
    ) -> None:
        self._broke = broke
        self._counters = counters
        self._name = name
        self._quiet = Quiet(log, clock)  # a worker with a wrong secret tries again every two seconds
        self._peers = self._peers_of(socket, greedy)
        # Not under pyzmq's name for it, the descriptor's number: a socket that was just closed may have had the same.
        monitor = socket.get_monitor_socket(_EVENTS | _CONNECTIONS, f"inproc://unauthenticated-{next(_numbers)}")
        self._channel = Channel(monitor, self._on_event, multipart=True)

    def close(self) -> None:
        """Stop counting."""
        self._quiet.flush()
        if self._peers is not None:
            self._peers.close()
        self._channel.close()

    def _on_event(self, frames: list[bytes]) -> None:
        event = parse_monitor_message(frames)
        if self._peers is not None and event["event"] == zmq.EVENT_ACCEPTED:
            self._peers.accepted(event["value"])
        if event["event"] == zmq.EVENT_DISCONNECTED:
            if self._peers is not None:
                self._peers.closed(event["value"])
            if self._broke is not None:
                self._broke()
        if not event["event"] & _EVENTS:
            return
        self._counters[self._name] += 1
        self._quiet.warning(
            "connection refused: another program, or a worker with another --cluster-secret or a revoked key",
            address=event["endpoint"].decode(),
        )

    def _peers_of(self, socket: zmq.Socket[bytes], greedy: str) -> Peers | None:
        """The peers of a socket that strangers reach by TCP, and that asks for keys."""
        endpoint = cast(bytes, socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        if not endpoint.startswith("tcp://") or socket.getsockopt(zmq.MECHANISM) != zmq.CURVE:
            return None

        def sent_away(was_through: bool) -> None:
            self._counters[greedy if was_through else self._name] += 1
            if was_through:
                self._quiet.warning("connection ended: a worker subscribes to more than there is", address=endpoint)

        return Peers(int(endpoint.rpartition(":")[2]), sent_away, subscribers=bool(greedy))
