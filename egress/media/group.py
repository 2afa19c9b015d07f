"""The lanes that get the same packets, where they go, and groups of them, whose headers differ in a number alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from egress import native
from egress.media.history import ALL, WATCHED, Packet
from egress.media.target import Target

HEADER_SIZE = 12  # bytes, RFC 3550 5.1 without CSRC and extension
EXTENSION_SIZE = 8  # bytes, RFC 8285 4.2 with one element of two bytes …
EXTENSIONS_SIZE = 12  # … and with one of three after it
GCM_TAG_SIZE = 16  # bytes, RFC 7714 13

_header = struct.Struct("!BBHII").pack
_extended_header = struct.Struct("!BBHIIHHBHx").pack
_twice_extended_header = struct.Struct("!BBHIIHHBH4sx").pack

GroupKey = tuple[int, int, bytes, bool]


class MediaKeys(Protocol):
    """The keys that encrypt one viewer's packets with AES-GCM; see ``egress.wire.srtp.GcmKeys``."""

    @property
    def cipher(self) -> native.Cipher | None:
        """The key for the compiled loop, ``None`` where that is not used."""

    @property
    def encrypt_into(self) -> Callable[[bytes, bytes, bytes, memoryview], object]:
        """Called with nonce, payload, header, and where ciphertext and tag go."""

    def iv(self, ssrc: int) -> int:
        """The part of the nonce that is the same for all packets of ``ssrc``."""


class Lane:
    """One SSRC towards one viewer. Packet index i of the track has extended sequence number i - ``base`` here."""

    __slots__ = ("_base", "_octets", "_packets", "compiled", "encrypt_into", "iv", "keys", "protect", "ssrc")

    def __init__(self, base: int, ssrc: int, keys: MediaKeys | None, protect: Callable[[bytes], bytes]) -> None:
        self.ssrc = ssrc
        self.keys = keys  # None: the peer has no GCM, ``protect`` (libsrtp) does it
        self.iv = keys.iv(ssrc) if keys else 0
        self.compiled = native.lane(keys.cipher, self.iv, base) if keys and keys.cipher else None
        self.encrypt_into = keys.encrypt_into if keys and self.compiled is None else None
        self.protect = protect
        self._base = base
        self._packets = self._octets = 0  # that were not counted by the compiled loop

    @property
    def base(self) -> int:
        """Index with sequence number 0; set only while the lane is in no group and no posting (``egress.position``)."""
        return self._base

    @base.setter
    def base(self, base: int) -> None:
        self._base = base
        if self.compiled is not None:
            self.compiled.base = base

    @property
    def packets(self) -> int:
        """How many were sent."""
        return self._packets if self.compiled is None else self._packets + int(self.compiled.packets)

    @property
    def octets(self) -> int:
        """Bytes of payload that were sent, as a sender report counts them (RFC 3550 6.4.1)."""
        return self._octets if self.compiled is None else self._octets + int(self.compiled.octets)

    def prepare(self) -> None:
        """Be ready to be served without the compiled loop."""
        if self.encrypt_into is None and self.keys is not None:
            self.encrypt_into = self.keys.encrypt_into

    def count(self, packets: int, octets: int) -> None:
        """Count what was sent otherwise than by the compiled loop, which counts by itself."""
        self._packets += packets
        self._octets += octets

    def at(self, base: int) -> Lane:
        """A lane of the same SSRC and keys, for what was sent while ``base`` was another."""
        return Lane(base, self.ssrc, self.keys, self.protect)


Member = tuple[Lane, Target]


class Audience:
    """Lanes and where each goes, as they were when it was made. The first ``border`` are the compiled loop's."""

    __slots__ = ("_compiled", "border", "members")

    def __init__(self, members: Iterable[Member]) -> None:
        served: list[Member] = []
        others: list[Member] = []
        for lane, target in members:
            if lane.compiled is not None and target.route is not None:
                served.append((lane, target))
            else:
                lane.prepare()
                others.append((lane, target))
        self.members = served + others
        self.border = len(served)
        self._compiled: native.Audience | None = None

    @property
    def compiled(self) -> native.Audience:
        """The members as the compiled loop takes them, made when it is first asked for."""
        if self._compiled is None:
            served = self.members[: self.border]
            self._compiled = native.Audience([lane.compiled for lane, _ in served], [to.route for _, to in served])
        return self._compiled

    def renew(self) -> None:
        """Use the routes that the targets have now: one has changed."""
        self._compiled = None

    def without(self, lane: Lane, start: int) -> Audience | None:
        """The members from ``start`` on but for ``lane``; ``None`` if it is not one of them."""
        for at in range(start, len(self.members)):
            if self.members[at][0] is lane:
                rest = Audience(())
                rest.members = self.members[start:at] + self.members[at + 1 :]
                rest.border = max(0, self.border - start - (at < self.border))
                return rest
        return None


class Group:
    """Lanes whose packets have the same headers but for the sequence number."""

    __slots__ = ("_audience", "_lanes", "_usual", "extension", "payload_type", "playout", "ssrc", "watched")

    def __init__(
        self, ssrc: int, payload_type: int, extension: int = 0, playout: bytes = b"", watched: bool = False
    ) -> None:
        assert extension or not playout, "the playout delay's element stands behind the other one"
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.extension = extension  # id of the transport-wide sequence number, 0 for lanes without
        self.playout = playout  # the playout delay's element, empty for lanes without
        self.watched = watched  # whether all probes carry the number, and not only those that are for all
        self._lanes: dict[Lane, Target] = {}
        self._audience: Audience | None = None
        self._usual = b""

    def __len__(self) -> int:
        return len(self._lanes)

    def add(self, lane: Lane, target: Target) -> None:
        """Include ``lane`` in every batch pushed from now on."""
        self._lanes[lane] = target
        self._audience = None

    def discard(self, lane: Lane) -> None:
        """Exclude ``lane`` from later batches; those in flight are the outbox's to stop."""
        self._lanes.pop(lane, None)
        self._audience = None

    @property
    def audience(self) -> Audience:
        """The lanes that are in the group now. Lanes that come or go later do not change it."""
        if self._audience is None:
            self._audience = Audience(self._lanes.items())
        return self._audience

    @property
    def key(self) -> GroupKey:
        """The properties that lanes must agree in to share a group of one SSRC."""
        return self.payload_type, self.extension, self.playout, self.watched

    def usual_header(self, probe: int) -> bytes:
        """The header of packets with that ``probe``, without number, timestamp and marker: all usual ones have one."""
        if not self._usual:
            self._usual = write_header(Packet(b"", 0, 0, probe), 0, self)
        return self._usual

    def numbers(self, packet: Packet) -> bool:
        """Whether the packet carries a transport-wide sequence number here."""
        return bool(self.extension) and (packet.probe == ALL or (self.watched and packet.probe == WATCHED))

    def header_size(self, packet: Packet) -> int:
        """Bytes of the packet's header here."""
        if self.playout:
            return HEADER_SIZE + EXTENSIONS_SIZE
        return HEADER_SIZE + EXTENSION_SIZE if self.numbers(packet) else HEADER_SIZE


def write_header(packet: Packet, number: int, group: Group) -> bytes:
    """The RTP header of a packet with this sequence number, for all lanes of a group (RFC 3550 5.1, RFC 8285 4.2)."""
    second = group.payload_type | packet.marker
    common = second, number, packet.timestamp, group.ssrc
    element = group.extension << 4 | 1
    if group.playout:
        return _twice_extended_header(0x90, *common, 0xBEDE, 2, element, number, group.playout)
    if group.numbers(packet):
        return _extended_header(0x90, *common, 0xBEDE, 1, element, number)
    return _header(0x80, *common)
