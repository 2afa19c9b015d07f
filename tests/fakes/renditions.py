"""The other streams that a viewer may be moved to, where none ever plays."""

from __future__ import annotations

from common.media import Rendition
from egress.media.stream import Stream


class NoOthers:
    """``Renditions`` that give nothing."""

    def acquire(self, rendition: Rendition) -> Stream:
        """See ``Renditions``."""
        return Stream(rendition, lambda: None)

    def release(self, *streams: Stream) -> None:
        """See ``Renditions``."""
