"""Looks whether anybody is at a source's address before a process is made to read it.

A process takes a quarter of a second of a core to begin. A hundred sources that are off would take two cores as they
are tried again and again, and a living one would wait behind them. A connection that is refused costs nothing.
"""

from __future__ import annotations

from contextlib import suppress

from common.cameras import CameraSpec
from ingest.rtsp.connect import knock
from ingest.rtsp.networks import Networks
from ingest.sources.url import SourceUrl

_OVER_TCP = frozenset({"http", "https", "rtmp", "rtmps"})


async def knock_at(spec: CameraSpec) -> None:
    """Raise ``CameraError`` where nobody answers; what cannot be told so passes."""
    if spec.scheme not in _OVER_TCP:
        return
    with suppress(ValueError):  # the process says it
        url = SourceUrl.parse(spec.url)
        await knock(url.host, url.port, Networks(spec.networks))
