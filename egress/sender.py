"""What one viewer gets of one feed: its place in the feed, its retransmissions, its numbers for reports.

Sequence numbers start below 2**15, so that a receiver which loses the first packets cannot miss the first wrap and
guess a wrong ROC (RFC 3711 3.3.1). When a viewer skips, its offset changes with it, so that its numbers have no gap.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from common.media import MAX_PAYLOAD, Kind
from egress.answer import Format, Section
from egress.media.fanout import Audience, Group, Lane, Parcel, fan_out, runs
from egress.media.feed import Feed
from egress.media.history import Packet
from egress.media.target import Target
from egress.path.capacity import Train
from egress.path.pace import Pace
from egress.path.playout import Playout
from egress.path.stuck import StuckJudge
from egress.repeat_budget import RepeatBudget
from egress.wire.srtp import Srtp

MAX_LAG = 0.5  # seconds that a viewer may be behind when a keyframe comes; if it is more, it goes on there
SILENCE = 1.0  # seconds without a picture after which a camera is taken to be away
FRESH = 5.0  # seconds after which the history of a silent camera is no picture to start with
REPLAY_INTERVAL = 1.0  # seconds between answers to a viewer's picture loss indications …
FIRST_REPLAY = 0.5  # … and from the start to the first answer: by then the first keyframe has come, or never will
MAX_RETRANSMISSIONS = 250  # packets in BUDGET_INTERVAL: 24 Mb/s, more than an honest loss burst needs
BUDGET_INTERVAL = 0.1  # seconds
EVIDENCE = 3  # packets that a viewer asks for again before its first report, to tell a lossy path by
_START_MASK = ~0x7FFF

_original_sequence = struct.Struct("!H").pack  # RFC 4588 4


class Place(Enum):
    """Where a sender stands in its feed."""

    WAITING = auto()  # for the track, or for a keyframe
    BEHIND = auto()  # reads from the history
    LIVE = auto()  # gets each batch as it comes
    UNPLAYABLE = auto()  # the viewer accepted no format that the track has now


@dataclass(slots=True)
class SenderStats:
    """Counters for reports."""

    blocked: int = 0  # times that the socket's buffer was full
    stuck: int = 0  # times that the path was left alone
    nacked: int = 0  # packets that the viewer asked for again
    retransmitted: int = 0
    plis: int = 0
    withheld: int = 0  # packets and groups of pictures that were asked for again, and too much for the camera's rate


class Sender:
    """One feed to one viewer. ``on_behind`` is called when ``catch_up`` has to be called regularly."""

    def __init__(
        self,
        feed: Feed,
        section: Section,
        srtp: Srtp,
        target: Target,
        pace: Pace,
        on_behind: Callable[[Sender], None],
    ) -> None:
        self.feed = feed
        self.place = Place.WAITING
        self.stats = SenderStats()
        self.format: Format | None = None
        self._section = section
        self._target = target
        self._pace = pace
        self._quality = pace.quality
        self._thin = False
        self._playout = Playout(section.playout_delay)
        self._group: Group | None = None  # the one it is live in, or was
        self._stuck = StuckJudge()
        self._on_hold = False  # as it was at the last look
        self._confirmed = -1  # index of the newest packet that a report says has arrived
        self._on_behind = on_behind
        self.lane, self._rtx_lane = (
            Lane(0, ssrc, srtp.gcm_keys, srtp.protect_rtp) for ssrc in (feed.ssrc, feed.rtx_ssrc)
        )
        self._next = 0  # index of the next packet, while not live
        self._offsets: list[tuple[int, int]] = []  # (first extended sequence number, base), oldest first
        self._rtx_next = 0
        self._spare: list[Packet] = []  # to be retransmitted once more, after the picture that is on its way
        self._repeats = RepeatBudget()
        self._rtx_budget = MAX_RETRANSMISSIONS
        self._rtx_budget_until = 0.0
        self._next_replay = 0.0  # not before this time
        self._live_from = 0  # index from which packets came live …
        self._trains: deque[Train] = deque(maxlen=64)  # … and runs of probes before, as they were sent

    @property
    def held(self) -> bool:
        """Whether nothing is sent because what was sent does not arrive."""
        return self._stuck.held

    def start(self, now: float) -> None:
        """Begin with what is there, if anything is; to be called once."""
        feed = self.feed
        self._thin = self._quality.thin(now)
        self._next_replay = now + FIRST_REPLAY
        feed.add(self)
        self.format_changed()
        self._begin(now)

    def stop(self) -> None:
        """Send nothing more."""
        self._leave(Place.WAITING)
        self.feed.discard(self)

    def retarget(self, target: Target) -> None:
        """The viewer moved to another address."""
        self._target = target
        self._rejoin()

    def may_start(self, index: int) -> None:
        """See ``Listener``. Whoever waits starts here, and who lags too far goes on here."""
        waits = self.place is Place.WAITING and self.format is not None and not self._stuck.held
        if waits or (self.place is Place.BEHIND and self._lag() > MAX_LAG):
            self._skip_to(index)
            self._join()

    def fall_behind(self, index: int) -> None:
        """See ``Listener``."""
        self.stats.blocked += 1
        self.slow_down(index)

    def slow_down(self, index: int) -> None:
        """See ``Listener``."""
        self._leave(Place.BEHIND)
        self._next = min(self._next, index)
        self._on_behind(self)

    def skip_ahead(self, index: int) -> None:
        """See ``Listener``."""
        self._leave(Place.WAITING)
        self._next = min(self._next, index)

    def format_changed(self) -> None:
        """See ``Listener``. The payload type is chosen anew."""
        if not self.feed.codec:
            return
        chosen = self._section.choose(self.feed.codec, self.feed.profile)
        if chosen is not None and chosen == self.format:
            return
        live = self.place is Place.LIVE
        self._leave(Place.WAITING if chosen else Place.UNPLAYABLE)
        self.format = chosen
        self._playout.forget()
        # What was sent in another format is not sent again: its header would be another one under the same nonce.
        self._offsets = [(self._sequence(), self.lane.base)] if self._offsets else []
        if live and chosen:
            self._join()

    def catch_up(self, now: float) -> int:
        """Send what the pace allows from the history, and go live when there is nothing left.

        Returns the number of packets.
        """
        history = self.feed.history
        if self.place is not Place.BEHIND:
            return 0
        if self._next < history.start:  # too slow for what we keep
            if history.keyframe is None:
                self.place = Place.WAITING
                return 0
            self._skip_to(history.keyframe)
        first = self._next
        budget = self._pace.budget(self.feed.meter.rate, now)
        group, count = self._media_group(), budget // MAX_PAYLOAD
        if self._thin:  # one run at a time: what is to be sent again has its turn after each picture
            parcels = [Parcel([run], group) for run in runs(history.slice(first, max(0, count)))]
        else:
            parcels = [self.feed.parcel(first, count, group)] if count > 0 and first < history.end else []
        for parcel in parcels:
            if not self._send_next(parcel):
                break
        sent = self._next - first
        if self._next == history.end:
            self._join()
        return sent

    def _send_next(self, parcel: Parcel) -> bool:
        """Send what is next in the history. ``False`` if the socket's buffer did not take all of it."""
        alone, very_first = Audience([(self.lane, self._target)]), not self.lane.packets
        lacking = fan_out(parcel, self._next, alone).get(self.lane)
        if very_first and self._thin and lacking is None:  # nobody asks again for what was lost before all that came
            fan_out(parcel, self._next, alone)
        for run in parcel.runs:
            if self._next == lacking:
                self.stats.blocked += 1
                return False
            self._pace.spend(sum([len(packet.payload) for packet in run]))
            if run[0].probe:
                self._trains.append((self._next, self._next + len(run)))
            self._next += len(run)
        if parcel.runs[-1][-1].marker:
            self._send_spare()
        return True

    def retransmit(self, sequence_numbers: Iterable[int], now: float) -> None:
        """Answer a NACK (RFC 4585 6.2.1): by RTX where the viewer accepts it, else by the same packet again."""
        if now >= self._rtx_budget_until:
            self._rtx_budget, self._rtx_budget_until = MAX_RETRANSMISSIONS, now + BUDGET_INTERVAL
        found: list[tuple[int, int, Packet]] = []
        for number in sequence_numbers:
            if self._rtx_budget <= 0:
                break
            self._rtx_budget -= 1
            self.stats.nacked += 1
            extended, base = self._locate(number)
            packet = self.feed.history.get(extended + base) if extended >= 0 else None
            if packet is None:
                continue
            if self._may_repeat(packet, now):
                found.append((extended, base, packet))
            else:
                self.stats.withheld += 1
        if not found or self.format is None:
            return
        if self._confirmed < 0 and self.stats.nacked >= EVIDENCE:  # the first report comes only after a second
            self._quality.lost(self.stats.nacked / self.lane.packets, now)
        self.stats.retransmitted += len(found)
        if self.format.rtx is None:
            for extended, base, packet in found:  # byte-identical, so no nonce is used for two different packets
                if extended + base >= self.feed.outbox.unsent:  # nor for one that is given up before it leaves
                    continue
                parcel = Parcel([[packet]], self._media_group())
                fan_out(parcel, extended + base, Audience([(self.lane.at(base), self._target)]))
            return
        again = [
            packet._replace(payload=_original_sequence(extended & 0xFFFF) + packet.payload, probe=False)
            for extended, _, packet in found
        ]
        self._send_again(again)
        # A receiver that does not know the round trip asks once more only after 100 ms, and by then the picture stands:
        # where it is long or packets are lost, what is sent again is sent twice. On a keyframe's way the second time
        # waits for its end: most are not needed, and the keyframe is.
        if self._quality.thin(now):
            self._spare += [packet for packet in again if self._may_repeat(packet, now)]
            if self.place is not Place.BEHIND:
                self._send_spare()

    def _may_repeat(self, packet: Packet, now: float) -> bool:
        return self._repeats.allow_packet(len(packet.payload), self.feed.meter.rate, now)

    def _send_again(self, packets: Sequence[Packet]) -> None:
        """Packets whose payloads are those of RFC 4588 4, on the SSRC for retransmissions."""
        assert self.format is not None, "nothing is sent again before it was sent"
        assert self.format.rtx is not None, "without RTX, packets are sent again as they were"
        parcel = Parcel(list(runs(packets)), Group(self.feed.rtx_ssrc, self.format.rtx))
        fan_out(parcel, self._rtx_next, Audience([(self._rtx_lane, self._target)]))
        self._rtx_next += len(packets)
        self._pace.spend(sum(len(packet.payload) for packet in packets))  # it takes from what is still to be sent

    def _send_spare(self) -> None:
        if self._spare:
            again, self._spare = self._spare, []
            self._send_again(again)

    def confirmed(self, number: int, now: float) -> None:
        """A receiver report says that the packet with this sequence number arrived, and none after it."""
        extended, base = self._locate(number)
        if extended >= 0 and self.feed.kind is Kind.VIDEO:
            self._confirmed = extended + base
            self._stuck.reported(self._unconfirmed(), now)

    def deaf_until(self, now: float) -> None:
        """Reports may have come and been dropped until now."""
        self._stuck.deaf_until(now)

    def arrived(self, arrivals: Mapping[int, float]) -> None:
        """Transport-wide feedback: seconds by sequence number."""
        by_index = {}
        for number, seconds in arrivals.items():
            extended, base = self._locate(number)
            if extended >= 0:
                by_index[extended + base] = seconds
        live = self.place is Place.LIVE  # else the feed's trains are not how this viewer got them
        trains = [train for train in self.feed.trains if train[0] >= self._live_from] if live else []
        self._quality.capacity.add([*self._trains, *trains], by_index, MAX_PAYLOAD)

    def replay(self, now: float) -> None:
        """Answer a picture loss indication: the group of pictures again, at most once a second, and seldom a long one.

        It is not begun again before it can have arrived. Browsers also ask when a camera has gone silent; then its last
        pictures would only be shown as if they were new.
        """
        self.stats.plis += 1
        feed, keyframe = self.feed, self.feed.history.keyframe
        silent = feed.pushed_at is None or now - feed.pushed_at > SILENCE
        if (
            self.place in (Place.LIVE, Place.BEHIND)
            and keyframe is not None
            and not silent
            and now >= self._next_replay
        ):
            size = (feed.history.end - keyframe) * MAX_PAYLOAD
            if not self._repeats.allow_pictures(size, feed.meter.rate, now):
                self.stats.withheld += 1
                return
            lasts = size / self._quality.rate(feed.meter.rate, now)
            self._next_replay = now + max(REPLAY_INTERVAL, 2 * lasts)  # the camera goes on meanwhile
            self._go_behind(keyframe)

    def look(self, now: float) -> None:
        """See whether the path has become another: after each feedback, and once a second without."""
        if self.feed.kind is Kind.VIDEO:  # the one whose reports are taken
            self._watch_path(now)
        thin, told = self._quality.thin(now), False
        if self.format is not None and self.format.rtx is not None:
            # Without RTX a packet is sent again as it was, so its header must not become another one.
            meter = self.feed.meter
            delay = self._quality.playout_delay(meter.rate, meter.largest, now)
            told = self._playout.update(delay, self.lane.packets)
        if thin != self._thin or told:
            self._thin = thin
            self._rejoin()

    def _watch_path(self, now: float) -> None:
        before, held = self._on_hold, self._stuck.judge(self._unconfirmed(), now)
        self._on_hold = held
        if held and not before:
            self.stats.stuck += 1
            if self.place in (Place.LIVE, Place.BEHIND):
                self._leave(Place.WAITING)
        elif before and not held:
            self._begin(now)

    def _unconfirmed(self) -> float:
        """Seconds of media between the newest picture that arrived and the newest that was sent."""
        history = self.feed.history
        newest = history.get((history.end if self.place is Place.LIVE else self._next) - 1)
        confirmed = history.get(self._confirmed)
        if newest is None or confirmed is None:  # fallen out of the history
            return 0.0 if newest is None else float("inf")
        ticks = (newest.timestamp - confirmed.timestamp) & 0xFFFFFFFF
        return ticks / self.feed.timeline.clock_rate if ticks < 1 << 31 else 0.0

    def _begin(self, now: float) -> None:
        """Start with the cached group of pictures, if there is one and it is no old picture."""
        feed = self.feed
        if self.place is not Place.WAITING or feed.pushed_at is None or now - feed.pushed_at > FRESH:
            return
        if feed.kind is Kind.VIDEO and feed.history.keyframe is not None:
            self._go_behind(feed.history.keyframe)

    def _sequence(self) -> int:
        """Extended sequence number of the next packet."""
        index = self.feed.history.end if self.place is Place.LIVE else self._next
        return index - self.lane.base

    def _lag(self) -> float:
        """Seconds of media between this viewer and the newest."""
        packet = self.feed.history.get(self._next)
        if packet is None:  # fallen out of the history
            return float("inf")
        timeline = self.feed.timeline
        return ((timeline.timestamp - packet.timestamp) & 0xFFFFFFFF) / timeline.clock_rate

    def _locate(self, number: int) -> tuple[int, int]:
        """Extended sequence number and base of a number that was sent; (-1, 0) if none such was."""
        following = self._sequence()
        extended = following - ((following - number) & 0xFFFF)
        for first, base in reversed(self._offsets):
            if first <= extended < following:
                return extended, base
        return -1, 0

    def _skip_to(self, index: int) -> None:
        """Go on at ``index``, without a gap in the sequence numbers."""
        base = index - self._sequence() if self._offsets else index & _START_MASK
        self.lane.base = base
        self._offsets = [*self._offsets[-7:], (index - base, base)]
        self._next = index

    def _go_behind(self, index: int) -> None:
        self._leave(Place.BEHIND)
        self._skip_to(index)
        self._on_behind(self)

    def _join(self) -> None:
        self._send_spare()
        self.place = Place.LIVE
        self._live_from = self._next
        self._group = self._media_group()
        self.feed.join(self, self.lane, self._group, self._target, thin=self._thin)

    def _rejoin(self) -> None:
        if self.place is Place.LIVE:
            self._leave(Place.BEHIND)
            if self._next == self.feed.history.end:
                self._join()
            else:
                self._on_behind(self)

    def _leave(self, place: Place) -> None:
        if self.place is Place.LIVE:
            assert self._group is not None, "who is live has joined a group"
            self._next = self.feed.leave(self.lane, self._group)
        self._spare.clear()
        self.place = place

    def _media_group(self) -> Group:
        """A group, still empty, for the media's headers."""
        assert self.format is not None, "nothing is sent before a format is chosen"
        return Group(self.feed.ssrc, self.format.payload_type, self._section.transport_cc, self._playout.element)
