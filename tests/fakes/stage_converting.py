"""Cameras whose tracks have to be converted, on the director's stage."""

from __future__ import annotations

from common.control import Answered, Offer
from common.media import Kind, Track
from tests.fakes.stage import Stage, camera, sent, stream

H265 = Track(Kind.VIDEO, "H265", 90_000)
JPEG = Track(Kind.VIDEO, "JPEG", 90_000, convert="browsers do not play Motion JPEG")
B_FRAMES = Track(Kind.VIDEO, "H264", 90_000, convert="it has B-frames, which browsers show in the wrong order")
AAC = Track(Kind.AUDIO, "AAC", 16_000, convert="browsers do not play AAC")
PICTURE, SOUND = "door/h264", "door/opus"


def stage(*tracks: Track, transcoders: int = 1) -> Stage:
    made = Stage(camera())
    made.ingest("in-1", stream(tracks=tracks or (H265, AAC)))
    made.egress("out-1")
    for number in range(transcoders):
        made.transcode(f"tc-{number + 1}")
    return made


def offered(made: Stage, session: str = "s") -> Offer:
    [offer] = [message for _, message in sent(made.offer(session)) if isinstance(message, Offer)]
    return offer


def watch(made: Stage, *renditions: str, session: str = "s", node: str = "out-1") -> list[tuple[str, object]]:
    offered(made, session)
    return sent(made.hear(node, Answered(session, "answer", renditions)))
