"""The H.264 parameter sets in force for one track, and what to put before its keyframes; no I/O.

All ids that the standard has are kept: encoders may take the next one for each keyframe (OpenH264's INCREASING_ID) and
refer to old ones later. What goes before a keyframe stays short: the sequence parameter set that its slices refer to,
which counts until the next IDR picture (H.264 7.4.1.2.1), and the newest picture parameter sets that belong to it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from itertools import islice

from ingest.payload.h264_syntax import SPS, SequenceParameterSet, parse_pps_ids, parse_sps

MAX_PICTURE_SETS = 16  # before one keyframe; cameras have one
MAX_BYTES = 64 << 10  # of all that are kept: the oldest go first
MAX_ANNOUNCED = 32  # NAL units of a session description that are looked at …
MAX_ANNOUNCED_SEQUENCE_SETS = 2  # … and as many of them that take long to read; cameras announce one


class ParameterSets:
    """Parameter sets by id. The first of a kind in the stream replaces those that the session description announced."""

    def __init__(self, sprop: str = "") -> None:
        self.active: SequenceParameterSet | None = None  # of the last keyframe; before one, the last that was learnt
        self._activated = False  # by a keyframe
        self._sequence: dict[int, tuple[bytes, SequenceParameterSet]] = {}  # by id, oldest first
        self._picture: dict[int, tuple[bytes, int]] = {}  # likewise, with the id of the sequence parameter set
        self._bytes = 0
        self._in_band: set[int] = set()  # kinds of NAL unit
        sequence_sets = 0
        for nal in islice(_announced(sprop), MAX_ANNOUNCED):
            sequence_sets += nal[0] & 0x1F == SPS
            if sequence_sets <= MAX_ANNOUNCED_SEQUENCE_SETS or nal[0] & 0x1F != SPS:
                self._learn(nal)

    @property
    def several(self) -> bool:
        """Whether a slice has to say which picture parameter set it refers to."""
        return len(self._picture) > 1

    def learn(self, nal: bytes) -> bool:
        """A parameter set came in the stream. Whether it could be read; if not, it is ignored."""
        kind = nal[0] & 0x1F
        if not self._learn(nal):
            return False
        if kind not in self._in_band:
            self._in_band.add(kind)
            if kind == SPS:
                self._sequence = {key: each for key, each in self._sequence.items() if each[0] == nal}
            else:
                self._picture = {key: each for key, each in self._picture.items() if each[0] == nal}
            self._bytes = sum(len(each[0]) for each in (*self._sequence.values(), *self._picture.values()))
        return True

    def units(self, picture_set: int | None = None) -> list[bytes]:
        """NAL units that have to stand before a keyframe whose slices refer to that picture parameter set, which makes
        its sequence parameter set the active one; none while some are missing. ``None``: to the newest."""
        if picture_set is None:
            complete = (key for key, each in reversed(self._picture.items()) if each[1] in self._sequence)
            picture_set = next(complete, None)
        chosen = self._picture.get(picture_set) if picture_set is not None else None
        if chosen is None or chosen[1] not in self._sequence:
            return []
        first, self.active = self._sequence[chosen[1]]
        self._activated = True
        others = [each[0] for each in self._picture.values() if each[1] == chosen[1] and each is not chosen]
        return [first, *others[-(MAX_PICTURE_SETS - 1) :], chosen[0]]

    def _learn(self, nal: bytes) -> bool:
        try:
            if nal[0] & 0x1F == SPS:
                self._learn_sequence(nal)
            else:
                identifier, sequence = parse_pps_ids(nal)
                self._bytes += len(nal) - len(self._picture.pop(identifier, (b"",))[0])
                self._picture[identifier] = (nal, sequence)
        except ValueError:
            return False
        while self._bytes > MAX_BYTES:
            sets: dict[int, tuple[bytes, int]] | dict[int, tuple[bytes, SequenceParameterSet]]
            sets = self._picture if len(self._picture) > 1 else self._sequence
            self._bytes -= len(sets.pop(next(iter(sets)))[0])
        return True

    def _learn_sequence(self, nal: bytes) -> None:
        for identifier, known in self._sequence.items():
            if known[0] == nal:
                self._sequence[identifier] = self._sequence.pop(identifier)
                break
        else:
            sps = parse_sps(nal)
            self._bytes += len(nal) - len(self._sequence.pop(sps.id, (b"",))[0])
            self._sequence[sps.id] = (nal, sps)
            if self.active is None or not self._activated or sps.id == self.active.id:
                self.active = sps


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
