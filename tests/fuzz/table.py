"""All targets, by name."""

from __future__ import annotations

from pathlib import Path

from tests.fuzz import (
    access_targets,
    broker_targets,
    camera_address_targets,
    camera_session_targets,
    codec_targets,
    common_targets,
    demo_camera_targets,
    egress_targets,
    media_targets,
    mse_targets,
    page_targets,
    rtsp_targets,
    source_targets,
    succession_targets,
    viewer_session_targets,
    way_targets,
    wire_targets,
)
from tests.fuzz.native_parts import PARTS
from tests.fuzz.target import Target

CORPUS = Path(__file__).with_name("corpus")

_MODULES = (
    rtsp_targets,
    camera_address_targets,
    media_targets,
    codec_targets,
    source_targets,
    egress_targets,
    wire_targets,
    mse_targets,
    page_targets,
    broker_targets,
    access_targets,
    common_targets,
    camera_session_targets,
    way_targets,
    viewer_session_targets,
    succession_targets,
    demo_camera_targets,
)
TARGETS: dict[str, Target] = {target.name: target for module in _MODULES for target in module.TARGETS}


def listed() -> list[str]:
    """The lines of docs/fuzzing.md that say what there is."""
    about = {target.name: target.reads for target in TARGETS.values()} | {
        part.name: part.reads for part in PARTS.values()
    }
    return [f"| `{name}` | {reads} |" for name, reads in about.items()]


def corpus(name: str) -> list[bytes]:
    """The inputs kept for a target: those it starts with, and those that the fuzzer found new paths with."""
    return [*TARGETS[name].seeds, *(path.read_bytes() for path in sorted((CORPUS / name).glob("*")))]
