"""One viewer's place in a feed: its position (``egress.position``), its next packet, and the headers that it gets."""

from __future__ import annotations

from collections.abc import Callable

from common.media import Kind
from egress.formats import Format
from egress.media.feed import Feed
from egress.media.group import Group, Lane
from egress.media.history import ALL
from egress.media.target import Target
from egress.negotiation import Section
from egress.numbering import Numbering
from egress.path.playout import Playout
from egress.position import TRANSITIONS, Event, Position

MAX_LAG = 0.5  # seconds that a viewer may be behind when a keyframe comes; if it is more, it goes on there …
HELD_LAG = 2.0  # … and one that is held back, to which the keyframe would be too much


class Cursor:
    """A ``Listener`` of the feed. ``on_move`` is called with each position that it takes."""

    def __init__(
        self, feed: Feed, section: Section, lane: Lane, target: Target, on_move: Callable[[Position], None]
    ) -> None:
        self.feed = feed
        self.position = Position.WAITING
        self.format: Format | None = None
        self._chosen_of = ("", "")  # codec and profile that it was chosen for
        self.numbering = Numbering(lane)
        self.playout = Playout(section.playout_delay)
        self.target = target
        self._thin = False  # no bursts
        self._watches = False  # each picture is to tell how much the path carries, where that can be
        self._leaves = False  # another feed is to come soon
        self._held = False  # back: it goes on at its own pace
        self.next = 0  # index of the next packet, while not live
        self.live_from = 0  # index from which packets came live
        self.blocked = 0  # times that the socket's buffer was full
        self._lane = lane
        self.section = section
        self._group: Group | None = None  # the one it is live in, or was
        self._on_move = on_move

    @property
    def upto(self) -> int:
        """Index of the next packet."""
        return self.feed.history.end if self.position is Position.LIVE else self.next

    @property
    def thin(self) -> bool:
        """Whether it gets no bursts."""
        return self._thin

    @property
    def leaves(self) -> bool:
        """Whether another feed is to come soon."""
        return self._leaves

    @property
    def held(self) -> bool:
        """Whether it is held back, and goes on at its own pace until it is live again."""
        return self._held

    def know_path(self, *, thin: bool, watches: bool) -> bool:
        """Take that its path bears no bursts, that pictures tell how much it carries. Whether it has to ``rejoin``."""
        new = (thin, watches) != (self._thin, self._watches)
        self._thin, self._watches = thin, watches
        return new

    def expect_other(self, soon: bool) -> None:
        """Be ready for another feed, or for none any more: see ``spare_keyframe``."""
        self._leaves = soon

    def start(self, now: float) -> None:
        """Begin with what is there, if anything is; to be called once."""
        self.feed.add(self)
        self.format_changed()
        self.begin(now)

    def resume(self, following: int | None, index: int | None, first: int) -> None:
        """Go on with what another process sent: the next extended sequence number is ``following``.

        The packet that gets it has that ``index`` here; ``None``: a start is waited for. Numbers from ``first`` on are
        those of the packets before, which are sent again by RTX alone: their headers may have been others.
        """
        self.feed.add(self)
        self.format_changed()
        if following is None:  # nothing was sent
            return
        self.next = self.feed.history.end if index is None else index
        found = index is not None and self.format is not None and self.format.rtx is not None
        self.numbering.resume(following, self.next, first if found else following)
        if index is not None and self.position is Position.WAITING and self.format is not None:
            self.move(Event.WENT_BACK)

    def stop(self) -> None:
        """Leave the feed: the viewer leaves."""
        self.move(Event.STOPPED)
        self.feed.discard(self)
        self._on_move = lambda _position: None  # what knew this cursor is freed at once

    def begin(self, now: float) -> None:
        """Start with the cached group of pictures, if there is one and it is no old picture."""
        feed = self.feed
        keyframe = feed.history.keyframe
        if self.position is Position.WAITING and feed.kind is Kind.VIDEO and keyframe is not None and feed.fresh(now):
            self.go_back(keyframe)

    def go_back(self, keyframe: int) -> None:
        """Go on at that index, from the history."""
        self.move(Event.WENT_BACK)
        self.skip_to(keyframe)

    def change_feed(self, feed: Feed) -> None:
        """Wait for a start in another feed of the same source. Numbers go on; nothing of the old one is sent again."""
        self.move(Event.FEED_CHANGED)
        self._leaves = False
        self.feed.discard(self)
        self.numbering.forget(self.next)
        self.feed, self.format, self._chosen_of = feed, None, ("", "")
        self.skip_to(feed.history.end)
        feed.add(self)
        self.format_changed()

    def give_up(self) -> None:
        """Send nothing more of what there is, nor anything again: what comes next is to have the path to itself."""
        if self.position in (Position.LIVE, Position.BEHIND):
            self.move(Event.CUT_OFF)
            self.numbering.forget(self.next)

    def spare_keyframe(self) -> bool:
        """Give up where a keyframe comes that would be in the way of another feed's. Whether it did."""
        packet = self.feed.history.get(self.next) if self._leaves and self._held else None
        if packet is None or packet.probe != ALL:
            return False
        self.give_up()
        return True

    def retarget(self, target: Target) -> None:
        """Send to another address from now on."""
        self.target = target
        self.rejoin()

    def advance(self, packets: int) -> None:
        """Note that so many were sent from the history."""
        self.next += packets

    def rejoin(self) -> None:
        """Get what comes live by another target, with other headers, or in other bursts than before."""
        if self.position is Position.LIVE:
            self.move(Event.FELL_BEHIND)
            self.go_live()

    def go_live(self) -> None:
        """Get what comes from now on live, if nothing is left in the history that was not sent."""
        if self.next == self.feed.history.end:
            self.move(Event.CAUGHT_UP)

    def skip_to(self, index: int) -> None:
        """Go on at ``index``, without a gap in the sequence numbers."""
        assert self.position is not Position.LIVE, "what is on its way has the numbers that it was pushed with"
        self.numbering.skip(index, self.next)
        self.next = index

    def move(self, event: Event) -> None:
        """Take the position that ``egress.position`` says, and see to it that what it says of that holds."""
        before, self.position = self.position, TRANSITIONS[self.position][event]
        if before is Position.LIVE:
            assert self._group is not None, "a live viewer has joined a group"
            self.next = self.feed.leave(self._lane, self._group)
        if self.position is Position.LIVE:
            self.live_from, self._held = self.next, False
            self._group = self.group()
            self.feed.join(self, self._lane, self._group, self.target, thin=self._thin)
        self._on_move(self.position)

    def hold_back(self) -> None:
        """Go on at its own pace: the path does not carry what comes live."""
        self.slow_down(self.feed.history.end)
        self._held = True

    @property
    def watched(self) -> bool:
        """Whether each picture tells how much its path carries.

        Not where packets are sent again as they were, as without RFC 4588: their header would be another one.
        """
        return self._watches and self._thin and self.format is not None and self.format.rtx is not None

    def group(self) -> Group:
        """A group, still empty, for the headers that it gets now."""
        assert self.format is not None, "nothing is sent before a format is chosen"
        section, format = self.section, self.format
        return Group(
            self.feed.source.ssrc, format.payload_type, section.transport_cc, self.playout.element, self.watched
        )

    def may_start(self, index: int) -> None:
        """See ``Listener``. A viewer that waits starts here, and one that lags too far goes on here."""
        waits = self.position is Position.WAITING and self.format is not None
        if waits or (
            self.position is Position.BEHIND and _lag(self.feed, self.next) > (HELD_LAG if self._held else MAX_LAG)
        ):
            self.skip_to(index)
            self.move(Event.START_CAME)

    def fall_behind(self, index: int) -> None:
        """See ``Listener``."""
        self.blocked += 1
        self.slow_down(index)

    def slow_down(self, index: int) -> None:
        """See ``Listener``."""
        self.move(Event.FELL_BEHIND)
        self.next = min(self.next, index)

    def skip_ahead(self, index: int) -> None:
        """See ``Listener``."""
        self.move(Event.CUT_OFF)
        self.next = min(self.next, index)

    def format_changed(self) -> None:
        """See ``Listener``. The payload type is chosen anew."""
        wanted = self.feed.codec, self.feed.profile
        if not self.feed.codec or wanted == self._chosen_of:
            return
        self._chosen_of = wanted
        chosen = self.section.choose(*wanted)
        if chosen is not None and chosen == self.format:
            return
        live = self.position is Position.LIVE
        self.move(Event.FORMAT_CHOSEN if chosen else Event.FORMAT_REFUSED)
        self.format = chosen
        self.playout.forget()
        # What was sent in another format is not sent again: its header would be another one under the same nonce.
        self.numbering.forget(self.next)
        if live and chosen:
            self.move(Event.START_CAME)


def _lag(feed: Feed, index: int) -> float:
    """Seconds of media between that packet and the newest."""
    packet, timeline = feed.history.get(index), feed.timeline
    if packet is None:  # fallen out of the history
        return float("inf")
    return ((timeline.timestamp - packet.timestamp) & 0xFFFFFFFF) / timeline.clock_rate
