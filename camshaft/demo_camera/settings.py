"""The settings of the simulated camera."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LOOP_SECONDS = 60
"""The clock shows seconds and hundredths of the minute, so the loop is invisible and the clock is the real one."""

AUDIO_FRAMES_PER_SECOND = 50  # 20 ms each, for either codec


class Audio(StrEnum):
    """The codec of the microphone's sound."""

    OPUS = "opus"
    PCMU = "pcmu"
    NONE = "none"

    @property
    def clock_rate(self) -> int:
        """RTP clock and sampling rate, Hz."""
        return 48_000 if self is Audio.OPUS else 8_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that changes the clip."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    gop: float = 2.0  # seconds between keyframes
    bitrate: int = 2_000_000  # bit/s of the video
    audio: Audio = Audio.OPUS

    @property
    def frames(self) -> int:
        """Pictures in the loop."""
        return LOOP_SECONDS * self.fps

    @property
    def gop_frames(self) -> int:
        """Pictures from one keyframe to the next."""
        return max(1, min(self.frames, round(self.gop * self.fps)))
