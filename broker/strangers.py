"""Counts who connects to a socket of the bus and is no peer: port scanners, other programs, another cluster's workers.

ZeroMQ drops them by itself and tells nobody but a monitor.
"""

from __future__ import annotations

from collections import Counter

import zmq
from zmq.utils.monitor import parse_monitor_message

from common.bus import Channel

_EVENTS = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH


class Strangers:
    """Counts failed handshakes of one bound socket as ``counters[name]``, from now until closed.

    To be made before the socket is given to another thread.
    """

    def __init__(self, socket: zmq.Socket[bytes], counters: Counter[str], name: str) -> None:
        self._counters = counters
        self._name = name
        self._channel = Channel(socket.get_monitor_socket(_EVENTS), self._on_event, multipart=True)

    def close(self) -> None:
        """Stop counting."""
        self._channel.close()

    def _on_event(self, frames: list[bytes]) -> None:
        if parse_monitor_message(frames)["event"] & _EVENTS:
            self._counters[self._name] += 1
