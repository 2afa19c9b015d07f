"""Messages to bytes and back.

``encode`` bounds texts and numbers, as what cameras and viewers say stands among them. A receiver leaves out the item
of a report that is wrong instead of the whole.
"""

from __future__ import annotations

import contextlib
from dataclasses import MISSING, fields
from math import isfinite
from typing import Annotated, Any

import msgpack
from pydantic import Field, TypeAdapter, ValidationError

from common.control.fields import MAX_TEXT
from common.control.orders import ToWorker, Unfit
from common.control.replies import Ended, IceNotRestarted, Leaving, Refused, SnapshotFailed, ToBroker
from common.control.report import Load, Made, Measured, Report, StreamReport, TrackStats, Tried, ViewerReport
from common.errors import ProtocolError
from common.media import Track

MAX_MESSAGE_BYTES = 8 << 20  # ZMQ_MAXMSGSIZE: larger reports are sent in parts (``common.reports``)
MAX_INTEGER = (1 << 63) - 1  # what is larger, or smaller than its opposite, is sent as this

_to_broker: TypeAdapter[ToBroker] = TypeAdapter(Annotated[ToBroker, Field(discriminator="type")])
_to_worker: TypeAdapter[ToWorker] = TypeAdapter(Annotated[ToWorker, Field(discriminator="type")])
_items: dict[str, TypeAdapter[Any]] = {"served": TypeAdapter(StreamReport), "viewers": TypeAdapter(ViewerReport)}
_NEEDED = {"node", "role", "incarnation", "viewers", "served"}  # nothing else is believed of a worker without these
_BOUNDED = {Load, TrackStats, Track, StreamReport, Tried, ViewerReport, Report, Measured} | {
    Refused,
    Ended,
    Leaving,
    Made,
    SnapshotFailed,
    IceNotRestarted,
    Unfit,
}

_MANY = {StreamReport, TrackStats, Tried, ViewerReport}  # by the thousand: what is as it is by default is left out
_DEFAULTS = {  # the fields of each kind, with the value for which one is left out
    kind: tuple((each.name, each.default if kind in _MANY else MISSING) for each in fields(kind)) for kind in _BOUNDED
}


def encode(message: ToBroker | ToWorker | StreamReport | ViewerReport) -> bytes:
    """One frame, or an item of a report. Raises ``ValueError`` or ``TypeError`` for what is no such message."""
    # Not by pydantic: an egress with a thousand viewers reports every second, and meanwhile its pictures wait.
    packed: bytes = msgpack.packb(message, default=_map, unicode_errors="replace")  # a camera may send lone surrogates
    return packed


def _map(message: Any) -> dict[str, object] | int:
    """A message as msgpack takes it; it asks for integers of more than 64 bits, too."""
    kind = type(message)
    if kind is int:
        return MAX_INTEGER if message > 0 else -MAX_INTEGER
    if kind not in _BOUNDED:
        if not hasattr(kind, "__dataclass_fields__"):
            raise TypeError(f"{kind.__name__} is no part of a control message")
        return {name: getattr(message, name) for name in message.__dataclass_fields__}
    told = {}
    for name, default in _DEFAULTS[kind]:
        value = getattr(message, name)
        if value == default:
            continue
        if type(value) is str and len(value) > MAX_TEXT:
            value = value[: MAX_TEXT - 1] + "…"
        elif type(value) is float and not isfinite(value):
            value = 0.0
        told[name] = value
    return told


def decode_for_broker(frame: bytes) -> ToBroker:
    """A worker's message. Raises ``ProtocolError``.

    A report loses those of its streams and viewers that are not valid, and whatever else of it may be missing and is
    not valid, as a newer release may say it otherwise; it is then ``partial``.
    """
    message = _unpack(frame)
    try:
        return _to_broker.validate_python(message)
    except ValidationError as exc:
        if not isinstance(message, dict) or message.get("type") != "report":
            raise _garbage(exc) from None
        wrong = {error["loc"][1] for error in exc.errors(include_url=False, include_input=False)}
    valid = {name: _valid(name, message[name]) for name in _items if isinstance(message.get(name), list)}
    rest = {name: value for name, value in message.items() if name in valid or name not in wrong - _NEEDED}
    try:
        return _to_broker.validate_python({**rest, **valid, "partial": True})
    except ValidationError as exc:
        raise _garbage(exc) from None


def decode_for_worker(frame: bytes) -> ToWorker:
    """The broker's message. Raises ``ProtocolError``."""
    try:
        return _to_worker.validate_python(_unpack(frame))
    except ValidationError as exc:
        raise _garbage(exc) from None


def _unpack(frame: bytes) -> Any:
    try:
        return msgpack.unpackb(frame)
    except (ValueError, msgpack.UnpackException) as exc:
        raise _garbage(exc) from None


def _valid(name: str, items: list[object]) -> list[object]:
    """The items of a damaged report that are valid."""
    valid: list[object] = []
    for item in items:
        with contextlib.suppress(ValidationError):
            valid.append(_items[name].validate_python(item))
    return valid


def _garbage(error: Exception) -> ProtocolError:
    """Without the error's text, which quotes the message, and that may hold a password."""
    return ProtocolError(f"not a control message: {type(error).__name__}")
