"""Which encoder makes H.264 here: hardware where there is one that serves, software otherwise; no I/O.

Hardware is tried only where its device is there, and counts only if a trial gave what software gives: each picture at
once or one later, a keyframe where one was asked for, nothing that browsers do not decode, and for less of this
machine's cores. So the choice is by what was measured, and whoever reads it is told of each that was not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

MOST_HELD = 1  # pictures that an encoder may hold back: each is 33 ms of delay, and 40 are allowed
AUTO, SOFTWARE_ALONE = "auto", "software"


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of FFmpeg's, and its settings for a live picture of the least delay."""

    name: str
    label: str  # as people know it
    samples: str = "yuv420p"  # layout of the pictures that it takes
    settings: tuple[tuple[str, str], ...] = ()
    rated: bool = False  # it goes by the bit rate, not by the quality
    devices: tuple[str, ...] = ()  # file patterns, of which one has to be there; none: software

    @property
    def hardware(self) -> bool:
        """Whether it needs some."""
        return bool(self.devices)


SOFTWARE = Encoder(
    "libx264",
    "software (libx264)",
    settings=(
        ("preset", "ultrafast"),
        ("tune", "zerolatency"),
        ("profile", "baseline"),
        ("forced-idr", "1"),
        ("crf", "25"),  # of x264's scale, where fewer bits than the highest rate will do
    ),
)

HARDWARE = (
    Encoder(
        "h264_nvenc",
        "NVENC (NVIDIA)",
        settings=(
            *(("preset", "p1"), ("tune", "ull"), ("profile", "baseline"), ("zerolatency", "1"), ("delay", "0")),
            *(("forced-idr", "1"), ("rc", "vbr"), ("cq", "28")),
        ),
        devices=("/dev/nvidiactl", "/dev/dxg"),
    ),
    Encoder(
        "h264_qsv",
        "Quick Sync (Intel)",
        "nv12",
        (
            ("preset", "veryfast"),
            ("profile", "baseline"),
            ("async_depth", "1"),
            ("forced_idr", "1"),
            ("low_power", "0"),
        ),
        rated=True,
        devices=("/dev/dri/renderD*",),
    ),
    Encoder("h264_v4l2m2m", "V4L2", rated=True, devices=("/dev/video1[0-9]", "/dev/video-enc*")),
)


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcome of an encoder's trial on this machine."""

    encoder: Encoder
    problem: str = ""  # why it does not serve; empty if it does
    held: int = 0  # pictures that it held back at most
    cost: float = 0.0  # seconds of a core for each second of pictures


def candidates(
    wanted: str, known: Callable[[], Collection[str]], present: Callable[[str], bool]
) -> tuple[list[Encoder], list[Trial]]:
    """The hardware that is worth a trial, and the rest with the reason why it is not.

    ``known`` gives the encoders that this FFmpeg has, and is asked only where it matters; ``present`` says whether a
    file pattern matches something.
    """
    tried: list[Encoder] = []
    left: list[Trial] = []
    for encoder in HARDWARE:
        if wanted == SOFTWARE_ALONE:
            left.append(Trial(encoder, "transcode.encoder says software"))
        elif not any(map(present, encoder.devices)):
            left.append(Trial(encoder, f"there is no {' and no '.join(encoder.devices)}"))
        elif encoder.name not in known():
            left.append(Trial(encoder, "this FFmpeg has none"))
        else:
            tried.append(encoder)
    return tried, left


def best(software: Trial, trials: Sequence[Trial]) -> Trial:
    """The one to take: of the hardware that serves the one that costs least, if that is less than software costs."""
    serving = [trial for trial in trials if not trial.problem and trial.held <= MOST_HELD]
    return min((software, *serving), key=lambda trial: trial.cost)


def reasons(taken: Trial, trials: Sequence[Trial]) -> Iterator[str]:
    """A clause for each hardware that was not taken."""
    for trial in trials:
        if trial.encoder != taken.encoder:
            yield f"{trial.encoder.label}: {_reason(trial, taken)}"


def _reason(trial: Trial, taken: Trial) -> str:
    if trial.problem:
        return trial.problem
    if trial.held > MOST_HELD:
        return f"it holds back {trial.held} pictures"
    return f"it takes {trial.cost:.0%} of a core where {taken.encoder.label} takes {taken.cost:.0%}"
