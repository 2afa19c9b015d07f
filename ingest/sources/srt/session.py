"""One SRT connection, as the caller that receives (draft-sharabayko-srt-01, 4): packets in, packets out; no I/O.

A refusal, and an answer that no connection can come of, raise ``CameraError`` and leave the state as it was. Data is
taken while it is OPEN.

Payloads come out in order. What is missing is asked for at once and every ``NAK_EVERY``, and given up when it is later
than the latency that both agreed on: the bytes behind it then come without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from common.cameras import CameraState
from common.errors import CameraError, ProtocolError
from ingest.sources.srt import wire
from ingest.sources.srt.keys import Keys
from ingest.sources.srt.wire import SEQUENCES, Control, Data, Extension, Handshake, Told

ACK_EVERY = 0.01  # seconds, 4.8.1
NAK_EVERY = 0.02  # seconds, at least
KEEPALIVE_EVERY = 1.0  # seconds without a packet of ours, 4.10
ASK_EVERY = 0.25  # seconds between two requests of a handshake
MOST_HELD = 8_192  # packets, as the window says
MOST_RUNS = 64  # of losses that are asked for at once
ROUND_TRIP = 0.1  # seconds, until one was measured

_REJECTIONS = {
    1002: (CameraState.REJECTED, "it refuses the connection"),
    1003: (CameraState.FULL, "it has no room for another connection"),
    1005: (CameraState.FULL, "it has as many connections as it accepts"),
    1008: (CameraState.CLOSED, "it is closing"),
    1010: (CameraState.UNAUTHORIZED, "the passphrase is wrong"),
    1011: (CameraState.UNAUTHORIZED, "one side encrypts and the other does not: give ?passphrase=, or leave it out"),
    1400: (CameraState.REJECTED, "it does not understand the stream id"),
    1401: (CameraState.UNAUTHORIZED, "it wants other credentials in the stream id"),
    1402: (CameraState.FULL, "it is overloaded"),
    1403: (CameraState.UNAUTHORIZED, "it forbids the stream with that id"),
    1404: (CameraState.NOT_FOUND, "it has no stream with that id"),
    1409: (CameraState.FULL, "the stream is in use"),
}


class State(Enum):
    """The states of a connection."""

    INDUCTION = auto()
    CONCLUSION = auto()
    OPEN = auto()
    CLOSED = auto()


class Event(Enum):
    """The events that move it on."""

    COOKIE_CAME = auto()  # the listener's answer to the first request
    ACCEPTED = auto()  # its answer to the second
    SHUT_DOWN = auto()  # by the listener


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.INDUCTION: {Event.COOKIE_CAME: State.CONCLUSION},
    State.CONCLUSION: {Event.ACCEPTED: State.OPEN},
    State.OPEN: {Event.SHUT_DOWN: State.CLOSED},
    State.CLOSED: {},
}


@dataclass(slots=True)
class Counts:
    """Packets of one connection."""

    received: int = 0
    given_up: int = 0  # that never came in time
    damaged: int = 0  # that could not be read or decrypted


class Session:
    """The session of a caller. ``socket`` and ``sequence`` are numbers of our own, at random."""

    def __init__(
        self,
        *,
        socket: int,
        sequence: int,
        latency: float,
        stream_id: str = "",
        keys: Keys | None = None,
        bits: int = 128,
    ) -> None:
        self.state = State.INDUCTION
        self.latency = latency  # seconds
        self.counts = Counts()
        self._socket, self._stream_id, self._keys, self._bits = socket, stream_id, keys, bits
        self._peer = 0  # its socket
        self._cookie = 0
        self._sequence = sequence % SEQUENCES
        self._expected = 0  # sequence number
        self._held: dict[int, bytes] = {}  # behind a gap
        self._late_at = 0.0  # when the gap is given up
        self._ready: list[bytes] = []
        self._round_trip = ROUND_TRIP
        self._acks = 0
        self._asked_at: dict[int, float] = {}  # of an ACK by its number: when it was sent
        self._acknowledged = -1
        self._ack_at = self._nak_at = self._sent_at = self._handshake_at = float("-inf")

    def take(self) -> bytes:
        """The bytes that have come in order since the last call."""
        ready, self._ready = self._ready, []
        return b"".join(ready)

    def receive(self, packet: bytes, now: float) -> list[bytes]:
        """A packet came. Returns the answers. Raises ``CameraError`` where there is no connection, or no more."""
        try:
            found = wire.parse(packet)
            if isinstance(found, Data):
                return self._take_data(found, now) if self.state is State.OPEN else []
            return self._take_control(found, now)
        except ProtocolError:
            self.counts.damaged += 1
            return []

    def due(self, now: float) -> list[bytes]:
        """The packets that are to be sent now; to be called every ``ACK_EVERY``."""
        if self.state in (State.INDUCTION, State.CONCLUSION):
            if now - self._handshake_at < ASK_EVERY:
                return []
            self._handshake_at = now
            return [self._request()]
        self._give_up(now)
        out = [*self._acknowledge(now), *self._ask_again(now)]
        if not out and now - self._sent_at >= KEEPALIVE_EVERY:
            out = [wire.control(Control.KEEPALIVE, self._peer)]
        if out:
            self._sent_at = now
        return out

    def farewell(self) -> list[bytes]:
        """Tell the peer that we leave."""
        return [wire.control(Control.SHUTDOWN, self._peer)] if self.state is State.OPEN else []

    # The handshake, 4.3.1.

    def _request(self) -> bytes:
        if self.state is State.INDUCTION:
            body = Handshake(wire.INDUCTION, 4, 0, 2, self._sequence, self._socket)
            return wire.control(Control.HANDSHAKE, 0, bytes(body))
        latency = round(self.latency * 1_000)
        said = wire.VERSION.to_bytes(4) + wire.FLAGS.to_bytes(4) + latency.to_bytes(2) + latency.to_bytes(2)
        extensions, flags = [(int(Extension.HSREQ), said)], 1
        if self._keys is not None:
            extensions.append((int(Extension.KMREQ), self._keys.message))
            flags |= 2
        if self._stream_id:
            extensions.append((int(Extension.SID), wire.stream_id(self._stream_id)))
            flags |= 4
        encryption = self._bits // 64 if self._keys is not None else 0
        body = Handshake(
            *(wire.CONCLUSION, 5, encryption, flags, self._sequence, self._socket, self._cookie, tuple(extensions))
        )
        return wire.control(Control.HANDSHAKE, 0, bytes(body))

    def _shake(self, answer: Handshake) -> None:
        if wire.FIRST_REJECTION <= answer.kind < wire.CONCLUSION:
            state, reason = _REJECTIONS.get(answer.kind, (CameraState.REJECTED, f"it refuses with {answer.kind}"))
            raise CameraError(state, reason)
        if self.state is State.INDUCTION and answer.kind == wire.INDUCTION:
            if answer.version != 5 or answer.extension != wire.MAGIC:
                raise CameraError(CameraState.REJECTED, "it speaks a version of SRT before 1.3")
            self._move(Event.COOKIE_CAME)
            self._cookie, self._handshake_at = answer.cookie, float("-inf")
        elif self.state is State.CONCLUSION and answer.kind == wire.CONCLUSION:
            if (said := answer.find(Extension.HSRSP)) is not None and len(said) >= 12:
                self.latency = max(
                    self.latency, int.from_bytes(said[8:10]) / 1_000, int.from_bytes(said[10:12]) / 1_000
                )
            keys = answer.find(Extension.KMRSP)
            if self._keys is not None and (keys is None or len(keys) <= 4):  # a state in place of the keys: 3.2.2
                raise CameraError(CameraState.UNAUTHORIZED, "it does not take the passphrase")
            self._move(Event.ACCEPTED)
            self._peer, self._expected = answer.socket, answer.sequence

    def _move(self, event: Event) -> None:
        self.state = TRANSITIONS[self.state][event]

    def _take_control(self, told: Told, now: float) -> list[bytes]:
        match told.kind:
            case Control.HANDSHAKE:
                self._shake(Handshake.parse(told.body))
                return self.due(now)
            case Control.SHUTDOWN if self.state is State.OPEN:
                self._move(Event.SHUT_DOWN)
                raise CameraError(CameraState.CLOSED, "it has ended the connection")
            case Control.ACKACK:
                sent = self._asked_at.pop(told.info, None)
                if sent is not None:
                    self._round_trip += (min(now - sent, 1.0) - self._round_trip) / 8
            case Control.DROP:
                self._drop(told.body)
            case Control.USER if told.subtype == Extension.KMREQ and self._keys is not None:
                self._keys.learn(told.body)
                return [wire.control(Control.USER, self._peer, told.body, subtype=Extension.KMRSP)]
        return []

    # Data, 4.8.

    def _take_data(self, data: Data, now: float) -> list[bytes]:
        ahead = _distance(self._expected, data.sequence)
        if ahead < 0 or data.sequence in self._held:
            return []
        if ahead >= MOST_HELD:  # nothing of what was missing is to come
            self._skip_to(data.sequence)
            ahead = 0
        self.counts.received += 1
        payload = data.payload
        if data.key:
            if self._keys is None:
                raise CameraError(CameraState.UNAUTHORIZED, "the stream is encrypted: add ?passphrase= to the URL")
            payload = self._keys.decrypt(payload, data.sequence, data.key)
        if not ahead:
            self._ready.append(payload)
            self._expected = (self._expected + 1) % SEQUENCES
            self._advance(now)
            return []
        if not self._held:
            self._late_at, self._nak_at = now + self.latency, float("-inf")
        self._held[data.sequence] = payload
        return self._ask_again(now)

    def _advance(self, now: float) -> None:
        while (payload := self._held.pop(self._expected, None)) is not None:
            self._ready.append(payload)
            self._expected = (self._expected + 1) % SEQUENCES
        self._late_at = now + self.latency

    def _skip_to(self, sequence: int) -> None:
        """Give up what is missing before that."""
        while self._expected != sequence and self._held:
            if (payload := self._held.pop(self._expected, None)) is not None:
                self._ready.append(payload)
            else:
                self.counts.given_up += 1
            self._expected = (self._expected + 1) % SEQUENCES
        self._expected = sequence

    def _give_up(self, now: float) -> None:
        if self._held and now >= self._late_at:
            self._skip_to(self._next_held(self._expected))
            self._advance(now)

    def _drop(self, body: bytes) -> None:
        """The sender will not send these any more (3.2.9)."""
        first, last, *_ = [*wire.words_of(body), 0, 0]
        if _distance(self._expected, first % SEQUENCES) <= 0 <= _distance(self._expected, last % SEQUENCES):
            self._skip_to((last + 1) % SEQUENCES)
            self._advance(self._late_at - self.latency)

    def _acknowledge(self, now: float) -> list[bytes]:
        if now - self._ack_at < ACK_EVERY or self._expected == self._acknowledged:
            return []
        self._ack_at, self._acknowledged = now, self._expected
        self._acks = self._acks % 0xFFFFFFFF + 1
        self._asked_at = {number: at for number, at in self._asked_at.items() if now - at < 1.0} | {self._acks: now}
        body = wire.acknowledgement(self._expected, round(self._round_trip * 1e6), MOST_HELD - len(self._held))
        return [wire.control(Control.ACK, self._peer, body, info=self._acks)]

    def _ask_again(self, now: float) -> list[bytes]:
        if not self._held or now - self._nak_at < max(NAK_EVERY, self._round_trip):
            return []
        self._nak_at = now
        return [wire.control(Control.NAK, self._peer, wire.losses(self._missing()))]

    def _missing(self) -> Iterator[tuple[int, int]]:
        """First and last of each gap, the oldest ones."""
        at, left = self._expected, len(self._held)
        for _ in range(MOST_RUNS):
            held = self._next_held(at)
            yield at, (held - 1) % SEQUENCES
            at = held
            while at in self._held:
                at, left = (at + 1) % SEQUENCES, left - 1
            if not left:
                return

    def _next_held(self, at: int) -> int:
        """The first packet from there on that has come; there is one."""
        while at not in self._held:
            at = (at + 1) % SEQUENCES
        return at


def _distance(before: int, after: int) -> int:
    """How far ``after`` is ahead; less than 0 if it is behind."""
    return (after - before + SEQUENCES // 2) % SEQUENCES - SEQUENCES // 2
