"""Structured logs: one line an event, fields instead of prose, and never a password.

Bind what identifies the subject (``camera``, ``session``, ``node``) to the logger; per-packet events stay at DEBUG.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

from common.cameras import redact

Format = Literal["auto", "text", "json"]
Logger = structlog.stdlib.BoundLogger

_URL = re.compile("://|turns?:")  # where there can be credentials


def get_logger(**fields: object) -> Logger:
    """A logger with ``fields`` bound to every line."""
    logger: Logger = structlog.get_logger(**fields)
    return logger


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


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Whatever reaches a line, a URL's credentials do not."""
    for key, value in event.items():
        if isinstance(value, str):
            if _URL.search(value):
                event[key] = redact(value)
        elif not isinstance(value, int | float | bool | None) and _URL.search(f"{value} {value!r}"):
            event[key] = redact(str(value))
    return event
