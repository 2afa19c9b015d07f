"""One rendition made of another: batches in from the bus, batches out to it, and a thread's work between them.

Units wait in one queue, in order, and one thread at a time works on them. What a codec does with them holds no lock of
Python's, so a process carries as many conversions as it has cores.

* A unit is decoded always, because the next ones need it, and shown only if few wait behind it: a cached group of
  pictures, or a moment without a core, is caught up with by decoding alone, and the newest picture comes first.
* A queue of ``MAX_WAITING`` has no end in sight: all of it is given up, and it goes on with the next keyframe.
* What was made leaves at once: a turn ends with the first unit that is shown.
* Sound is worked on in the event loop, together with that of others (``transcode.gathering``), unless it takes long.
* When the source's session starts anew (another epoch), so does the conversion: its times have nothing to do with the
  old ones, and what a thread still makes of these is dropped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from common.log import Logger
from common.media import CLOCK_RATES, MAX_PAYLOAD, Batch, Flags, Track
from common.payload.assembler import AccessUnit, Assembler
from common.payload.output import Output, pieces
from common.worker.incoming import Sink
from transcode.gathering import SMALL, Gathering, LoopTime
from transcode.success import Success

SHOWN_BEFORE = 3  # units that may wait behind one that is shown: more is a burst, or too slow a machine
MAX_WAITING = 600  # units: the pictures of twenty seconds, and the sound of twelve …
MAX_WAITING_BYTES = 32 << 20  # … and bytes of them: a group of pictures of 16 MiB, and what comes meanwhile
UNITS_A_TURN = 16  # that a thread works on before others have theirs

_KEYFRAME = int(Flags.KEYFRAME)
_STAP_A, _FU_A = 24, 28  # RFC 6184 5.7.1, 5.8


@dataclass(frozen=True, slots=True)
class Made:
    """The product of an access unit. Times are Unix nanoseconds."""

    payloads: list[bytes]
    keyframe: bool
    capture_ns: int
    arrival_ns: int


class Converter(Protocol):
    """Turns access units of one codec into payloads of another. It is called by one thread at a time."""

    undecodable: int

    def convert(self, unit: AccessUnit, *, show: bool) -> list[Made]:
        """Take the next unit. What comes of it; nothing need come of one that is not to be shown."""


class Conversion:
    """A sink for one track of a rendition. ``publish`` is called in the event loop with what was made of it.

    With ``gathering`` it works there on what it can.
    """

    def __init__(
        self,
        source: Track,
        made: Track,
        make: Callable[[], Converter],
        publish: Callable[[list[Batch]], object],
        executor: Executor,
        log: Logger,
        *,
        epoch: int,
        gathering: Gathering | None = None,
    ) -> None:
        self.units = 0  # that have come
        self.made = 0  # of them
        self.given_up = 0  # because too many waited
        self.keyframe: AccessUnit | None = None  # the newest
        self.failed = 0  # times that the converter had to be made anew
        self._make, self._converter = make, make()
        self._undecodable = 0  # of converters before this one
        self._assembler = Assembler(source.kind, source.codec)
        self._clock = _Stamped()
        self._output = Output(made.kind, made.codec, self._clock, epoch)
        self._clock_rate = CLOCK_RATES[made.codec]
        self._zero_ns: int | None = None  # capture time of the epoch's first timestamp …
        self._zero = 0  # … which is this one: they go on over epochs
        self._timestamp = 0  # the last one
        self._success = Success(source)
        self._worked_on = 0  # units, by converters
        self._publish = publish
        self._executor = executor
        self._log = log
        self._waiting: deque[AccessUnit] = deque()
        self._pushed = self._taken = 0  # bytes; the second is counted by threads, one at a time
        self._source_epoch: int | None = None
        self._generation = 0  # of the converter: what an older one makes is dropped
        self._gathering, self._loop_time = gathering, LoopTime()
        self._working = False
        self._closed = False

    @property
    def undecodable(self) -> int:
        """Access units of which nothing could be made."""
        return self._undecodable + self._converter.undecodable + self._assembler.damaged

    @property
    def problem(self) -> str | None:
        """Why too little comes of it; empty if enough does, ``None`` while that cannot be told yet."""
        return self._success.problem

    @property
    def counters(self) -> Counter[str]:
        """The conversion's counters, as reports have them."""
        return Counter(
            units=self.units,
            units_made=self.made,
            units_given_up=self.given_up,
            units_undecodable=self.undecodable,
            converters_failed=self.failed,
        )

    def push(self, batch: Batch, now: float) -> None:
        """Take the next batch of the source."""
        if batch.epoch != self._source_epoch:
            if self._source_epoch is not None:
                self._begin_anew()
            self._source_epoch = batch.epoch
        unit = self._assembler.push(batch)
        if unit is None or self._closed:
            self._judge()  # it may have been damaged
            return
        self.units += 1
        if unit.keyframe:
            self.keyframe = unit
        if len(self._waiting) >= MAX_WAITING or self._pushed - self._taken > MAX_WAITING_BYTES:
            self.given_up += len(self._waiting)
            self._forget_waiting()
            self._assembler.lost()
            return
        self._waiting.append(unit)
        self._pushed += len(unit.data)
        if self._working:
            return
        if self._gathering is None:
            self._start()
        else:
            self._working = True
            self._gathering.add(self._work_here)

    def pause(self) -> None:
        """Do nothing: a burst comes next, and the queue's length tells that as well."""

    def close(self) -> None:
        """Work on nothing more."""
        self._closed = True
        self._forget_waiting()

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._pushed = self._taken

    def _begin_anew(self) -> None:
        """Begin another epoch of the source, and of what is made of it."""
        self._renew_converter()
        self._zero_ns, self._zero = None, self._timestamp + 1
        self._output.renew(self._output.epoch + 1)

    def _renew_converter(self) -> None:
        self._generation += 1
        self._undecodable += self._converter.undecodable
        self._converter = self._make()
        self._assembler.lost()
        self._forget_waiting()
        self._waiting = deque()  # the old one is the old converter's, which may be at work

    def _start(self) -> None:
        self._working = True
        turn = asyncio.get_running_loop().run_in_executor(self._executor, self._work, self._converter, self._waiting)
        turn.add_done_callback(partial(self._worked, self._generation))

    def _work_here(self, now: float) -> None:
        """Turns in the event loop, for all that waits."""
        self._working = False
        while self._waiting and self._pushed - self._taken <= SMALL and self._loop_time.left(now):
            began, made, error = time.thread_time(), list[Made](), None
            try:
                made = self._work(self._converter, self._waiting)
            except Exception as exc:  # whatever a codec throws, as a thread's future keeps it
                error = exc
            self._loop_time.spent(began)
            self._end_turn(self._generation, made, error)
        if self._waiting and not self._working:
            self._start()

    def _work(self, converter: Converter, waiting: deque[AccessUnit]) -> list[Made]:
        """In a thread: a turn's units, until something is to be sent."""
        for _ in range(UNITS_A_TURN):
            try:
                unit = waiting.popleft()
            except IndexError:
                break
            self._taken += len(unit.data)
            self._worked_on += 1
            if made := converter.convert(unit, show=len(waiting) <= SHOWN_BEFORE):
                return made
        return []

    def _worked(self, generation: int, turn: asyncio.Future[list[Made]]) -> None:
        self._working = False
        if turn.cancelled():
            return
        error = turn.exception()
        self._end_turn(generation, [] if error is not None else turn.result(), error)
        if self._waiting:
            self._start()

    def _end_turn(self, generation: int, made: list[Made], error: BaseException | None) -> None:
        if self._closed:
            return
        if error is not None and generation == self._generation:
            self.failed += 1
            self._undecodable += 1
            self._log.warning("a converter failed; making a new one", reason=f"{type(error).__name__}: {error}")
            self._renew_converter()
        elif error is None and generation == self._generation:
            self._send(made)
        self._judge()

    def _judge(self) -> None:
        self._success.hear(self._worked_on + self._assembler.damaged, self.undecodable)

    def _send(self, made: list[Made]) -> None:
        for each in made:
            if self._zero_ns is None:
                self._zero_ns = each.capture_ns
            self._clock.stamp_ns = each.capture_ns
            self._timestamp = self._zero + (each.capture_ns - self._zero_ns) * self._clock_rate // 10**9
            flags = _KEYFRAME if each.keyframe else 0
            self._output.send_unit(each.payloads, self._timestamp, each.arrival_ns, flags)
        self.made += len(made)
        if made:
            self._publish(self._output.take(0))


class _Stamped:
    """The capture clock of units that bring their time along."""

    def __init__(self) -> None:
        self.stamp_ns = 0

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        return self.stamp_ns


def h264_payloads(units: list[bytes]) -> list[bytes]:
    """The NAL units of an access unit as RFC 6184 has them: parameter sets in one packet, slices in equal fragments."""
    small = [unit for unit in units if unit[0] & 0x1F > 5]
    payloads = []
    if len(small) > 1:
        head = max(unit[0] & 0x60 for unit in small) | _STAP_A
        payloads.append(bytes((head,)) + b"".join(len(unit).to_bytes(2, "big") + unit for unit in small))
    else:
        payloads += small
    for unit in units:
        if unit[0] & 0x1F <= 5:
            payloads += _fragments(unit)
    return payloads


def _fragments(unit: bytes) -> list[bytes]:
    if len(unit) <= MAX_PAYLOAD:
        return [unit]
    parts = pieces(unit[1:], MAX_PAYLOAD - 2)
    bits = bytearray([unit[0] & 0x1F] * len(parts))
    bits[0] |= 0x80
    bits[-1] |= 0x40
    return [bytes((unit[0] & 0xE0 | _FU_A, bit)) + part for bit, part in zip(bits, parts, strict=True)]


class Several:
    """The sinks of one track: none, where nobody wants it."""

    def __init__(self) -> None:
        self.sinks: list[Sink] = []

    def push(self, batch: Batch, now: float) -> None:
        """See ``Sink``."""
        for sink in tuple(self.sinks):  # one may have enough with this
            sink.push(batch, now)

    def pause(self) -> None:
        """See ``Sink``."""
        for sink in self.sinks:
            sink.pause()
