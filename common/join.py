"""The exchange of a worker token for a key: what is said on the join socket, one bounded msgpack map each.

The worker's key itself is in no message: it is the key of its CURVE connection, which proves that the worker has it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, TypeVar

import msgpack
from pydantic import Field, TypeAdapter, ValidationError

from common.cameras import CAMERA_ID
from common.control import NodeName, Role
from common.errors import ProtocolError

MAX_JOIN_BYTES = 512  # of a message, as of a frame: a name of 64 letters and a token are 150


@dataclass(frozen=True, slots=True)
class Join:
    """A worker asks to be let in; worker to broker."""

    token: Annotated[str, Field(max_length=16)]  # its id
    secret: Annotated[bytes, Field(max_length=64)] = field(repr=False)
    role: Role
    node: Annotated[NodeName, Field(pattern=f"^{CAMERA_ID.pattern}$")]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The broker's answer. ``passing``: what is in the way may be gone in a moment."""

    accepted: bool
    reason: Annotated[str, Field(max_length=400)] = ""
    passing: bool = False


_join: TypeAdapter[Join] = TypeAdapter(Join)
_verdict: TypeAdapter[Verdict] = TypeAdapter(Verdict)

T = TypeVar("T")


def encode(message: Join | Verdict) -> bytes:
    """One frame."""
    packed: bytes = msgpack.packb({name: getattr(message, name) for name in message.__dataclass_fields__})
    return packed


def decode_join(frame: bytes) -> Join:
    """A worker's request. Raises ``ProtocolError``."""
    return _decode(_join, frame)


def decode_verdict(frame: bytes) -> Verdict:
    """The broker's answer. Raises ``ProtocolError``."""
    return _decode(_verdict, frame)


def _decode(adapter: TypeAdapter[T], frame: bytes) -> T:
    try:
        return adapter.validate_python(msgpack.unpackb(frame) if len(frame) <= MAX_JOIN_BYTES else None)
    except (ValueError, RecursionError, msgpack.UnpackException, ValidationError) as exc:
        raise ProtocolError(f"not a message of the join socket: {type(exc).__name__}") from None
