"""A track whose packets come as SRTP: its receiver gets them in clear, and our reports go out protected; no I/O."""

from __future__ import annotations

from ingest.rtp.receiver import TrackReceiver
from ingest.srtp.keys import Keys
from ingest.srtp.packets import Protector, Unprotector


class Protected:
    """Stands before one receiver. ``keys`` are the camera's and ours."""

    def __init__(self, keys: tuple[Keys, Keys], receiver: TrackReceiver) -> None:
        theirs, ours = keys
        self._receiver = receiver
        self._in, self._out = Unprotector(theirs), Protector(ours)

    @property
    def taken(self) -> int:
        """Packets of media that were authentic."""
        return self._in.taken

    @property
    def refused(self) -> int:
        """Packets that were not."""
        return self._in.refused

    def receive(self, packet: bytes, arrival_ns: int) -> None:
        """SRTP came, or SRTCP by the same way (RFC 5761 4)."""
        if len(packet) > 1 and 192 <= packet[1] <= 223:
            self.receive_rtcp(packet, arrival_ns)
        elif plain := self._in.rtp(packet):
            self._receiver.receive(plain, arrival_ns)

    def receive_rtcp(self, packet: bytes, arrival_ns: int) -> None:
        """SRTCP came."""
        if plain := self._in.rtcp(packet):
            self._receiver.receive_rtcp(plain, arrival_ns)

    def report(self, packet: bytes) -> bytes:
        """SRTCP of a report of ours."""
        return self._out.rtcp(packet)
