"""Many simulated cameras in one cheap process: for load on ingest, where real camera software would be the load itself.

Each is the product's demo camera, on a port of its own. All loop the same clip, each from another place in it and at
another moment within the frame interval, as cameras on a wall do.

``python -m rigs.farm CLIP FPS CAMERAS SOUND`` writes a line with all URLs and serves until standard input ends. SOUND
is the codec of the cameras' sound, as the demo camera calls it: opus, pcmu or none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from camshaft.demo_camera.broadcast import Broadcast
from camshaft.demo_camera.camera import playing
from camshaft.demo_camera.clip import Clip, encode_sound
from camshaft.demo_camera.packets import video_payloads
from camshaft.demo_camera.settings import Audio, Settings
from common.process import run
from rigs.clip import access_units, is_keyframe
from rigs.process import program
from rigs.video import kind, nal_units


class Late(Broadcast):
    """A camera whose clock is slow by ``lag`` seconds, and so shows everything later than others do."""

    def __init__(self, clip: Clip, lag: float) -> None:
        super().__init__(clip)
        self._lag = lag

    def now(self) -> float:
        """Unix time by this camera's clock."""
        return super().now() - self._lag


def load(path: Path, fps: int, audio: Audio = Audio.NONE) -> Clip:
    """A file of ``rigs.clip`` as the demo camera wants it, without access unit delimiters and with sound."""
    units = access_units(path)
    nals = [[nal for nal in nal_units(unit) if kind(nal) != 9] for unit in units]
    sps, pps = (next(nal for nal in nals[0] if kind(nal) == wanted) for wanted in (7, 8))
    pictures: list[list[bytes] | None] = [video_payloads(unit) for unit in nals]
    settings = Settings(fps=fps, audio=audio)
    return Clip(settings, pictures, [is_keyframe(unit) for unit in units], encode_sound(audio), sps, pps)


def cameras(path: Path, fps: int, count: int, audio: Audio = Audio.NONE) -> Iterator[Broadcast]:
    """Make ``count`` cameras that loop the clip."""
    clip = load(path, fps, audio)
    for index in range(count):
        first = index * len(clip.pictures) // count
        pictures = clip.pictures[first:] + clip.pictures[:first]
        keyframes = clip.keyframes[first:] + clip.keyframes[:first]
        yield Late(replace(clip, pictures=pictures, keyframes=keyframes), index / count / fps)


async def main(path: Path, fps: int, count: int, audio: Audio) -> None:
    """Serve until standard input ends."""
    async with AsyncExitStack() as stack:
        shown = cameras(path, fps, count, audio)
        addresses = [await stack.enter_async_context(playing(camera, "127.0.0.1:0")) for camera in shown]
        print(*(f"rtsp://{address}/" for address in addresses), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def running(clip: Path, fps: int, count: int, audio: Audio = Audio.NONE) -> Iterator[tuple[list[str], int]]:
    """Run a farm in a process of its own; yields the cameras' URLs and its process id."""
    with program("rigs.farm", str(clip), str(fps), str(count), audio.value) as (urls, pid):
        yield urls.split(), pid


if __name__ == "__main__":
    sys.exit(run(lambda _stop: main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Audio(sys.argv[4]))))
