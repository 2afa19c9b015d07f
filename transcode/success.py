"""Whether a conversion makes anything of what comes, judged again and again; no I/O, no clock."""

from __future__ import annotations

from common.media import Kind, Track

JUDGED = 25  # access units: a second of pictures; half a second of sound
FAILING = 0.5  # share of them of which nothing could be made

LARGEST = 7680 * 4320  # samples of a picture that are decoded: 8K takes 50 MB, and a decoder keeps up to 17
_MEND = {
    Kind.VIDEO: "restart the camera's stream, or set it to H.264",
    Kind.AUDIO: "set the camera's sound to G.711 or AAC-LC",
}


class Success:
    """The judge of one conversion.

    ``problem`` is ``None`` until ``JUDGED`` units have come, and empty while enough is made.
    """

    def __init__(self, track: Track) -> None:
        self.problem: str | None = None
        self._track = track
        self._units = self._undecodable = 0  # when it was judged last

    def hear(self, units: int, undecodable: int) -> None:
        """Judge by all units that were worked on since the beginning, and those of which nothing could be made."""
        if units - self._units < JUDGED:
            return
        failed = undecodable - self._undecodable > FAILING * (units - self._units)
        self._units, self._undecodable = units, undecodable
        self.problem = self._said() if failed else ""

    def _said(self) -> str:
        track = self._track
        if track.width * track.height > LARGEST:
            size = f"{track.width} by {track.height} pixels"
            return f"its picture of {size} is larger than Camshaft converts (8K); set a smaller one"
        what = "picture" if track.kind is Kind.VIDEO else "sound"
        return (
            f"its {what} cannot be decoded as {track.name}: damaged, or not what it claims to be; {_MEND[track.kind]}"
        )
