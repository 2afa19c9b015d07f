"""The table of all metrics: name, type, labels and meaning. ``docs/monitoring.md`` shows it, and a test compares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from prometheus_client.core import Metric


class Type(StrEnum):
    """A type of the exposition format."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with all its label values. ``name`` is the one that is exposed; help is a sentence."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()

    def begin(self) -> Metric:
        """Begin the family's metric, without a sample."""
        return Metric(self.name.removesuffix("_total"), self.help, self.type)


def _gauge(name: str, help: str, *labels: str) -> Family:
    return Family(f"camshaft_{name}", Type.GAUGE, help, labels)


def _counter(name: str, help: str, *labels: str) -> Family:
    return Family(f"camshaft_{name}_total", Type.COUNTER, help, labels)


def _histogram(name: str, help: str, *labels: str) -> Family:
    return Family(f"camshaft_{name}_seconds", Type.HISTOGRAM, help, labels)


INFO = _gauge("info", "Always 1; its label is the broker's version.", "version")
READY = _gauge("ready", "1 if a viewer could be served now, as /readyz says.")
NOT_READY = _gauge("not_ready", "1 for each reason why no viewer could be served now.", "reason")
CAMERAS = _gauge(
    "cameras", "Streams of cameras by state; a camera has a main stream, and perhaps a sub-stream.", "state"
)
CONNECTIONS = _gauge("http_connections", "Open HTTP connections, including WebSockets.")
SOCKETS = _gauge("websockets", "Open WebSockets.")
SOCKET_QUEUES = _gauge(
    "websocket_queue_bytes", "Bytes waiting for pages that have not read them yet, or of pages until they are handled."
)
UNANSWERED = _gauge("offers_unanswered", "Offers waiting for an answer.")
OFFERS = _counter("offers", "Viewers' offers by outcome: answered, or the code of the refusal.", "outcome")
ANSWER = _histogram("answer", "From a viewer's offer at the front door to its answer.")
RELAY_FRAMES = _counter(
    "relay_frames",
    "Frames of media through the relay, which workers on one machine do not need: in from workers, out to workers.",
    "direction",
)
RELAY_BYTES = _counter("relay_bytes", "Bytes of media through the relay: in from workers, out to workers.", "direction")
RESERVE = _gauge("memory_reserve_bytes", "limits.free_memory: with less memory left, no more viewers are let in.")
CERTIFICATE = _gauge(
    "certificate_expires_timestamp_seconds",
    "Unix time at which the front door's certificate expires; none without TLS.",
)

NODE_INFO = _gauge(
    "node_info", "Always 1; its labels are the process's host and version.", "node", "role", "host", "version"
)
NODE_UP = _gauge("node_up", "1 if the process is alive, 0 for a minute after its death.", "node", "role")
NODE_DRAINING = _gauge("node_draining", "1 while the process is ending and takes nothing new.", "node", "role")
NODE_FULL = _gauge(
    "node_full", "1 while an egress takes no more viewers, or a transcode process no more conversions.", "node", "role"
)
NODE_SILENT = _gauge("node_silent_seconds", "Time since the process last reported.", "node", "role")
NODE_CPU = _gauge("node_cpu_cores", "Processor time that the process uses, in cores.", "node", "role")
NODE_MEMORY = _gauge("node_memory_bytes", "Resident memory of the process.", "node", "role")
NODE_FREE = _gauge("node_memory_free_bytes", "Memory that the process could still get.", "node", "role")
NODE_TASKS = _gauge("node_tasks", "Tasks of the process's event loop.", "node", "role")
NODE_STREAMS = _gauge(
    "node_streams",
    "Ingest: streams it pulls. Egress: renditions it is subscribed to. Transcode: renditions it makes.",
    "node",
    "role",
)
EVENTS = _counter(
    "events",
    "Events counted in the process, mostly drops; docs/monitoring.md lists them.",
    "node",
    "role",
    "event",
)

VIEWERS = _gauge("viewers", "Viewers of an egress by state.", "node", "state")
VIEWERS_WAITING = _gauge("viewers_waiting", "Connected viewers to which nothing is being sent.", "node")
VIEWERS_CODEC = _gauge("viewers_codec", "Viewers by the codec that they get, for each kind.", "kind", "codec")
VIEWERS_WAY = _gauge(
    "viewers_way", "Viewers by how media reaches them: udp, tcp, websocket; none while that is undecided.", "way"
)
DELAY = _histogram(
    "delay", "From a packet's arrival at ingest until it was sent to the last viewer of the egress.", "node"
)
CONNECT = _histogram("connect", "From a viewer's answer until media could flow to it.", "node")
FIRST_PICTURE = _histogram("first_picture", "From a viewer's answer until it had been sent a whole picture.", "node")
SENT_PACKETS = _counter("sent_packets", "Packets of media sent to viewers, not counting repetitions.", "node")
SENT_BYTES = _counter("sent_bytes", "Bytes of media sent to viewers, not counting repetitions.", "node")
BLOCKED = _counter(
    "sends_blocked", "Sends to a viewer that found its buffer full; the viewer continues from the history.", "node"
)
ASKED = _counter("repeats_asked", "Packets that viewers reported as lost by NACK.", "node")
REPEATED = _counter("repeats_sent", "Packets that were sent again.", "node")
PICTURES = _counter("pictures_asked", "Picture loss indications of viewers.", "node")
LOST = _counter("viewer_packets_lost", "Packets that viewers lost, according to their receiver reports.", "node")

STATE = _gauge("camera_state", "Always 1; its label is the state of a camera's stream.", "camera", "stream", "state")
FAILED = _gauge(
    "camera_failed", "1 if the stream gives no picture because of an error, which is retried.", "camera", "stream"
)
CAMERA_VIEWERS = _gauge("camera_viewers", "Viewers who see the stream, or are about to.", "camera", "stream")
RECONNECTS = _counter("camera_reconnects", "Times that the stream came back.", "camera", "stream")
_TRACK = ("camera", "stream", "kind")
PACKETS = _counter("camera_packets", "RTP packets of the session with the camera.", *_TRACK)
BYTES = _counter("camera_bytes", "Bytes of RTP of the session with the camera.", *_TRACK)
CAMERA_LOST = _counter("camera_packets_lost", "Packets that did not arrive.", *_TRACK)
DUPLICATES = _counter("camera_packets_duplicate", "Packets that arrived twice.", *_TRACK)
REORDERED = _counter(
    "camera_packets_reordered", "Packets that arrived out of order and were put back in order.", *_TRACK
)
DROPPED = _counter(
    "camera_packets_dropped",
    "Packets that arrived but were of no use: damaged, or part of an incomplete picture.",
    *_TRACK,
)
FRAMES = _counter("camera_frames", "Pictures, or packets of sound.", *_TRACK)
KEYFRAMES = _counter("camera_keyframes", "Pictures that a decoder can start with.", *_TRACK)
JITTER = _gauge("camera_jitter_seconds", "Jitter of arrival (RFC 3550 6.4.1).", *_TRACK)

FAMILIES = tuple(each for each in globals().values() if isinstance(each, Family))
"""All of them."""

OF_TRACKS = (
    (PACKETS, "packets"),
    (BYTES, "bytes"),
    (CAMERA_LOST, "lost"),
    (DUPLICATES, "duplicates"),
    (REORDERED, "reordered"),
    (DROPPED, "dropped"),
    (FRAMES, "frames"),
    (KEYFRAMES, "keyframes"),
    (JITTER, "jitter"),
)
"""The families of each track of a camera, and the field of its statistics."""

OF_COUNTERS = {
    "sent_packets": SENT_PACKETS,
    "sent_bytes": SENT_BYTES,
    "sends_blocked": BLOCKED,
    "repeats_asked": ASKED,
    "repeats_sent": REPEATED,
    "pictures_asked": PICTURES,
    "viewer_packets_lost": LOST,
}
"""The counters of an egress that are families of their own."""
