"""The trial of an encoder on this machine, in a process of its own: ``python -m transcode.trial NAME`` writes JSON.

A driver that crashes, hangs or takes all memory shows that there, and costs a conversion nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from transcode.encoders import AUTO, HARDWARE, SOFTWARE, Encoder, Trial, best, candidates, reasons

_ROOT = str(Path(__file__).parents[__name__.count(".")])  # of all that is ours
ENDS_WITHIN = 1.0  # seconds that a killed one may take
TIMEOUT = 15.0  # seconds: a driver takes up to three to begin
PICTURES, KEYFRAME_AT, RATE = 45, 30, 30  # of a trial; the one that is to become a keyframe; a second
SIZE = 1280, 720


async def choose(wanted: str = AUTO) -> tuple[Encoder, str]:
    """The encoder for this machine, and what kept others from being taken."""
    worth, left = candidates(wanted, _known, _present)
    trials = [await in_process(encoder) for encoder in worth]
    software = await in_process(SOFTWARE) if any(not trial.problem for trial in trials) else Trial(SOFTWARE)
    taken = best(software, trials)
    return taken.encoder, "; ".join(reasons(taken, [*trials, *left]))


def _known() -> Collection[str]:
    import av  # late: FFmpeg's libraries take 30 MB, and most machines have no such device

    return av.codecs_available


def _present(pattern: str) -> bool:
    return any(Path("/").glob(pattern.lstrip("/")))


async def in_process(encoder: Encoder) -> Trial:
    """Have it tried by another process, for so long at most."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__, encoder.name),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": _ROOT, "PATH": os.defpath, "LANG": "C.UTF-8"},  # ours holds secrets
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            said, _ = await process.communicate()
    except TimeoutError:
        return Trial(encoder, f"its trial did not end within {TIMEOUT:.0f} s")
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            with suppress(TimeoutError):  # one that hangs in its driver is left to it
                async with asyncio.timeout(ENDS_WITHIN):
                    await process.wait()
    if process.returncode:
        return Trial(encoder, f"its trial ended with {process.returncode}")
    try:
        return Trial(encoder, **json.loads(said.splitlines()[-1]))  # a driver may have said something before
    except (IndexError, TypeError, ValueError):
        return Trial(encoder, "the output of its trial made no sense")


def tried(encoder: Encoder) -> Trial:
    """Encode some pictures, and look at what comes of them."""
    import av
    from av.video.frame import PictureType

    from transcode.encoding import MICROSECONDS, opened
    from transcode.padded import packet as padded

    held = inside = shown = 0
    began = 0.0
    keyframes: list[int] = []
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    try:
        context = opened(encoder, *SIZE)
        for number in range(PICTURES):
            frame = av.VideoFrame(*SIZE, encoder.samples)
            for plane in frame.planes:
                row = bytes((number * 5 + column) % 256 for column in range(plane.line_size))
                plane.update(row * plane.height)
            frame.pts, frame.time_base = number * 1_000_000 // RATE, MICROSECONDS
            frame.pict_type = PictureType.I if number == KEYFRAME_AT else PictureType.NONE
            if number == 1:
                began = time.process_time()  # without the time that it took to begin
            inside += 1
            for packet in context.encode(frame):
                inside -= 1
                keyframes += [round((packet.pts or 0) * RATE / 1_000_000)] * packet.is_keyframe
                shown += len(decoder.decode(padded(bytes(packet))))
            held = max(held, inside)
        cost = (time.process_time() - began) / (PICTURES - 1) * RATE
    except av.FFmpegError as exc:
        return Trial(encoder, f"it cannot be used ({exc.strerror or type(exc).__name__})")
    if keyframes != [0, KEYFRAME_AT]:
        return Trial(encoder, "it makes no keyframe when asked for one", held, cost)
    if shown < PICTURES - held - 1:
        return Trial(encoder, "its output cannot be decoded", held, cost)
    return Trial(encoder, "", held, cost)


if __name__ == "__main__":
    [found] = [encoder for encoder in (SOFTWARE, *HARDWARE) if encoder.name == sys.argv[1]]
    outcome = tried(found)
    print(json.dumps({"problem": outcome.problem, "held": outcome.held, "cost": outcome.cost}))
