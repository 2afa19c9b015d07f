"""The H.264 parameter sets in force for one track, and what to put before its keyframes; no I/O.

What goes before a keyframe stays short: the sequence parameter set that its slices refer to, which counts until the
next IDR picture (H.264 7.4.1.2.1), and the newest picture parameter sets that belong to it.
"""

from __future__ import annotations

from itertools import islice

from common.payload.h264_syntax import SPS, SequenceParameterSet, parse_pps_ids, parse_sps
from ingest.payload.parameter_sets import MAX_ANNOUNCED, ParameterSetStore, announced

MAX_PICTURE_SETS = 16  # before one keyframe; cameras have one
MAX_BYTES = 64 << 10  # of all that are kept: the oldest go first
MAX_ANNOUNCED_SEQUENCE_SETS = 2  # of a session description that are looked at: they take long; cameras announce one


class ParameterSets:
    """Sequence and picture parameter sets of one track."""

    def __init__(self, sprop: str = "") -> None:
        self.active: SequenceParameterSet | None = None  # of the last keyframe; before one, the last that was learnt
        self._activated = False  # by a keyframe
        self._sequence: ParameterSetStore[SequenceParameterSet] = ParameterSetStore()
        self._picture: ParameterSetStore[int] = ParameterSetStore()  # with the id of the sequence parameter set
        sequence_sets = 0
        for nal in islice(announced(sprop), MAX_ANNOUNCED):
            sequence_sets += nal[0] & 0x1F == SPS
            if sequence_sets <= MAX_ANNOUNCED_SEQUENCE_SETS or nal[0] & 0x1F != SPS:
                self._learn(nal)

    @property
    def several(self) -> bool:
        """Whether a slice has to say which picture parameter set it refers to."""
        return len(self._picture) > 1

    @property
    def missing(self) -> str:
        """The parameter set without which no picture can be decoded; empty if both are there."""
        return "" if len(self._sequence) and len(self._picture) else "PPS" if len(self._sequence) else "SPS"

    def learn(self, nal: bytes) -> bool:
        """A parameter set came in the stream. Whether it could be read; if not, it is ignored."""
        if not self._learn(nal):
            return False
        (self._sequence if nal[0] & 0x1F == SPS else self._picture).came_in_band(nal)
        return True

    def units(self, picture_set: int | None = None) -> list[bytes]:
        """NAL units that have to stand before a keyframe whose slices refer to that picture parameter set, which makes
        its sequence parameter set the active one; none while some are missing. ``None``: to the newest."""
        complete = [(key, each) for key, each in self._picture.items() if each[1] in self._sequence]
        chosen = [each for key, each in complete if picture_set is None or key == picture_set][-1:]
        if not chosen:
            return []
        newest, sequence_set = chosen[0]
        first, self.active = self._sequence[sequence_set]
        self._activated = True
        others = [each[0] for _, each in complete if each[1] == sequence_set and each is not chosen[0]]
        return [first, *others[-(MAX_PICTURE_SETS - 1) :], newest]

    def _learn(self, nal: bytes) -> bool:
        try:
            if nal[0] & 0x1F == SPS:
                self._learn_sequence(nal)
            else:
                identifier, sequence = parse_pps_ids(nal)
                self._picture.add(identifier, nal, sequence)
        except ValueError:
            return False
        while self._sequence.size + self._picture.size > MAX_BYTES:
            if len(self._picture) > 1:
                self._picture.drop_oldest()
            else:
                self._sequence.drop_oldest()
        return True

    def _learn_sequence(self, nal: bytes) -> None:
        if not self._sequence.renew(nal):
            sps = parse_sps(nal)
            self._sequence.add(sps.id, nal, sps)
            if self.active is None or not self._activated or sps.id == self.active.id:
                self.active = sps
