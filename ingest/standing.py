"""A camera's standing: what its report says of it, and the log's lines when that changes. Unix times are arguments."""

from __future__ import annotations

from dataclasses import replace

from common.cameras import CameraSpec, CameraState, redact
from common.control import StreamReport
from common.errors import CameraError
from common.log import Logger
from common.media import Track

MAX_SHOWN = 512  # characters of what is said of a failure; a camera's own words may be among them


class Standing:
    """Has the newest ``report``; a camera that plays adds to it what its session counts."""

    def __init__(self, spec: CameraSpec, fence: int, log: Logger, unix: float) -> None:
        self.report = StreamReport(spec.id, spec.revision, CameraState.CONNECTING, since=unix, fence=fence)
        self._log = log
        self._logged = ""

    def playing(self, transport: object, tracks: tuple[Track, ...], reconnects: int, unix: float) -> None:
        """Note the first packet of a session."""
        self._log.info("playing", transport=transport, tracks=[track.codec for track in tracks])
        self._logged = ""
        self.report = replace(self.report, state=CameraState.PLAYING, since=unix, reconnects=reconnects)

    def announced(self, tracks: tuple[Track, ...]) -> None:
        """Report tracks of which nothing comes yet: what the camera sent before is not there any more."""
        self.report = replace(self.report, tracks=tracks, stats=())

    def failed(self, error: CameraError, delay: float, unix: float) -> None:
        """Remember a failure, and log it if it is new. The next attempt is in ``delay`` seconds."""
        changed = self.report.state is not error.state
        # Cut last: a URL that was cut before its @ would show its password.
        detail, sentence = redact(error.detail)[:MAX_SHOWN], redact(str(error))[:MAX_SHOWN]
        self.report = replace(
            self.report,
            state=error.state,
            detail=detail,
            since=unix if changed else self.report.since,
            last_error=sentence,
            retry_at=unix + delay,
        )
        log = self._log.debug if sentence == self._logged else self._log.warning
        log("not playing", state=error.state, reason=sentence, retry_in=round(delay, 1))
        self._logged = sentence

    def trying(self) -> None:
        """Note that the pause is over."""
        self.report = replace(self.report, retry_at=None)
