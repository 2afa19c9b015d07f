"""Which renditions a viewer by Media Source Extensions gets, of what its browser takes and the camera sends; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from common.cameras import CameraName
from common.control import CONVERTERS_FULL
from common.errors import RequestError
from common.media import CONVERTED, Kind, Rendition, Track, as_it_came, converted

KNOWN = frozenset({"H264", "H265", "AAC", "opus"})
"""The codecs that we can put into fragments."""


def renditions_for(
    takes: Collection[str], camera: CameraName, tracks: Sequence[Track], convertible: Collection[Kind]
) -> dict[Kind, Rendition]:
    """The rendition of each kind for a viewer that takes these codecs; of a kind of which it takes nothing none.

    ``tracks`` are the camera's, empty if they are not known yet; kinds that are ``convertible`` may be converted.
    """
    renditions: dict[Kind, Rendition] = {}
    for kind in Kind:
        come = [track for track in tracks if track.kind is kind and track.playable]
        if tracks and not come:
            continue
        taken = not come or (come[0].codec in takes and not _needs_converter(come[0]))
        if taken:
            renditions[kind] = as_it_came(camera)
        elif kind in convertible and CONVERTED[kind].codec in takes:
            renditions[kind] = converted(camera, kind)
        elif come[0].codec in takes:  # better than nothing: it may show, if not as it should
            renditions[kind] = as_it_came(camera)
    return renditions


def check_renditions(
    renditions: Collection[Kind], takes: Collection[str], tracks: Sequence[Track], unconverted: str
) -> None:
    """Raises ``RequestError`` if there is nothing, or no picture because every converter is full."""
    playable = [track for track in tracks if track.playable]
    pictured = any(track.kind is Kind.VIDEO for track in playable)
    if pictured and Kind.VIDEO not in renditions and unconverted == CONVERTERS_FULL:
        message = "The camera has to be converted for this browser, but every transcode worker is full."
        raise RequestError(503, "converters_full", message)
    if renditions:
        return
    sends = ", ".join(track.codec for track in tracks)
    message = f"The camera sends {sends}; this browser's Media Source Extensions take {', '.join(sorted(takes))}."
    if unconverted and playable:
        message += f" It is not converted, because {unconverted}."
    raise RequestError(406, "no_usable_codec", message)


def _needs_converter(track: Track) -> bool:
    """AAC is converted for WebRTC alone, and here as good as it comes."""
    return bool(track.convert) and track.codec != "AAC"
