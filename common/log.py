"""Structured logs: one line an event, fields instead of prose, and never a password.

Bind what identifies the subject (``camera``, ``session``, ``node``) to the logger; per-packet events stay at DEBUG.
Lines that strangers can cause, as often as they like, go through ``Quiet``. Of what libraries write any line may be
such a one: each place in their code gets LINES_A_MINUTE.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from common.cameras import redact

Format = Literal["auto", "text", "json"]
Logger = structlog.stdlib.BoundLogger

MAX_VALUE = 2_000  # characters of a value; a stranger's words can be as long as a message
MAX_TRACEBACK = 50_000  # characters
AUDIT_LINES = 1_000  # a minute of one thing that people do or are refused, from wherever they come
LINES_A_MINUTE = 30  # of an event that is worth a line each: all of a household's or an office's

_URL = re.compile("://|turns?:")  # where there can be credentials


def get_logger(**fields: object) -> Logger:
    """A logger with ``fields`` bound to every line."""
    logger: Logger = structlog.get_logger(**fields)
    return logger


def configure(
    level: str = "info", style: Format = "auto", *, copy: logging.Handler | None = None, **fields: object
) -> None:
    """Send all logs, ours and the libraries', to standard error. ``fields`` go into every line of the process.

    ``copy`` gets each line as well, as JSON.
    """
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
    root, few = logging.getLogger(), _FewOfLibraries()
    root.handlers[:] = [_prepared(logging.StreamHandler(sys.stderr), few, renderer, shared)]
    if copy is not None:
        root.handlers.append(_prepared(copy, few, structlog.processors.JSONRenderer(), shared))
    set_level(level)
    for chatty in ("aiortc", "aioice", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _prepared(
    handler: logging.Handler,
    few: logging.Filter,
    renderer: structlog.typing.Processor,
    shared: list[structlog.typing.Processor],
) -> logging.Handler:
    handler.addFilter(few)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    return handler


def set_level(level: str) -> None:
    """Write lines of this severity and beyond from now on."""
    logging.getLogger().setLevel(level.upper())


class Quiet:
    """Writes lines that strangers can cause: of each kind at most ``lines`` a minute, and how many more there were.

    A line's kind is its text and what it is ``about``. Neither must be a stranger's choice, unless ``in_all`` bounds
    the lines of one text in a minute, whatever they are about: who has a /48 has as many addresses as he likes. The
    number is told by ``sweep``, to be called now and then, or before the next line of the kind. Times are monotonic.
    """

    INTERVAL = 60.0  # seconds
    KINDS = 10_000  # that are kept apart: cameras come and go, and so do their names

    def __init__(
        self,
        logger: Logger,
        clock: Callable[[], float] = time.monotonic,
        lines: int = 1,
        in_all: int = sys.maxsize,
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._lines, self._most = lines, in_all
        self._minutes: dict[tuple[str, str], _Minute] = {}  # of each kind; the one that ends first stands first
        self._in_all: dict[str, _Minute] = {}  # of each text, where its lines are about something

    def info(self, event: str, *, about: str = "", **fields: object) -> None:
        """Write a line of level info."""
        if self._due(event, about):
            self._logger.info(event, **fields)

    def warning(self, event: str, *, about: str = "", **fields: object) -> None:
        """Write a line of level warning."""
        if self._due(event, about):
            self._logger.warning(event, **fields)

    def error(self, event: str, *, about: str = "", **fields: object) -> None:
        """Write a line of level error."""
        if self._due(event, about):
            self._logger.error(event, **fields)

    def exception(self, event: str, *, about: str = "", **fields: object) -> None:
        """Write a line of level error with the traceback of the error that is being handled."""
        if self._due(event, about):
            self._logger.exception(event, **fields)

    def sweep(self) -> None:
        """Tell how many lines were left out of minutes that are over."""
        now = self._clock()
        while self._minutes and now >= next(iter(self._minutes.values())).end:
            self._finish(next(iter(self._minutes)))
        for event in [event for event, minute in self._in_all.items() if now >= minute.end]:
            self._finish_all(event)

    def flush(self) -> None:
        """Tell how many lines were left out, also of minutes that are not over: no more lines will come."""
        for kind in tuple(self._minutes):
            self._finish(kind)
        for event in tuple(self._in_all):
            self._finish_all(event)

    def _due(self, event: str, about: str) -> bool:
        now = self._clock()
        if not about:
            return self._is_due(event, about, now)
        whole = self._in_all.get(event)
        if whole is not None and now >= whole.end:
            self._finish_all(event)
            whole = None
        if whole is None:
            whole = self._in_all[event] = _Minute(now + self.INTERVAL, self._most)
        if not whole.left:
            whole.more += 1
            return False
        due = self._is_due(event, about, now)
        whole.left -= due
        return due

    def _is_due(self, event: str, about: str, now: float) -> bool:
        kind = event, about
        minute = self._minutes.get(kind)
        if minute is not None and now >= minute.end:
            self._finish(kind)
            minute = None
        if minute is None:
            if len(self._minutes) >= self.KINDS:
                self._finish(next(iter(self._minutes)))
            minute = self._minutes[kind] = _Minute(now + self.INTERVAL, self._lines)
        if minute.left:
            minute.left -= 1
            return True
        minute.more += 1
        return False

    def _finish(self, kind: tuple[str, str]) -> None:
        if more := self._minutes.pop(kind).more:
            event, about = kind
            self._logger.info(f"{event}: and {more} more in a minute", **({"about": about} if about else {}))

    def _finish_all(self, event: str) -> None:
        if more := self._in_all.pop(event).more:
            self._logger.info(f"{event}: and {more} more in a minute, about others")


@dataclass(slots=True)
class _Minute:
    """The minute of one kind of line, from its first line on."""

    end: float
    left: int  # lines that may still be written
    more: int = 0  # lines that were not


class _FewOfLibraries(logging.Filter):
    """Lets LINES_A_MINUTE pass of each place in a library's code that writes lines; the next one tells of the others.

    An aiohttp that warns of every odd header would fill the disk, and be read by nobody. All handlers share one, which
    judges a record once.
    """

    _JUDGED = "camshaft_passes"  # attribute of a record

    def __init__(self) -> None:
        super().__init__()
        self._minutes: dict[tuple[str, int], tuple[float, int]] = {}  # when each place's ends, and lines so far

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if isinstance(record.msg, dict):  # one of ours, by way of structlog
            return True
        if self._JUDGED not in record.__dict__:
            record.__dict__[self._JUDGED] = self._passes(record)
        return bool(record.__dict__[self._JUDGED])

    def _passes(self, record: logging.LogRecord) -> bool:
        place, now = (record.name, record.lineno), time.monotonic()
        end, lines = self._minutes.get(place, (now, 0))
        if now >= end:
            if lines > LINES_A_MINUTE:
                record.msg = f"{record.msg} (and {lines - LINES_A_MINUTE} more of this kind before)"
            end, lines = now + 60.0, 0
        self._minutes[place] = end, lines + 1
        return lines < LINES_A_MINUTE


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take the credentials of URLs out of all that reaches a line."""
    for key, value in event.items():
        if isinstance(value, str):
            if _URL.search(value):
                event[key] = redact(value)
        elif not isinstance(value, int | float | bool | None) and _URL.search(f"{value} {value!r}"):
            event[key] = redact(str(value))
    return event


def printable(text: str, but: str = "") -> str:
    """``text`` without what does something to a terminal, or ends a line; ``but`` stays."""
    return "".join(
        each if each.isprintable() or each in but else each.encode("unicode_escape").decode() for each in text
    )


def _shorten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """No value fills the disk, or does anything but be read.

    After ``_redact``, which would not know a password whose URL has lost its end.
    """
    for key, value in event.items():
        most = MAX_TRACEBACK if key == "exception" else MAX_VALUE
        if isinstance(value, str):
            if len(value) > most:
                value = event[key] = f"{value[:most]}… ({len(value)} characters)"
            if not value.isprintable():
                event[key] = printable(value, but="\n\t" if key == "exception" else "")
        elif isinstance(value, int):
            if value.bit_length() > 1_000:
                event[key] = f"a number of {value.bit_length()} bits"
        elif not isinstance(value, float | None) and len(text := str(value)) > most:
            event[key] = f"{text[:most]}… ({len(text)} characters)"
    return event
