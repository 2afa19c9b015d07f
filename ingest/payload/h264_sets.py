"""The H.264 parameter sets in force for one track, and what to put before its keyframes; no I/O."""

from __future__ import annotations

import base64
import binascii

from ingest.payload.h264_syntax import SPS, SequenceParameterSet, parse_pps_ids, parse_sps

MAX_PICTURE_SETS = 16  # they all travel with every keyframe; cameras have one


class ParameterSets:
    """Parameter sets by id. Those from the stream itself replace those from the session description."""

    def __init__(self, sprop: str = "") -> None:
        self.active: SequenceParameterSet | None = None
        self._sequence: dict[int, bytes] = {}
        self._picture: dict[int, tuple[bytes, int]] = {}  # with the id of the sequence parameter set it refers to
        self._in_band = False
        for text in sprop.split(","):
            try:
                unit = base64.b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                continue
            for nal in unit.split(b"\0\0\1"):  # some cameras leave start codes in
                if nal := nal.strip(b"\0"):
                    self._learn(nal)

    def learn(self, nal: bytes) -> bool:
        """A parameter set came in the stream. Whether it could be read; if not, it is ignored."""
        if not self._in_band and nal[0] & 0x1F == SPS:
            self._sequence.clear()
            self._picture.clear()
            self._in_band = True
        return self._learn(nal)

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
