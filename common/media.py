"""Media on the bus: tracks, and the batches of RTP packets that travel in one ZeroMQ frame each.

A batch holds RTP packets of one track that arrived together and share one timestamp, so at most one access unit. The
packets are normalised: no CSRC, no extension, no padding, consecutive sequence numbers. The header fields they have in
common are therefore sent only once, and each packet is just its payload. An egress builds the 12-byte headers
(RFC 3550 5.1) for its viewers from these fields.

A *rendition* travels under one topic: a camera's stream as it came, or one made from it. People, assignments and the
store name cameras; topics, epochs, seals, caches and histories belong to renditions. The grammar of a name is::

    rendition = camera [ "/sub" ] [ "/" codec ]    ; no part has "/", "@" or NUL

A camera's stream as it came has the camera's name (``as_it_came``). What a converter makes from one of its tracks is
named after the resulting codec (``converted``).

Frame layout: topic, then one msgpack array. Topics end in NUL, so that no rendition's topic is a prefix of another's:

* ``rendition NUL``: live batches, one per frame;
* ``rendition@node NUL``: the cached group of pictures for that worker only, as an array of batches in one frame;
* ``rendition NUL epoch``, in digits: carries no media. By subscribing to it a worker tells all publishers of the
  rendition which epoch it takes. Earlier releases count it as garbage.

A release may add flags, and fields at the end of a batch; other releases ignore them. A change in how something is read
needs a new ``BATCH_VERSION``, which is written only if the wire version in use (``common.wire``) includes it. Both wire
versions of this release include only the first.

Input from the bus is checked like input from a network: ``decode_frame`` lets nothing through that the users of batches
would have to check again, neither a size nor a range of numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from functools import lru_cache
from typing import NamedTuple, NewType

import msgpack

from common import native
from common.cameras import CameraName
from common.errors import ProtocolError
from common.packed import Packed

MAX_PAYLOAD = 1160
"""Most bytes of an RTP payload we send. With 12 bytes of header, 12 of extensions or 2 of RTX (RFC 4588), and 16 of
authentication tag the SRTP packet stays within 1,200 bytes, which every path that carries WebRTC lets through."""

MAX_GOP_BYTES = 16 << 20
"""A group of pictures beyond this is not cached: 16 MiB is 8 s at 16 Mb/s."""

MAX_FRAME_BYTES = MAX_GOP_BYTES + (4 << 20)
"""ZMQ_MAXMSGSIZE of the media sockets: a cached group of pictures and its overhead."""

MAX_PACKETS = 4_096  # of a batch: 4 MB, several times the largest picture of a camera
MAX_BATCHES = 65_536  # of a cached group of pictures; one of 16 MiB with a packet in each has 14,000
MAX_TOPIC = 256  # bytes with its NUL: a rendition and, of a replay's, the name of a node

BATCH_VERSION = 1

Rendition = NewType("Rendition", str)
"""The name of what travels under one topic; see the grammar above."""


class Kind(StrEnum):
    """The two kinds of track; a camera has at most one of each."""

    VIDEO = "video"
    AUDIO = "audio"


class Flags(IntFlag):
    """Marks of a batch that starts a keyframe or ends its access unit."""

    KEYFRAME = 1  # the first packet starts an access unit that decodes by itself, parameter sets included
    UNIT_END = 2  # the last packet ends its access unit: it carries the RTP marker bit for video


@dataclass(frozen=True, slots=True)
class Track:
    """One track as it is described to a viewer (RFC 8866 rtpmap and fmtp).

    ``codec`` is the RTP encoding name in the case of its registration (``H264``, ``opus``, ``PCMU``), or ``AAC``.
    ``problem`` says why the track cannot be played; an unplayable track is listed but never published. ``convert`` says
    why browsers cannot play a published track directly, so that viewers get a converted one. ``warning`` says why a
    published track may not look right.
    """

    kind: Kind
    codec: str
    clock_rate: int  # Hz
    channels: int = 1
    profile: str = ""  # H.264: profile-level-id, six hex digits; empty when unknown
    problem: str = ""
    warning: str = ""
    convert: str = ""
    width: int = 0  # of the picture in pixels, 0 where that is not known
    height: int = 0

    @property
    def playable(self) -> bool:
        """Whether the track is published."""
        return not self.problem

    @property
    def carried(self) -> str:
        """The codec as batches name it. For L16 it includes the sampling, which every other codec fixes."""
        sampled = f"{self.codec}/{self.clock_rate}/{self.channels}"
        return sampled if sampled in CLOCK_RATES else self.codec

    @property
    def name(self) -> str:
        """The codec as people know it; empty if it has none."""
        return _NAMES.get(self.codec, self.codec) if "G726" not in self.codec else "G.726"


_NAMES = {
    "H264": "H.264",
    "H265": "H.265",
    "JPEG": "Motion JPEG",
    "MP4V-ES": "MPEG-4",
    "MPV": "MPEG-2",
    "H263": "H.263",
    "opus": "Opus",
    "PCMU": "G.711 (µ-law)",
    "PCMA": "G.711 (A-law)",
    "G722": "G.722",
    "MPA": "MP2 or MP3",
    "AC3": "AC-3",
    "EAC3": "AC-3",
    "SPEEX": "Speex",
    "DVI4": "ADPCM (DVI4)",
    "G723": "G.723",
    "G729": "G.729",
    "MULTIOPUS": "Opus",
}
"""Codecs that people call by another name than RTP does."""

CONVERTED = {
    Kind.VIDEO: Track(Kind.VIDEO, "H264", 90_000, profile="42e01f"),
    Kind.AUDIO: Track(Kind.AUDIO, "opus", 48_000, 2),
}
"""The track that a converter makes of each kind: all browsers play it."""

G711 = Track(Kind.AUDIO, "PCMU", 8_000), Track(Kind.AUDIO, "PCMA", 8_000)
"""The tracks that a converter makes instead for viewers which take no Opus, though they should (RFC 7874 3)."""

_MADE = {track.codec.lower(): track for track in (*CONVERTED.values(), *G711)}

L16_RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""The rates of L16, in Hz, that viewers may be sent as it comes; they are those that people's devices have."""

CLOCK_RATES = {"H264": 90_000, "H265": 90_000, "VP8": 90_000, "VP9": 90_000, "AV1": 90_000} | {
    "opus": 48_000,
    "PCMU": 8_000,
    "PCMA": 8_000,
    "G722": 8_000,  # RFC 3551 4.5.2: 8,000 by an old mistake, though it samples at 16,000
    **{f"L16/{rate}/{channels}": rate for rate in L16_RATES for channels in (1, 2)},  # RFC 3551 4.5.11: any clock
}
"""RTP clock of each codec that viewers may be sent, in Hz."""

_CONVERTED = {
    "video": ("JPEG", "MP4V-ES", "MPV", "H263"),
    "audio": (
        "AAC",
        "L8",
        "L16",
        "L24",
        "MPA",
        "AC3",
        "EAC3",
        "SPEEX",
        "GSM",
        "DVI4",
        "G723",
        "G729",
        "AMR",
        "AMR-WB",
        "MULTIOPUS",
        *(f"{order}G726-{rate}" for order in ("", "AAL2-") for rate in (16, 24, 32, 40)),
    ),
}
"""Codecs that travel on the bus to a converter alone, as access units that were cut into pieces."""

_KIND_OF = {codec: "video" if rate == 90_000 else "audio" for codec, rate in CLOCK_RATES.items()} | {
    codec: kind for kind, codecs in _CONVERTED.items() for codec in codecs
}


class Batch(NamedTuple):
    """RTP packets of one track with one timestamp. Order of the fields is order on the wire."""

    kind: str  # Kind, as its plain value: the hot path compares strings
    codec: str
    epoch: int  # grows when the camera's session starts anew, and with each assignment: ``first_epoch``
    sequence: int  # extended sequence number of the first packet; 0 starts the epoch, no gaps at the publisher
    timestamp: int  # extended RTP timestamp in the track's clock; never wraps
    capture_ns: int  # Unix time of capture: from sender reports where the camera's are sane, else of arrival
    arrival_ns: int  # Unix time at which the first packet was read from the camera
    flags: int  # Flags
    payloads: Sequence[bytes]  # a list, or ``Packed``

    @property
    def keyframe(self) -> bool:
        """Whether a decoder can start with this batch's first packet."""
        return bool(self.flags & _KEYFRAME)

    @property
    def unit_end(self) -> bool:
        """Whether this batch's last packet ends its access unit."""
        return bool(self.flags & _UNIT_END)

    @property
    def size(self) -> int:
        """Bytes of all payloads."""
        return sum(map(len, self.payloads))


_KEYFRAME, _UNIT_END = int(Flags.KEYFRAME), int(Flags.UNIT_END)  # an IntFlag's & is a call into Python
_ALL_FLAGS = _KEYFRAME | _UNIT_END
_MAX_FLAGS = 255
_FIELD_TYPES = (str, str, int, int, int, int, int, int, list)
_FIELDS = len(_FIELD_TYPES)
_PAYLOAD_TYPES = {bytes}
_MAX_COUNT = 1 << 62  # of an epoch, whose upper part is Unix milliseconds, and of packets
_MAX_DIGITS = len(str(_MAX_COUNT))
# Bits of an epoch for sessions with a camera by one assignment; more of them count on into the fence, of which there
# are a thousand a second. No more bits, as an earlier release believes no epoch beyond 48: with these until 2039.
_SESSION_BITS = 7
_MAX_TIMESTAMP = 1 << 62  # ticks, in either direction
_MAX_TIME = 1 << 63  # nanoseconds: the year 2262
_LIMITS = {"max_str_len": 16, "max_bin_len": MAX_PAYLOAD, "max_map_len": 0, "max_ext_len": 0}
_pack = msgpack.Packer(autoreset=True).pack


def as_it_came(camera: str) -> Rendition:
    """The rendition that a camera's own stream is."""
    return Rendition(camera)


def converted(camera: CameraName, kind: Kind, codec: str = "") -> Rendition:
    """The rendition that a converter makes of a camera's track of that kind: the usual one, or that of ``G711``."""
    return Rendition(f"{camera}/{(codec or CONVERTED[kind].codec).lower()}")


def converted_track(rendition: Rendition) -> Track | None:
    """The track that a converter makes of its camera's; ``None`` for a stream as it came."""
    return _MADE.get(rendition.rpartition("/")[2]) if "/" in rendition else None


def converted_kind(rendition: Rendition) -> Kind | None:
    """The kind of track that a converter makes of its camera's; ``None`` for a stream as it came."""
    return track.kind if (track := converted_track(rendition)) is not None else None


def camera_of(rendition: Rendition) -> CameraName:
    """The name of the camera's stream that a rendition shows."""
    return CameraName(rendition if converted_kind(rendition) is None else rendition.rpartition("/")[0])


def first_epoch(fence: int) -> int:
    """The first epoch of what is published by an assignment with that fence; each further session has one more.

    A fence is Unix milliseconds, or a little more (``State.next_fence`` of the director).
    """
    return fence << _SESSION_BITS


def live_topic(rendition: Rendition) -> bytes:
    """The topic of a rendition's live batches."""
    return rendition.encode() + b"\0"


def replay_topic(rendition: Rendition, node: str) -> bytes:
    """The topic to which the worker ``node`` subscribes in order to be sent the cached group of pictures."""
    return f"{rendition}@{node}".encode() + b"\0"


def taken_topic(rendition: Rendition, epoch: int) -> bytes:
    """The topic to which a worker subscribes in order to tell that it takes that epoch, and none before it."""
    return b"%s%d" % (live_topic(rendition), epoch)


def parse_taken(topic: bytes) -> tuple[Rendition, int] | None:
    """Rendition and epoch of a ``taken_topic``; ``None`` if it is another one. Raises ``ProtocolError``."""
    end = topic.find(b"\0") + 1
    epoch = topic[end:]
    if not end or not epoch:
        return None
    if not epoch.isdigit() or len(epoch) > _MAX_DIGITS:
        raise ProtocolError("topic goes on after its NUL, and not with an epoch")
    return parse_topic(topic[:end])[0], int(epoch)


@lru_cache(maxsize=1024)  # there are as many as renditions, each many times a second
def parse_topic(topic: bytes) -> tuple[Rendition, str | None]:
    """Rendition, and the worker that asked if it is a replay topic. Raises ``ProtocolError``."""
    try:
        text = topic.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("topic is not ASCII") from None
    if not text.endswith("\0"):
        raise ProtocolError("topic does not end in NUL")
    rendition, at, node = text[:-1].partition("@")
    return Rendition(rendition), node if at else None


def encode_batch(batch: Batch) -> bytes:
    """One msgpack array; prefix it with ``live_topic`` to make a frame."""
    packed: bytes = _pack((BATCH_VERSION, *batch[:-1], [*batch.payloads]))
    return packed


def encode_replay(encoded: Iterable[bytes]) -> bytes:
    """Many batches, each from ``encode_batch``, as one msgpack array; prefix it with ``replay_topic``."""
    batches = list(encoded)
    header: bytes = msgpack.Packer().pack_array_header(len(batches))
    return header + b"".join(batches)


class Frame(NamedTuple):
    """The contents of one ZeroMQ frame. ``node`` is set if it is a replay for that worker."""

    rendition: Rendition
    node: str | None
    batches: list[Batch]


def decode_frame(frame: bytes) -> Frame:
    """A frame of either kind. Raises ``ProtocolError`` on anything else."""
    end = frame.find(b"\0", 0, MAX_TOPIC) + 1
    rendition, node = parse_topic(frame[:end])
    if node is None and native.BUILT and (batch := _ordinary_batch(frame, end)) is not None:
        return Frame(rendition, None, [batch])
    try:
        body = msgpack.unpackb(
            memoryview(frame)[end:], max_array_len=MAX_PACKETS if node is None else MAX_BATCHES, **_LIMITS
        )
    except (ValueError, msgpack.UnpackException) as exc:
        raise ProtocolError(f"not msgpack: {exc}") from None
    if node is None:
        return Frame(rendition, None, [_batch(body)])
    if not isinstance(body, list):
        raise ProtocolError("replay is not an array")
    return Frame(rendition, node, [_batch(fields) for fields in body])


def _batch(fields: object) -> Batch:
    if not isinstance(fields, list) or len(fields) <= _FIELDS or fields[0] != BATCH_VERSION:
        raise ProtocolError("not a batch of this version")
    batch = tuple.__new__(Batch, fields[1 : _FIELDS + 1])  # a newer release may have more of them
    if tuple(map(type, batch)) != _FIELD_TYPES or set(map(type, batch[-1])) != _PAYLOAD_TYPES:
        raise ProtocolError("batch has a field of the wrong type")
    kind, codec, epoch, sequence, timestamp, capture_ns, arrival_ns, flags, payloads = batch
    if _KIND_OF.get(codec) != kind:
        raise ProtocolError("batch is of a codec that is not known, or not of its kind")
    if not (
        0 <= epoch | sequence < _MAX_COUNT  # if both are: one comparison for two
        and 0 <= capture_ns | arrival_ns < _MAX_TIME
        and -_MAX_TIMESTAMP <= timestamp < _MAX_TIMESTAMP
        and 0 <= flags <= _MAX_FLAGS
    ):
        raise ProtocolError("batch has a number out of its range")
    if flags > _ALL_FLAGS:  # of a newer release
        batch = batch._replace(flags=flags & _ALL_FLAGS)
    if len(payloads) > MAX_PACKETS or not all(payloads):
        raise ProtocolError("batch has too many packets, or an empty one")
    return batch


def named(kind: Kind, codec: str) -> bytes:
    """Kind and codec as they stand in a batch's frame, behind the array's header and the version."""
    return bytes(_pack(kind.value) + _pack(codec))


def begin_of_batch(kind: str, codec: str, epoch: int) -> bytes:
    """How an encoded batch begins, up to its epoch."""
    return bytes(_pack((BATCH_VERSION, kind, codec, epoch, *[0] * 5, []))[:-6])


def is_video(frame: bytes, at: int) -> bool:
    """Whether the batch that stands there, if it is one, is of a picture. A place beyond the end is of none."""
    return frame[at + _NAMED_AT + 1 : at + _NAMED_AT + 2] == b"v"


def _ordinary_batch(frame: bytes, at: int) -> Batch | None:
    """The batch that stands there to the end, read in its place; ``None`` if it is no ordinary one."""
    found = native.read_batch(frame, at, MAX_PAYLOAD, MAX_PACKETS)
    if found is None:
        return None
    named = _NAMED.get(frame[at + _NAMED_AT : found[_NUMBERS]])
    if named is None:
        return None
    return tuple.__new__(Batch, (*named, *found[:_NUMBERS], Packed(frame, *found[_NUMBERS + 1 :])))


_NUMBERS = 6  # fields between the codec and the payloads
_NAMED_AT = 2  # behind the array's header and the version
_NAMED = {_pack(kind) + _pack(codec): (kind, codec) for codec, kind in _KIND_OF.items()}  # as they stand in a frame
