"""Counts who connects to a socket of the bus and is no peer: port scanners, other programs, another cluster's workers.
The log says so at most once a minute for each socket. Tells as well when a connection of any peer breaks.

ZeroMQ drops them by itself and tells nobody but a monitor, of which a socket has one.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from common.bus import Channel
from common.log import Quiet, get_logger

_EVENTS = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH

_numbers = itertools.count()

log = get_logger()


class Unauthenticated:
    """Counts failed handshakes of one bound socket as ``counters[name]``, from now until closed.

    To be made before the socket is given to another thread. ``broke`` is called when a connection is over.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        counters: Counter[str],
        name: str,
        clock: Callable[[], float] = time.monotonic,
        broke: Callable[[], None] | None = None,
    ) -> None:
        self._broke = broke
        self._counters = counters
        self._name = name
        self._quiet = Quiet(log, clock)  # a worker with a wrong secret tries again every two seconds
        # Not under pyzmq's name for it, the descriptor's number: a socket that was just closed may have had the same.
        monitor = socket.get_monitor_socket(
            _EVENTS | zmq.EVENT_DISCONNECTED, f"inproc://unauthenticated-{next(_numbers)}"
        )
        self._channel = Channel(monitor, self._on_event, multipart=True)

    def close(self) -> None:
        """Stop counting."""
        self._quiet.flush()
        self._channel.close()

    def _on_event(self, frames: list[bytes]) -> None:
        event = parse_monitor_message(frames)
        if event["event"] == zmq.EVENT_DISCONNECTED and self._broke is not None:
            self._broke()
        if not event["event"] & _EVENTS:
            return
        self._counters[self._name] += 1
        self._quiet.warning(
            "connection refused: another program, or a worker with another --cluster-secret or a revoked key",
            address=event["endpoint"].decode(),
        )
