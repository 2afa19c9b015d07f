"""The hot path: the same packets to many viewers, each with its own key. Terse on purpose.

Each viewer costs one encryption per packet and one message per run. Everything else is done once for all viewers:

* payloads are shared, and never copied for a viewer;
* headers are shared: all viewers of a track get the same SSRC and timestamps, so lanes with the same payload type and
  header extensions (``Group.key``) form a ``Group`` whose headers differ only in the sequence number;
* UDP GSO sends a run of equal-sized packets, the last of which may be smaller, in one message.

If ``egress.native`` was built, one call does the remaining work for all viewers. Otherwise, and for peers without GCM,
this module does the same, byte for byte, at two to three times the cost:

* ``AESGCM.encrypt_into`` writes into one scratch buffer that already contains the headers, so a run is one contiguous
  buffer: 1.54 µs per packet, against 1.80 with a header per viewer and ``encrypt`` (14 packets of 1,188 bytes to 100
  viewers over loopback; 0.65 of it is the kernel's);
* headers are rewritten only for a lane whose number differs from that of the lane before. New viewers have equal
  numbers; those that have skipped something have their own.

The transport-wide sequence number of a probe is its RTP sequence number. It grows as the extension demands, and needs
no header per viewer. If a receiver is told a playout delay, every packet carries both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from operator import attrgetter

from egress import native
from egress.media.group import (
    EXTENSIONS_SIZE,
    GCM_TAG_SIZE,
    HEADER_SIZE,
    Audience,
    Group,
    Lane,
    Member,
    write_header,
)
from egress.media.history import Packet, Span, Unit
from egress.media.target import MAX_SEGMENTS, Refusal

MAX_RUN_BYTES = 64_000  # one UDP datagram before segmentation: 65,535 bytes less headers

OVERHEAD = HEADER_SIZE + EXTENSIONS_SIZE + GCM_TAG_SIZE
_scratch = memoryview(bytearray(65_536))

_Draft = tuple[Packet, memoryview, memoryview]  # a packet, and where its header and its payload go
_Slot = tuple[int, bytes, bytes, memoryview]  # number less what all have in common, payload, header, where payload goes


def cuts(sizes: Sequence[int]) -> list[int]:
    """Cut payloads of these sizes into runs for GSO: equal sizes, of which only the last may be smaller.

    Returns how many payloads each run has. Most pictures are a single run: seeing that at once takes 1 µs, and looking
    at each of eight payloads takes 5.
    """
    if not sizes:
        return []
    count, size, last = len(sizes), sizes[0], sizes[-1]
    equal = sizes.count(size) - (last == size)  # but for the last
    if equal == count - 1 and last <= size and count <= _room(size):
        return [count]
    counts, start, room = [], 0, _room(size)
    for at, length in enumerate(sizes):
        if at > start and (length > size or sizes[at - 1] < size or at - start >= room):
            counts.append(at - start)
            start = at
        if at == start:
            size, room = length, _room(length)
    return [*counts, count - start]


def _room(size: int) -> int:
    return min(MAX_SEGMENTS, MAX_RUN_BYTES // (size + OVERHEAD))


def cuts_of(spans: Sequence[Span]) -> list[int]:
    """The packets of each run that spans are cut into, where ``runs`` would cut their packets."""
    counts = []
    for _, alike in groupby(spans, lambda span: span[0].probe):
        counts += cuts([len(payload) for unit, start, stop in alike for payload in unit.payloads[start:stop]])
    return counts


def runs(packets: Sequence[Packet]) -> Iterator[Sequence[Packet]]:
    """Cut packets into runs for GSO, also where probes begin or end, because their headers are longer."""
    start = 0
    for _, alike in groupby(packets, attrgetter("probe")):
        for count in cuts([len(packet.payload) for packet in alike]):
            yield packets[start : start + count]
            start += count


class Parcel:
    """Packets cut into ``runs``, for any lane of ``group``; their headers lack only the sequence number."""

    __slots__ = ("_compiled", "_cuts", "_runs", "_spans", "group", "packets")

    def __init__(self, runs: Sequence[Sequence[Packet]], group: Group) -> None:
        self.group = group
        self.packets = sum(map(len, runs))
        self._runs: Sequence[Sequence[Packet]] | None = runs
        self._spans: Sequence[Span] = ()
        self._cuts: Sequence[int] = ()
        self._compiled: native.PackedParcel | None = None

    @classmethod
    def of_spans(cls, spans: Sequence[Span], cuts: Sequence[int], group: Group) -> Parcel:
        """The packets of spans, in runs of so many. A batch has one header, but for the marker of its last."""
        parcel = cls((), group)
        parcel.packets, parcel._runs, parcel._spans, parcel._cuts = sum(cuts), None, spans, cuts
        return parcel

    @property
    def runs(self) -> Sequence[Sequence[Packet]]:
        """The packets of each run; of spans they are made when somebody asks."""
        if self._runs is None:
            packets = [packet for unit, start, stop in self._spans for packet in unit.span(start, stop)]
            self._runs = [packets[span] for span in self._slices()]
        return self._runs

    @property
    def compiled(self) -> native.PackedParcel:
        """The parcel as the compiled loop takes it, made when it is first asked for."""
        if self._compiled is None:
            if len(self._spans) == len(self._cuts) == 1:
                ((unit, start, stop),) = self._spans
                whole = stop - start == len(unit.payloads)
                payloads = unit.payloads if whole else unit.payloads[start:stop]
                self._compiled = native.PackedParcel.alike(*self._headers(unit, stop), payloads)
            else:
                self._compiled = native.PackedParcel(self._drafts_of_spans() if self._spans else [*self._drafts()])
        return self._compiled

    def _drafts(self) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Headers and payloads of each run."""
        for run in self.runs:
            yield [write_header(packet, 0, self.group) for packet in run], [packet.payload for packet in run]

    def _drafts_of_spans(self) -> list[tuple[list[bytes], list[bytes]]]:
        """Headers and payloads of each run, from spans."""
        headers: list[bytes] = []
        payloads: list[bytes] = []
        for unit, start, stop in self._spans:
            payloads += unit.payloads[start:stop]
            header, last = self._headers(unit, stop)
            headers += [*[header] * (stop - start - 1), last]
        if len(self._cuts) == 1:
            return [(headers, payloads)]
        return [(headers[span], payloads[span]) for span in self._slices()]

    def _headers(self, unit: Unit, stop: int) -> tuple[bytes, bytes]:
        """The header of a unit's packets before ``stop``, and that of the last one, which may have the marker."""
        header = write_header(Packet(b"", unit.timestamp, 0, unit.probe), 0, self.group)
        if not unit.marker or stop != len(unit.payloads):
            return header, header
        return header, write_header(Packet(b"", unit.timestamp, unit.marker, unit.probe), 0, self.group)

    def _slices(self) -> list[slice]:
        """The place of each run among all packets."""
        return [slice(end - size, end) for end, size in zip(accumulate(self._cuts), self._cuts, strict=True)]


def fan_out(parcel: Parcel, first: int, audience: Audience, start: int = 0, stop: int | None = None) -> dict[Lane, int]:
    """Send ``parcel``, whose first packet has index ``first``, to the members from ``start`` to before ``stop``.

    Returns the lanes that did not get everything because the socket's buffer is full, and the index of the first packet
    that each lacks. Over UDP that is the first of a run: once part of a run has left, its numbers are used up, so the
    whole run counts as sent, and the rest is lost as it might be on any path. A connection knows which packets it took.
    """
    border, stop = audience.border, len(audience.members) if stop is None else stop
    if start < stop <= border:
        return _fan_out_compiled(parcel, first, audience, start, stop)
    lacking: dict[Lane, int] = {}
    if start < min(stop, border):
        lacking |= _fan_out_compiled(parcel, first, audience, start, min(stop, border))
    if stop > border:
        lacking |= _fan_out_plain(parcel, first, audience.members[max(start, border) : stop])
    return lacking


def _fan_out_compiled(parcel: Parcel, first: int, audience: Audience, start: int, stop: int) -> dict[Lane, int]:
    return lacking_of(audience.compiled.send(parcel.compiled, first, start, stop), parcel, first, audience)


def lacking_of(refused: native.Refused, parcel: Parcel, first: int, audience: Audience) -> dict[Lane, int]:
    """The lanes that did not get all because the socket's buffer is full, as ``fan_out`` has them.

    ``refused`` is what the compiled loop says of a parcel.
    """
    lacking: dict[Lane, int] = {}
    for at, sent, code in refused:
        lane, target = audience.members[at]
        rest, index = parcel.runs[sent:], first + sum(map(len, parcel.runs[:sent]))
        match target.refused(code, segmented=bool(rest)):
            case Refusal.FULL if rest:
                lacking[lane] = index
            case Refusal.NO_GSO:  # the same bytes again, so no nonce is used for two different packets
                audience.renew()
                lacking |= fan_out(Parcel(rest, parcel.group), index, Audience([(lane, target)]))
    return lacking


def _fan_out_plain(parcel: Parcel, first: int, lanes: Sequence[Member]) -> dict[Lane, int]:
    lacking: dict[Lane, int] = {}
    for run in parcel.runs:
        if blocked := _send_run(run, first, parcel.group, lanes):
            for lane, taken in blocked.items():
                lacking[lane] = first + taken
                lane.count(taken, sum([len(packet.payload) for packet in run[:taken]]))
            lanes = [each for each in lanes if each[0] not in lacking]
        octets = sum([len(packet.payload) for packet in run])
        for lane, _ in lanes:
            lane.count(len(run), octets)
        first += len(run)
    return lacking


def _send_run(run: Sequence[Packet], first: int, group: Group, lanes: Sequence[Member]) -> dict[Lane, int]:
    """Returns the lanes that did not get all, and how many packets each got."""
    drafts: list[_Draft] = []
    end = 0
    for packet in run:
        start = end + group.header_size(packet)
        stop = start + len(packet.payload) + GCM_TAG_SIZE
        drafts.append((packet, _scratch[end:start], _scratch[start:stop]))
        end = stop
    datagrams, size = _scratch[:end], len(drafts[0][1]) + len(drafts[0][2])
    slots: list[_Slot] = []
    written = None  # the first packet's number in ``slots``
    blocked = {}
    for lane, target in lanes:
        number = first - lane.base
        if number != written:
            written, slots = number, _number(drafts, number, group)
        if encrypt := lane.encrypt_into:
            iv = lane.iv ^ (number & ~0xFFFF)  # RFC 7714 8.1: SSRC || ROC || SEQ, xor the salt
            for low, payload, header, out in slots:
                encrypt((iv ^ low).to_bytes(12, "big"), payload, header, out)
            sent = target.send_run(datagrams, size)
        else:
            protected = [lane.protect(header + payload) for _, payload, header, _ in slots]
            sent = target.send_run(memoryview(b"".join(protected)), len(protected[0]))
        if not sent:
            blocked[lane] = target.taken
    return blocked


def _number(drafts: Sequence[_Draft], first: int, group: Group) -> list[_Slot]:
    """Write the headers of packets whose extended sequence numbers begin with ``first``."""
    high = first & ~0xFFFF
    slots = []
    for number, (packet, head, out) in enumerate(drafts, first):
        head[:] = header = write_header(packet, number & 0xFFFF, group)
        slots.append((number ^ high, packet.payload, header, out))
    return slots
