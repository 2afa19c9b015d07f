"""The media of one RTSP session: which sections are played, and the ways by which their packets come.

Over TCP each track has two interleaved channels; over UDP, two ports, of which ``SessionMedia`` is the owner: at our
address, or in the multicast group that the camera sends to.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from common.cameras import Transport
from common.clock import unix_ns
from common.media import Kind, Track
from ingest.payload.registry import Choice, NothingPlayableError, choose, choose_muxed, doubtful
from ingest.rtp.receiver import TrackReceiver
from ingest.rtp.rtcp import REPORT_INTERVAL, receiver_report
from ingest.rtp.shortcut import Shortcut
from ingest.rtp.stream import CameraStream
from ingest.rtsp.groups import MulticastGroup
from ingest.rtsp.interleaved import Interleaved, Route
from ingest.rtsp.message import InterleavedFrame
from ingest.rtsp.multicast import join_pair
from ingest.rtsp.networks import Networks
from ingest.rtsp.parser import Take
from ingest.rtsp.protected import Protected
from ingest.rtsp.rtp_info import Announced, of_track
from ingest.rtsp.setup import Setup
from ingest.rtsp.transport import Pair
from ingest.rtsp.udp import UdpPort, bind_pair
from ingest.rtsp.url import RtspUrl
from ingest.sdp import MediaSection, SessionDescription

CNAME = "camshaft"
STRAY_NS = 1_000_000_000  # for which what comes on channels that were not agreed on is dropped
PLAIN_WARNING = "the media comes over UDP, which TLS does not encrypt; use TCP"


class SessionMedia:
    """The media of one session, over UDP or TCP."""

    def __init__(
        self,
        url: RtspUrl,
        *,
        udp: bool,
        multicast: bool = False,
        epoch: int,
        networks: Networks = Networks(),  # noqa: B008  # frozen
        muxed: bool = False,
    ) -> None:
        self.udp, self.multicast = udp, multicast
        self._choose = choose_muxed if muxed else choose
        self.networks = networks
        self.stream = CameraStream([], udp=udp, epoch=epoch)  # empty until every track is set up
        self.ports: list[tuple[UdpPort, UdpPort]] = []  # of RTP and RTCP, one a track
        self.nothing_playable: NothingPlayableError | None = None  # by its description; a look is taken all the same
        self._encrypted = url.scheme == "rtsps"
        self._choices: list[Choice] = []
        self._unplayable: list[Track] = []
        self._setups: Sequence[Setup] = ()
        self.ssrc = secrets.randbits(32)  # of our reports
        self._protected: dict[int, Protected] = {}  # by section's index, where it comes as SRTP
        self._strays: dict[int, TrackReceiver] = {}  # whose packets come on another channel, by that
        self._strays_since_ns = 0
        self._report_due = 0.0

    def select(self, description: SessionDescription) -> list[MediaSection]:
        """The sections to set up. Raises ``NothingPlayableError``."""
        try:
            self._choices, self._unplayable = self._choose(description)
        except NothingPlayableError as exc:
            choice = doubtful(description) if self._choose is choose else None
            if choice is None:
                raise
            self._choices, self.nothing_playable = [choice], exc
        return [choice.section for choice in self._choices]

    def tracks(self, refused: Mapping[str, str]) -> tuple[Track, ...]:
        """The camera's tracks as they are known now; ``refused`` says by kind why one was not set up."""
        if self.nothing_playable:
            return self.nothing_playable.tracks
        tracks = {track.kind: track for track in self._unplayable}
        for choice in self._choices:
            tracks[choice.track.kind] = replace(choice.track, problem=refused.get(choice.track.kind, ""))
        for index, receiver in enumerate(self.stream.receivers):
            track = tracks[receiver.kind] = receiver.track
            if self.udp and self._encrypted and index not in self._protected:
                warning = "; ".join(filter(None, (track.warning, PLAIN_WARNING)))
                tracks[receiver.kind] = replace(track, warning=warning)
        return tuple(tracks[kind] for kind in sorted(tracks, reverse=True))  # video first

    @property
    def transport(self) -> Transport:
        """The transport that was agreed on."""
        if self.group:
            return Transport.MULTICAST
        return Transport.UDP if self.udp else Transport.TCP

    @property
    def group(self) -> str:
        """The multicast group that the first track is sent to; empty if it is sent to us."""
        return str(next((setup.group for setup in self._setups[:1] if setup.group), ""))

    @property
    def undecryptable(self) -> bool:
        """Whether packets come as SRTP, and none by the keys that were agreed on."""
        return any(each.refused and not each.taken for each in self._protected.values())

    @property
    def strangers(self) -> int:
        """Datagrams that came from elsewhere than the camera."""
        return sum(port.strangers for pair in self.ports for port in pair)

    @property
    def stranger(self) -> str:
        """An address that some of them came from; empty if none did."""
        return next((port.stranger for pair in self.ports for port in pair if port.stranger), "")

    def bind(self, local: str) -> Pair:
        """Open the ports of the next track at our address. Raises ``CameraError``."""
        pair = bind_pair(local, socket.AF_INET6 if ":" in local else socket.AF_INET)
        self.ports.append(pair)
        return pair[0].port, pair[1].port

    def open(
        self,
        setups: Sequence[Setup],
        peer: str,
        local: str,
        flush: Callable[[int, int, int], None],
        interleaved: Interleaved,
    ) -> None:
        """Open what was set up between the camera's address and ours: from now on packets may come. Raises
        ``CameraError`` where a group cannot be joined."""
        self._setups = setups
        for index, setup in enumerate(setups):
            if setup.group:
                self._join(index, setup.group, peer, local)
        sections = [setup.section for setup in setups]
        choices = [choice for choice in self._choices if any(choice.section is section for section in sections)]
        self.stream = CameraStream(choices, udp=self.udp, epoch=self.stream.epoch)
        routes: dict[int, Route] = {}
        takes: dict[int, Take] = {}
        shortcuts: dict[int, Shortcut] = {}
        channel = -1  # of the picture
        for index, (setup, receiver) in enumerate(zip(setups, self.stream.receivers, strict=True)):
            protected = Protected(setup.keys, receiver) if setup.keys else None
            if protected:
                self._protected[index] = protected
            if self.udp:
                self._start(setup, protected or receiver, peer, flush, *self.ports[index])
            elif setup.spec.interleaved and protected:
                rtp, rtcp = setup.spec.interleaved
                routes[rtcp], routes[rtp] = partial(_each, protected.receive_rtcp), partial(_each, protected.receive)
            elif setup.spec.interleaved:
                rtp, rtcp = setup.spec.interleaved
                routes[rtcp] = partial(_each, receiver.receive_rtcp)
                short = Shortcut(receiver, rtp)
                shortcuts.setdefault(rtp, short)
                routes[rtp] = short.receive_run  # last: where both are one, it tells them apart
                if (take := short.take) is not None:
                    takes.setdefault(rtp, take)
                    channel = rtp if receiver.kind is Kind.VIDEO else channel
        interleaved.open(routes, takes, channel, shortcuts)
        interleaved.stray = None if self.udp or self._protected else self._stray

    def announce(self, entries: Sequence[Announced]) -> None:
        """Expect the packets by which the camera said, when it began to play, that its tracks are known."""
        receivers = self.stream.receivers
        for index, (setup, receiver) in enumerate(zip(self._setups, receivers, strict=True)):
            entry = of_track(entries, setup.section.control, index, len(receivers))
            ssrc = entry.ssrc if entry else None
            receiver.source.announce(setup.spec.ssrc if ssrc is None else ssrc, entry.sequence if entry else None)

    def _stray(self, channel: int, data: memoryview, bounds: Sequence[tuple[int, int]], arrival_ns: int) -> None:
        """Packets came on a channel that was not agreed on: they are of the track that has their payload type, if none
        of its own comes. What an earlier session left behind (live555 before 2017) is over by then."""
        self._strays_since_ns = self._strays_since_ns or arrival_ns
        if arrival_ns - self._strays_since_ns < STRAY_NS:
            return
        for start, stop in bounds:
            for receiver in self.stream.receivers:
                known = self._strays.get(channel) is receiver or not receiver.packets
                if known and stop - start > 12 and data[start + 1] & 0x7F == receiver.payload_type:
                    self._strays[channel] = receiver
                    receiver.receive(bytes(data[start:stop]), arrival_ns)
                    break

    def _start(
        self,
        setup: Setup,
        receiver: TrackReceiver | Protected,
        peer: str,
        flush: Callable[[int, int, int], None],
        rtp: UdpPort,
        rtcp: UdpPort,
    ) -> None:
        named = setup.group.sources if setup.group else (setup.spec.source,)
        addresses = frozenset(self._senders(peer, *named))
        ports = (None if setup.group else setup.spec.server_port) or (None, None)
        for port, remote, receive in ((rtp, ports[0], receiver.receive), (rtcp, ports[1], receiver.receive_rtcp)):
            port.start(addresses, (peer, remote) if remote else None, receive, flush)
        if setup.group:
            return
        # Open the way through firewalls: an empty RTP packet, an empty receiver report.
        rtp.send(b"\x80" + bytes(7) + self.ssrc.to_bytes(4))
        report = receiver_report(self.ssrc, CNAME, [])
        rtcp.send(report if isinstance(receiver, TrackReceiver) else receiver.report(report))

    def _join(self, index: int, group: MulticastGroup, peer: str, local: str) -> None:
        """Have the ports of that track be in a group, instead of those at our address if it has some."""
        senders = self._senders(peer, *group.sources)
        pair = join_pair(group, local, senders, reports=self.networks.allows(group.address))
        for port in self.ports[index] if index < len(self.ports) else ():
            port.close()
        self.ports[index : index + 1] = [pair]

    def _senders(self, peer: str, *named: str | None) -> list[str]:
        """The camera's address, and those that it says it sends from (RFC 2326 12.39) where a camera may be."""
        senders = [peer]
        for address in named:
            with suppress(ValueError):  # a name, or nonsense: no datagram has such an address
                if address is not None and address not in senders and self.networks.allows(address):
                    senders.append(address)
        return senders

    def look_again(self, now: float, junk: int, write: Callable[[bytes], None]) -> None:
        """Look, every few seconds, whether packets are still what they were taken for, and report; see ``review``."""
        if now >= self._report_due:
            self._report_due = now + REPORT_INTERVAL
            self.stream.review(junk)
            self.send_reports(unix_ns(), write)

    def send_reports(self, now_ns: int, write: Callable[[bytes], None]) -> None:
        """RFC 3550 6.4.2: from the start, also when there is nothing to report yet; ``write`` sends over TCP."""
        for index, (setup, receiver) in enumerate(zip(self._setups, self.stream.receivers, strict=True)):
            block = receiver.report_block(now_ns)
            report = receiver_report(self.ssrc, CNAME, [block] if block else [])
            if protected := self._protected.get(index):
                report = protected.report(report)
            if self.udp:
                self.ports[index][1].send(report)
            elif setup.spec.interleaved:
                write(bytes(InterleavedFrame(setup.spec.interleaved[1], report)))

    def close(self) -> None:
        """Give the ports back."""
        for port in (port for pair in self.ports for port in pair):
            port.close()


def _each(receive: Callable[[bytes, int], None], data: memoryview, bounds: Sequence[tuple[int, int]], ns: int) -> None:
    for start, stop in bounds:
        receive(bytes(data[start:stop]), ns)
