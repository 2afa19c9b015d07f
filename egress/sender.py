"""One viewer's part of a feed, from its first picture to its losses, at the pace that its path allows.

Its place in the feed is the ``Cursor``'s, what it is sent again ``Retransmission``'s. Here is what joins them: what the
viewer reports, what is known of its path, and catching up from the history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from common.media import MAX_PAYLOAD, Kind
from egress.cursor import Cursor
from egress.formats import Format
from egress.measuring import Measuring
from egress.media.fanout import Parcel, fan_out, runs
from egress.media.feed import Feed
from egress.media.group import Audience, Lane
from egress.media.history import NOBODY
from egress.media.target import Target
from egress.negotiation import Section
from egress.path.pace import Pace
from egress.path.stuck import StuckJudge
from egress.position import Event, Position, may
from egress.retransmission import Retransmission
from egress.wire.srtp import Srtp

EVIDENCE = 3  # packets that a viewer asks for again before its first report, to tell a lossy path by


@dataclass(slots=True)
class SenderStats:
    """Counters for reports."""

    stuck: int = 0  # times that the path was left alone
    plis: int = 0


class Sender:
    """One feed to one viewer. Times are monotonic seconds.

    ``section`` is what the viewer accepted of the feed's kind, ``srtp`` has its keys, ``target`` is where it is, and
    ``pace`` what is known of its path. ``on_behind`` is called when ``catch_up`` has to be called regularly.

    ``start`` or ``resume`` is called once, ``catch_up`` as long as the position is BEHIND, ``retransmit``, ``replay``,
    ``confirmed`` and ``arrived`` as RTCP comes, ``look`` after it and once a second, and ``stop`` at the end. The feed
    calls its ``cursor``. ``egress.together`` tells what was ``sent`` for it, ``egress.viewer`` that the viewer moved
    or was not heard, ``egress.showing`` that the feed is another, and ``egress.succession`` has it ``wake``.
    """

    def __init__(
        self,
        feed: Feed,
        section: Section,
        srtp: Srtp,
        target: Target,
        pace: Pace,
        on_behind: Callable[[Sender], None],
    ) -> None:
        self.stats = SenderStats()
        ssrcs = feed.source.ssrc, feed.source.rtx_ssrc
        self.lane, rtx_lane = (Lane(0, ssrc, srtp.gcm_keys, srtp.protect_rtp) for ssrc in ssrcs)
        self.cursor = Cursor(feed, section, self.lane, target, self._moved)
        self.retransmission = Retransmission(self.cursor, rtx_lane, pace)
        self._measuring = Measuring(self.cursor, pace)
        self._pace, self._quality, self._on_behind = pace, pace.quality, on_behind
        self._stuck = StuckJudge() if feed.kind is Kind.VIDEO else None  # by sound, which may pause, none is judged
        self.pictured_at: float | None = None  # when a first whole picture was sent
        self._confirmed = -1  # index of the newest packet that a report says has arrived

    @property
    def feed(self) -> Feed:
        """The feed that it is sent."""
        return self.cursor.feed

    @property
    def position(self) -> Position:
        """Where the viewer stands in the feed."""
        return self.cursor.position

    @property
    def format(self) -> Format | None:
        """The format that the viewer gets, ``None`` before that is known and if it accepts nothing that there is."""
        return self.cursor.format

    def start(self, now: float) -> None:
        """Begin with what is there, if anything is; to be called once."""
        self._learn_path(now)
        self.retransmission.start(now)
        self.cursor.start(now)

    def resume(self, following: int | None, index: int | None, first: int, now: float) -> None:
        """Go on where another process stopped, see ``Cursor.resume``; or begin, if that is not known."""
        self._learn_path(now)
        self.retransmission.start(now)
        self.cursor.resume(following, index, first)
        self.cursor.begin(now)

    def wake(self) -> None:
        """Have ``catch_up`` called again, as the viewer is behind."""
        self._on_behind(self)

    def stop(self) -> None:
        """Send nothing more."""
        self.cursor.stop()

    def change_feed(self, feed: Feed) -> None:
        """Wait for a start in another feed of the same source."""
        self._confirmed = -1
        self._measuring.begin_anew()
        if self._stuck is not None:
            self._stuck.begin_anew()
        self.cursor.change_feed(feed)

    def retarget(self, target: Target, now: float) -> None:
        """Go on at another address. What was sent to the one before may not have arrived."""
        self.cursor.retarget(target)
        if self._stuck is not None:
            self._stuck.moved()
            self._judge(self._stuck, now)

    def catch_up(self, now: float) -> int:
        """Send what the pace allows from the history, and go live when there is nothing left.

        Returns the number of packets.
        """
        cursor, history = self.cursor, self.feed.history
        if cursor.position is not Position.BEHIND or cursor.target.stalled:
            return 0
        if cursor.next < history.start:  # too slow for what we keep
            if history.keyframe is None:
                cursor.move(Event.CUT_OFF)
                return 0
            cursor.skip_to(history.keyframe)
        if cursor.spare_keyframe():
            return 0
        first = cursor.next
        budget = self._pace.budget(self.feed.meter.rate, now)
        for parcel in _parcels(self.feed, cursor, budget // MAX_PAYLOAD):
            if not self._send_next(parcel):
                break
            if self.pictured_at is None and any(run[-1].marker for run in parcel.runs):
                self.pictured_at = now
        sent = cursor.next - first
        if budget >= 0 or not cursor.held:
            cursor.go_live()
        return sent

    def _send_next(self, parcel: Parcel) -> bool:
        """Send what is next in the history. ``False`` if the socket's buffer did not take all of it."""
        cursor = self.cursor
        alone, very_first = Audience([(self.lane, cursor.target)]), not self.lane.packets
        lacking = fan_out(parcel, cursor.next, alone).get(self.lane)
        if very_first and cursor.thin and lacking is None:
            # Receivers never ask for what precedes the first packet that they saw, so it is sent twice.
            fan_out(parcel, cursor.next, alone)
        return self.sent(parcel, lacking)

    def sent(self, parcel: Parcel, lacking: int | None) -> bool:
        """Note that what is next was sent, up to the packet ``lacking`` if there is one.

        Returns whether all of it was.
        """
        cursor = self.cursor
        for run in parcel.runs:
            if lacking is not None and lacking < cursor.next + len(run):
                self._pace.spend(sum([len(packet.payload) for packet in run[: lacking - cursor.next]]))
                cursor.advance(lacking - cursor.next)
                cursor.blocked += 1
                return False
            self._pace.spend(sum([len(packet.payload) for packet in run]))
            if run[0].probe != NOBODY:
                self._measuring.sent(cursor.next, cursor.next + len(run))
            cursor.advance(len(run))
        if parcel.runs[-1][-1].marker:
            self.retransmission.send_spare()
        return True

    def retransmit(self, sequence_numbers: Iterable[int], now: float) -> None:
        """Answer a NACK (RFC 4585 6.2.1): by RTX where the viewer accepts it, else by the same packet again."""
        lost = self.retransmission.find(sequence_numbers, now)
        if not lost or self.format is None:
            return
        nacked = self.retransmission.stats.nacked
        if self._confirmed < 0 and nacked >= EVIDENCE:  # the first report comes only after a second
            self._quality.lost(nacked / self.lane.packets, now)
        self.retransmission.send(lost, now)

    def replay(self, now: float) -> None:
        """Answer a picture loss indication by the group of pictures, if that is due (``Retransmission.replay``)."""
        self.stats.plis += 1
        if self.position in (Position.LIVE, Position.BEHIND):
            keyframe = self.retransmission.replay(now)
            if keyframe is not None:
                self.cursor.go_back(keyframe)

    def confirmed(self, number: int, now: float, waited: float = 0.0) -> None:
        """Note that a receiver report says this sequence number arrived, and none after it.

        It has ``waited`` for us so many seconds.
        """
        index = self.cursor.numbering.index(number, self.cursor.upto)
        if index is not None and self._stuck is not None:
            if index != self._confirmed:
                self._confirmed = index
                self._measuring.confirmed(index, now)
            self._stuck.reported(_unconfirmed(self.cursor, self._confirmed), now, waited)

    def deaf_until(self, now: float) -> None:
        """Reports may have come and been dropped until now."""
        if self._stuck is not None:
            self._stuck.deaf_until(now)

    def arrived(self, arrivals: Mapping[int, float], now: float) -> bool:
        """Transport-wide feedback: seconds by sequence number. Whether the path is found too narrow for the stream."""
        return self._measuring.arrived(arrivals, now)

    def look(self, now: float) -> None:
        """See whether the path has become another: after each feedback, and once a second without."""
        if self._stuck is not None:
            self._judge(self._stuck, now)
        cursor, told, changed = self.cursor, False, self._learn_path(now)
        if cursor.format is not None and cursor.format.rtx is not None:
            # Without RTX a packet is sent again as it was, so its header must not become another one.
            quality, meter = self._quality, self.feed.meter
            delay = quality.playout_delay(meter.rate, meter.largest, now) if quality.lossy(now) else 0.0
            told = cursor.playout.update(delay, self.lane.packets)
        if changed or told:
            cursor.rejoin()

    def _learn_path(self, now: float) -> bool:
        return self.cursor.know_path(thin=self._quality.thin(now), watches=self._quality.watched)

    def _judge(self, judge: StuckJudge, now: float) -> None:
        cursor = self.cursor  # what piles up on a reliable way takes nothing from others, and is bounded
        stuck = judge.judge(_unconfirmed(self.cursor, self._confirmed), now) and not cursor.target.reliable
        if stuck and may(cursor.position, Event.GOT_STUCK):
            self.stats.stuck += 1
            cursor.move(Event.GOT_STUCK)
        elif not stuck and cursor.position is Position.ON_HOLD:
            cursor.move(Event.CAME_FREE)
            cursor.begin(now)

    def _moved(self, position: Position) -> None:
        """Spare packets wait for a picture that is on its way: here it has gone, or is given up."""
        if position is Position.LIVE:
            if self.pictured_at is None:
                self.pictured_at = self.feed.pushed_at  # the batch that it goes live with is being pushed
            self.retransmission.send_spare()
        else:
            self.retransmission.forget_spare()
        if position is Position.BEHIND:
            self._on_behind(self)


def _parcels(feed: Feed, cursor: Cursor, count: int) -> list[Parcel]:
    """At most so many packets of the history, from those that are next."""
    first, group = cursor.next, cursor.group()
    if cursor.thin:  # one run at a time: what is to be sent again has its turn after each picture
        return [Parcel([run], group) for run in runs(feed.history.slice(first, max(0, count)))]
    return [feed.parcel(first, count, group)] if count > 0 and first < feed.history.end else []


def _unconfirmed(cursor: Cursor, confirmed: int) -> float:
    """Seconds of media between the newest picture that arrived and the newest that was sent."""
    history = cursor.feed.history
    newest, known = history.get(cursor.upto - 1), history.get(confirmed)
    if newest is None or known is None:  # fallen out of the history
        return 0.0 if newest is None else float("inf")
    ticks = (newest.timestamp - known.timestamp) & 0xFFFFFFFF
    return ticks / cursor.feed.timeline.clock_rate if ticks < 1 << 31 else 0.0
