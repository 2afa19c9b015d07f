"""The H.264 parameter sets in force for one track, and what to put before its keyframes; no I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from itertools import islice

from ingest.payload.h264_syntax import SPS, SequenceParameterSet, parse_pps_ids, parse_sps

MAX_PICTURE_SETS = 16  # they all travel with every keyframe; cameras have one
MAX_ANNOUNCED = 32  # NAL units of a session description that are looked at …
MAX_ANNOUNCED_SEQUENCE_SETS = 2  # … and as many of them that take long to read; cameras announce one


class ParameterSets:
    """Parameter sets by id. The first of a kind in the stream replaces those that the session description announced."""

    def __init__(self, sprop: str = "") -> None:
        self.active: SequenceParameterSet | None = None
        self._sequence: dict[int, bytes] = {}
        self._picture: dict[int, tuple[bytes, int]] = {}  # with the id of the sequence parameter set it refers to
        self._in_band: set[int] = set()  # kinds of NAL unit
        sequence_sets = 0
        for nal in islice(_announced(sprop), MAX_ANNOUNCED):
            sequence_sets += nal[0] & 0x1F == SPS
            if sequence_sets <= MAX_ANNOUNCED_SEQUENCE_SETS or nal[0] & 0x1F != SPS:
                self._learn(nal)

    def learn(self, nal: bytes) -> bool:
        """A parameter set came in the stream. Whether it could be read; if not, it is ignored."""
        kind = nal[0] & 0x1F
        if not self._learn(nal):
            return False
        if kind not in self._in_band:
            self._in_band.add(kind)
            if kind == SPS:
                self._sequence = {key: each for key, each in self._sequence.items() if each == nal}
            else:
                self._picture = {key: each for key, each in self._picture.items() if each[0] == nal}
        return True

    def _learn(self, nal: bytes) -> bool:
        try:
            if nal[0] & 0x1F == SPS:
                self._learn_sequence(nal)
            else:
                identifier, sequence = parse_pps_ids(nal)
                if identifier not in self._picture and len(self._picture) >= MAX_PICTURE_SETS:
                    return False
                self._picture[identifier] = (nal, sequence)
        except ValueError:
            return False
        return True

    def _learn_sequence(self, nal: bytes) -> None:
        if self.active is not None and self._sequence.get(self.active.id) == nal:
            return
        sps = parse_sps(nal)
        self._sequence[sps.id] = nal
        self.active = sps

    def units(self) -> list[bytes]:
        """NAL units that have to stand before an IDR picture; none while some are missing."""
        pictures = [nal for nal, sequence in self._picture.values() if sequence in self._sequence]
        return [*self._sequence.values(), *pictures] if pictures else []


def _announced(sprop: str) -> Iterator[bytes]:
    """The NAL units of ``sprop-parameter-sets`` (RFC 6184 8.1)."""
    for text in sprop.split(",", MAX_ANNOUNCED)[:MAX_ANNOUNCED]:
        try:
            unit = base64.b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            continue
        for nal in unit.split(b"\0\0\1", MAX_ANNOUNCED):  # some cameras leave start codes in
            if nal := nal.strip(b"\0"):
                yield nal
