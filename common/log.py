"""Structured logs: one line an event, fields instead of prose, and never a password.

Bind what identifies the subject (``camera``, ``session``, ``node``) to the logger; per-packet events stay at DEBUG.
Lines that strangers can cause, as often as they like, go through ``Sparing``, or, where nothing
sweeps once a second, ``Quiet``.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from common.cameras import redact

Format = Literal["auto", "text", "json"]
Logger = structlog.stdlib.BoundLogger

MAX_VALUE = 2_000  # characters of a value; a stranger's words can be as long as a message
MAX_TRACEBACK = 50_000  # characters
LINES_A_MINUTE = 30  # of one event that strangers cause: all of a household's or an office's

_URL = re.compile("://|turns?:")  # where there can be credentials


def get_logger(**fields: object) -> Logger:
    """A logger with ``fields`` bound to every line."""
    logger: Logger = structlog.get_logger(**fields)
    return logger


class Sparing:
    """Writes lines that strangers can cause: of each event a few a minute, and the number of the others.

    ``sweep`` is to be called now and then, so that the number is told when nothing follows.
    """

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._until: dict[str, float] = {}  # end of the minute of each event, in monotonic seconds
        self._written: Counter[str] = Counter()  # in that minute
        self._more: Counter[str] = Counter()

    def info(self, event: str, *, now: float, **fields: object) -> None:
        """Write a line, unless there were LINES_A_MINUTE of this event."""
        if now >= self._until.get(event, float("-inf")):
            self._tell(event)
            self._until[event] = now + 60.0
        if self._written[event] >= LINES_A_MINUTE:
            self._more[event] += 1
            return
        self._written[event] += 1
        self._log.info(event, **fields)

    def sweep(self, now: float) -> None:
        """Tell how many lines were left out of minutes that are over."""
        for event in [event for event, until in self._until.items() if now >= until]:
            self._tell(event)
            del self._until[event]

    def _tell(self, event: str) -> None:
        del self._written[event]
        if more := self._more.pop(event, 0):
            self._log.info(f"{event}: and {more} more in the last minute")


def configure(level: str = "info", style: Format = "auto", **fields: object) -> None:
    """Send all logs, ours and the libraries', to standard error. ``fields`` go into every line of the process."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())

    def add_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**fields, **event}

    shared: list[structlog.typing.Processor] = [
        add_fields,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
        _shorten,
    ]
    renderer: structlog.typing.Processor
    renderer = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # already text, so that it could be redacted
        )
        if text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("aiortc", "aioice", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class Quiet:
    """Writes lines that strangers can cause: of each kind at most ``lines`` a minute.

    The next one that is written says how many of its kind were not, as ``more``.
    """

    INTERVAL = 60.0  # seconds
    KINDS = 10_000  # that are kept apart

    def __init__(self, logger: Logger, clock: Callable[[], float] = time.monotonic, lines: int = 1) -> None:
        self._logger = logger
        self._clock = clock
        self._lines = lines
        self._minutes: dict[str, tuple[float, int]] = {}  # when each kind's minute ends, and lines left in it
        self._more: Counter[str] = Counter()

    def info(self, event: str, *, about: str = "", **fields: object) -> None:
        """A line of level info. Its kind is its text and what it is ``about``: neither must be a stranger's choice."""
        if self._due(event + about, fields):
            self._logger.info(event, **fields)

    def warning(self, event: str, *, about: str = "", **fields: object) -> None:
        """A line of level warning, as above."""
        if self._due(event + about, fields):
            self._logger.warning(event, **fields)

    def exception(self, event: str, *, about: str = "", **fields: object) -> None:
        """A line of level error with the traceback of the error being handled, as above."""
        if self._due(event + about, fields):
            self._logger.exception(event, **fields)

    def _due(self, kind: str, fields: dict[str, object]) -> bool:
        now = self._clock()
        end, left = self._minutes.get(kind, (now, 0))
        if now >= end:
            end, left = now + self.INTERVAL, self._lines
        if len(self._minutes) >= self.KINDS:  # cameras come and go, and so do their names
            self._minutes.clear()
        self._minutes[kind] = end, max(0, left - 1)
        if not left:
            self._more[kind] += 1
            return False
        if more := self._more.pop(kind, 0):
            fields["more"] = more
        return True


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Whatever reaches a line, a URL's credentials do not."""
    for key, value in event.items():
        if isinstance(value, str):
            if _URL.search(value):
                event[key] = redact(value)
        elif not isinstance(value, int | float | bool | None) and _URL.search(f"{value} {value!r}"):
            event[key] = redact(str(value))
    return event


def _shorten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No value fills the disk. After ``_redact``, which would not know a password whose URL has lost its end."""
    for key, value in event.items():
        most = MAX_TRACEBACK if key == "exception" else MAX_VALUE
        if isinstance(value, str):
            if len(value) > most:
                event[key] = f"{value[:most]}… ({len(value)} characters)"
        elif isinstance(value, int):
            if value.bit_length() > 1_000:
                event[key] = f"a number of {value.bit_length()} bits"
        elif not isinstance(value, float | None) and len(text := str(value)) > most:
            event[key] = f"{text[:most]}… ({len(text)} characters)"
    return event
