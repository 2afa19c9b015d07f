"""A worker's report on its way to the broker: in one message or, where that would be too large, in parts; pure.

A report has no size that it may not have: whatever is beyond ``PART_BYTES`` goes into more parts. The broker takes the
parts of one report together, and keeps what it had while some are missing. What cannot be encoded is left out, and the
report is then ``partial``: of whatever it does not mention the broker keeps what it was told before.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace

from common.control import MAX_MESSAGE_BYTES, Report, StreamReport, ViewerReport, encode
from common.media import Rendition

PART_BYTES = MAX_MESSAGE_BYTES // 4  # of the streams, viewers and names in a part, so that the rest has room as well
_UNFIT = (TypeError, ValueError, OverflowError)  # what ``encode`` raises for what no message can hold
MAX_PARTS = 256  # half a gigabyte: what claims to have more is no report
MAX_ITEMS = (
    30_000  # streams, viewers and names of one report, kept while parts are missing; a process has a tenth of it
)


def split(report: Report, *, part_bytes: int = PART_BYTES) -> tuple[list[bytes], int]:
    """The messages that tell ``report``, and how many items had to be left out."""
    try:
        frame = encode(report)
    except _UNFIT:
        frame = b""
    if 0 < len(frame) <= part_bytes:
        return [frame], 0
    rest, bad = _rest(report)
    pieces: list[_Piece] = [_Piece()]
    for item, size in _sizes(report):
        if size > part_bytes:
            bad += 1
            continue
        if pieces[-1].size + size > part_bytes:
            pieces.append(_Piece())
        pieces[-1].add(item, int(size))
    partial = report.partial or bool(bad)
    frames = []
    for number, piece in enumerate(pieces):
        base = rest if number == 0 else replace(rest, counters={}, measured=())
        part = replace(
            base,
            served=tuple(piece.served),
            viewers=tuple(piece.viewers),
            subscribed=tuple(piece.subscribed),
            partial=partial,
            part=number,
            parts=len(pieces),
        )
        frames.append(encode(part))
    return frames, bad


class Parts:
    """The parts of reports that are not whole yet, at most one report of each node."""

    def __init__(self) -> None:
        self.dropped = 0  # parts that came to nothing, because others of their report did not come
        self._begun: dict[str, list[Report]] = {}

    def take(self, part: Report) -> Report | None:
        """The whole report if this was the last part of it."""
        if part.parts == 1:
            self.forget(part.node)
            return part
        begun = self._begun.get(part.node, [])
        if part.part == 0:
            self.dropped += len(begun)
            begun = []
        elif not _follows(begun, part):
            self.dropped += 1
            return None
        if not 1 < part.parts <= MAX_PARTS or sum(map(_items, (*begun, part))) > MAX_ITEMS:
            self.forget(part.node)
            self.dropped += 1
            return None
        self._begun[part.node] = [*begun, part]
        if len(begun) + 1 < part.parts:
            return None
        parts = self._begun.pop(part.node)
        return replace(
            parts[0],
            served=tuple(stream for each in parts for stream in each.served),
            viewers=tuple(viewer for each in parts for viewer in each.viewers),
            subscribed=tuple(camera for each in parts for camera in each.subscribed),
            partial=any(each.partial for each in parts),
            part=0,
            parts=1,
        )

    def forget(self, node: str) -> None:
        """Forget what a node has begun: it is gone, or tells everything anew."""
        self.dropped += len(self._begun.pop(node, ()))

    def keep(self, nodes: Container[str]) -> None:
        """Forget all nodes but these."""
        for node in [node for node in self._begun if node not in nodes]:
            self.forget(node)


def completed(report: Report, before: Report) -> Report:
    """A ``partial`` report, with what it leaves out as the same worker told it ``before``."""
    served = {stream.camera: stream for stream in (*before.served, *report.served)}
    viewers = {viewer.session: viewer for viewer in (*before.viewers, *report.viewers)}
    return replace(
        report,
        served=tuple(served.values()),
        viewers=tuple(viewers.values()),
        subscribed=report.subscribed or before.subscribed,
    )


_Item = StreamReport | ViewerReport | str


@dataclass(slots=True)
class _Piece:
    """The items of one part."""

    size: int = 0
    served: list[StreamReport] = field(default_factory=list)
    viewers: list[ViewerReport] = field(default_factory=list)
    subscribed: list[Rendition] = field(default_factory=list)

    def add(self, item: _Item, size: int) -> None:
        self.size += size
        match item:
            case StreamReport():
                self.served.append(item)
            case ViewerReport():
                self.viewers.append(item)
            case str():
                self.subscribed.append(Rendition(item))


def _rest(report: Report) -> tuple[Report, int]:
    """A report without its items, and 1 if more of it had to be left out."""
    rest = replace(report, served=(), viewers=(), subscribed=())
    try:
        encode(rest)
    except _UNFIT:
        return Report(report.node, report.role, report.incarnation, number=report.number), 1
    return rest, 0


def _sizes(report: Report) -> Iterator[tuple[_Item, float]]:
    """Each item with its bytes, infinite for one that cannot be encoded."""
    items: tuple[_Item, ...] = (*report.served, *report.viewers, *report.subscribed)
    for item in items:
        try:
            yield item, 4 * len(item) + 5 if isinstance(item, str) else len(encode(item))
        except _UNFIT:
            yield item, float("inf")


def _items(report: Report) -> int:
    return len(report.served) + len(report.viewers) + len(report.subscribed)


def _follows(begun: list[Report], part: Report) -> bool:
    """Whether ``part`` is the next of the report that has ``begun``."""
    return bool(begun) and (part.incarnation, part.number, part.parts, part.part) == (
        begun[0].incarnation,
        begun[0].number,
        begun[0].parts,
        len(begun),
    )
