"""Nothing is published between a loss and the next keyframe: a browser would show the damage, or freeze on it; no I/O.

The gate is closed at first, opened by a picture with which a decoder can start (RFC 5104 2.2: a decoder refresh point)
and closed again by data that is missing, damaged or cannot be decoded. While it is closed it knows why.
"""

from __future__ import annotations

NO_KEYFRAME_NS = 5_000_000_000  # without a keyframe; most cameras send one every 1 to 4 s
AWAITED = "waiting for its first keyframe"  # a hindrance that is none yet
NEVER_NS = 30_000_000_000  # after which none will come: longer than any group of pictures that a camera offers
TOO_LARGE = "its pictures are larger than 4 MB; set a lower bitrate, quality or resolution in the camera"
LONG_NS = NO_KEYFRAME_NS // 2  # after which anything will do that a decoder can start with


class KeyframeGate:
    """The gate of one track, closed by a loss and opened by a keyframe."""

    def __init__(self) -> None:
        self.keyframes = 0  # that have opened it, or come while it was open
        self.open = False
        self._waiting_ns = 0  # arrival of the first NAL unit since it was closed; 0 while it is open

    def arrived(self, arrival_ns: int) -> None:
        """Note the arrival (nanoseconds) of something that can be published only while the gate is open."""
        if not self.open and not self._waiting_ns:
            self._waiting_ns = arrival_ns

    def pass_keyframe(self) -> None:
        """Let everything through from now on: a keyframe begins, and can be decoded."""
        self.open = True
        self._waiting_ns = 0
        self.keyframes += 1

    def waits_long(self, now_ns: int) -> bool:
        """Whether it has been closed for so long that a keyframe should have come."""
        return self._waited_ns(now_ns) >= LONG_NS

    def hindrance(self, now_ns: int) -> str:
        """Why nothing of what comes is published, as of the last arrival; empty while something is."""
        if self.open:
            return ""
        waited_ns = self._waited_ns(now_ns)
        if waited_ns >= NO_KEYFRAME_NS:
            return (
                f"no keyframe has come for {waited_ns // 10**9} s, and browsers need one to start; "
                "set a keyframe interval (GOP, I-frame interval) of 1 to 4 s in the camera"
            )
        return "" if self.keyframes else AWAITED

    def unseen(self, now_ns: int) -> bool:
        """Whether no keyframe is to be expected any more, as of the last arrival."""
        return self._waited_ns(now_ns) >= NEVER_NS

    def _waited_ns(self, now_ns: int) -> int:
        return now_ns - self._waiting_ns if self._waiting_ns and not self.open else 0
