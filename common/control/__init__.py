"""Messages of the control plane: worker to broker and back, over DEALER and ROUTER, one msgpack map a message.

State is reconciled, never replayed. A worker sends its whole ``Report`` once a second and whenever something changes;
the broker compares it with what it wants and sends the difference. A lost message is mended by the next report, and a
broker that has just started learns everything from the reports alone.

Releases can be mixed while a cluster is upgraded, one with the one before it (``common.wire``): fields that a receiver
does not know are ignored and missing ones take their default; a value that an enum does not have is taken for one that
says so; tracks of a kind that is not known are left out; a message of a type that is not known is dropped and counted.
What a receiver has to understand is sent only where the wire version is one that has it.

What cameras and viewers say stands in reports, so none of it may make one invalid: ``encode`` bounds texts and numbers,
and a receiver leaves out the item that is wrong instead of the whole report.
"""

from __future__ import annotations

from common.control.codec import MAX_INTEGER, MAX_MESSAGE_BYTES, decode_for_broker, decode_for_worker, encode
from common.control.fields import MAX_BUCKETS, MAX_MEASURES, MAX_TEXT, MAX_WAYS, NodeName
from common.control.orders import (
    CONVERTERS_FULL,
    RIGHT_ENDED,
    Assign,
    Convert,
    Drain,
    EndConversion,
    HangUp,
    Move,
    Offer,
    Ping,
    Release,
    RestartIce,
    Snapshot,
    Speak,
    StreamKey,
    ToWorker,
    Unfit,
)
from common.control.replies import (
    Answered,
    Ended,
    IceNotRestarted,
    IceRestarted,
    KeyWanted,
    Leaving,
    Refused,
    SnapshotFailed,
    SnapshotTaken,
    ToBroker,
)
from common.control.report import (
    DEAD_AFTER,
    REPORT_INTERVAL,
    WEBSOCKET,
    Handshake,
    Load,
    Made,
    Measured,
    Report,
    StreamReport,
    TrackStats,
    Tried,
    ViewerReport,
    ViewerState,
)
from common.control.roles import NEEDED, PUBLISHERS, RELAY_NODE, SUBSCRIBERS, Role

__all__ = [
    "CONVERTERS_FULL",
    "DEAD_AFTER",
    "MAX_BUCKETS",
    "MAX_INTEGER",
    "MAX_MEASURES",
    "MAX_MESSAGE_BYTES",
    "MAX_TEXT",
    "MAX_WAYS",
    "NEEDED",
    "PUBLISHERS",
    "RELAY_NODE",
    "REPORT_INTERVAL",
    "RIGHT_ENDED",
    "SUBSCRIBERS",
    "WEBSOCKET",
    "Answered",
    "Assign",
    "Convert",
    "Drain",
    "EndConversion",
    "Ended",
    "Handshake",
    "HangUp",
    "IceNotRestarted",
    "IceRestarted",
    "KeyWanted",
    "Leaving",
    "Load",
    "Made",
    "Measured",
    "Move",
    "NodeName",
    "Offer",
    "Ping",
    "Refused",
    "Release",
    "Report",
    "RestartIce",
    "Role",
    "Snapshot",
    "SnapshotFailed",
    "SnapshotTaken",
    "Speak",
    "StreamKey",
    "StreamReport",
    "ToBroker",
    "ToWorker",
    "TrackStats",
    "Tried",
    "Unfit",
    "ViewerReport",
    "ViewerState",
    "decode_for_broker",
    "decode_for_worker",
    "encode",
]
