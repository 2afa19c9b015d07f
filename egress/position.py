"""Where a viewer stands in a feed: the one table of how it gets from there to elsewhere.

``Cursor.move`` alone changes a position, and does what the new one implies:

* WAITING: there is no packet to go on with. It goes live with the next batch that a receiver can start with.
* BEHIND: it knows its next packet, which is read from the history. ``CatchUp`` is told on the way here, and asks for as
  long as it is here.
* LIVE: its lane is in a group of the feed, and only then. The feed sends, and knows what is next.
* UNPLAYABLE: the viewer accepted no format that the track has now. Another format or feed leads out, or its end.
* ON_HOLD: what was sent does not arrive, so nothing is. The judge of the path (``egress.path.stuck``) leads out, a
  format that is none for the viewer, or its end.
* OVER: the viewer has left. Nothing leads out.

Numbers are skipped only while it is not LIVE: then nothing is on its way that has the old ones. What is not in the
table cannot happen, and is a mistake in this package if it does.
"""

from __future__ import annotations

from enum import Enum, auto


class Position(Enum):
    """Where a viewer stands."""

    WAITING = auto()
    BEHIND = auto()
    LIVE = auto()
    UNPLAYABLE = auto()
    ON_HOLD = auto()
    OVER = auto()


class Event(Enum):
    """The events that move it."""

    START_CAME = auto()  # the batch that is about to be sent is one to start with, and nothing before it matters
    WENT_BACK = auto()  # to the keyframe of the cached group of pictures: at the beginning, or as pictures were lost
    FELL_BEHIND = auto()  # a batch cannot be taken as it comes, or its headers are to be others
    CAUGHT_UP = auto()  # nothing is left in the history that was not sent
    CUT_OFF = auto()  # what would be next is given up, or not in the history any more
    FORMAT_CHOSEN = auto()  # the viewer accepted the track's new format
    FORMAT_REFUSED = auto()  # it did not
    FEED_CHANGED = auto()  # it goes on in another feed
    GOT_STUCK = auto()  # nothing arrives
    CAME_FREE = auto()  # something did, or it is time for another try
    STOPPED = auto()  # the viewer leaves


_ALWAYS = {Event.FORMAT_REFUSED: Position.UNPLAYABLE, Event.STOPPED: Position.OVER}

TRANSITIONS: dict[Position, dict[Event, Position]] = {
    Position.WAITING: {
        Event.START_CAME: Position.LIVE,
        Event.WENT_BACK: Position.BEHIND,
        Event.GOT_STUCK: Position.ON_HOLD,
        Event.FORMAT_CHOSEN: Position.WAITING,
        Event.FEED_CHANGED: Position.WAITING,
        **_ALWAYS,
    },
    Position.BEHIND: {
        Event.CAUGHT_UP: Position.LIVE,
        Event.START_CAME: Position.LIVE,
        Event.WENT_BACK: Position.BEHIND,
        Event.CUT_OFF: Position.WAITING,
        Event.GOT_STUCK: Position.ON_HOLD,
        Event.FORMAT_CHOSEN: Position.WAITING,
        Event.FEED_CHANGED: Position.WAITING,
        **_ALWAYS,
    },
    Position.LIVE: {
        Event.FELL_BEHIND: Position.BEHIND,
        Event.WENT_BACK: Position.BEHIND,
        Event.CUT_OFF: Position.WAITING,
        Event.GOT_STUCK: Position.ON_HOLD,
        Event.FORMAT_CHOSEN: Position.WAITING,
        Event.FEED_CHANGED: Position.WAITING,
        **_ALWAYS,
    },
    Position.UNPLAYABLE: {
        Event.FORMAT_CHOSEN: Position.WAITING,
        Event.FEED_CHANGED: Position.WAITING,
        **_ALWAYS,
    },
    Position.ON_HOLD: {
        Event.CAME_FREE: Position.WAITING,
        Event.FORMAT_CHOSEN: Position.ON_HOLD,
        Event.FEED_CHANGED: Position.ON_HOLD,
        **_ALWAYS,
    },
    Position.OVER: {Event.STOPPED: Position.OVER},
}


def may(position: Position, event: Event) -> bool:
    """Whether the event can move a viewer that stands there."""
    return event in TRANSITIONS[position]
