"""How long a session may be silent, and what is said of one that is; no I/O, and time is an argument.

A camera that sends a picture in five seconds, or in twenty, looks like one that is gone. Where a session ends so that
never had two pictures shortly after each other, the next one is given twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from common.cameras import CameraState
from common.errors import CameraError
from ingest.payload.registry import NothingPlayableError
from ingest.rtp.receiver import TrackReceiver
from ingest.rtp.stream import CameraStream
from ingest.rtsp.networks import Networks

SILENCE_TIMEOUT = 5.0  # seconds without a packet of the picture; of the sound, where there is no picture
FIRST_PACKET_TIMEOUT = 3.0  # seconds over UDP, which firewalls swallow: then TCP is tried
LATE = 1.0  # seconds between two checks after which this process itself stood still: what came meanwhile is unread
LOOK_TIMEOUT = 5.0  # seconds for a keyframe of a picture that is announced as something else than H.264
MOST_PATIENCE = 8  # times as long as that: a picture in forty seconds
BRISK = 2.5  # seconds between two pictures, below which silence is none of the camera's pace …
BRISK_ONES = 3  # … where that many come so: one that is sent at PLAY may precede the regular one shortly
GOES_ON = 1.0  # seconds since the last packet of another track: a cut line ends all of them at once
_MULTICAST_LOST = "let the switches and firewalls between pass it (IGMP), or set transport to tcp"
GOODBYE_TIMEOUT = 1.0  # seconds without a packet after the camera said that there will be no more


class NoMediaError(CameraError):
    """The session plays and not one packet has come: another transport may do better."""

    def __init__(self, detail: str) -> None:
        super().__init__(CameraState.SILENT, detail)


@dataclass(slots=True)
class Pace:
    """The silence that one camera bears, learnt over its sessions."""

    patience: int = 1  # times ``SILENCE_TIMEOUT``
    pictured: bool = False  # whether a picture has ever come

    def wait_longer(self) -> None:
        """Have the next session be given twice as long."""
        self.patience = min(2 * self.patience, MOST_PATIENCE)


class Media(Protocol):
    """The media of a session, as its silence is judged; see ``ingest.rtsp.media.SessionMedia``."""

    udp: bool
    networks: Networks
    stream: CameraStream
    nothing_playable: NothingPlayableError | None

    @property
    def group(self) -> str:
        """The multicast group that the packets are sent to; empty if they are sent to us."""

    @property
    def stranger(self) -> str:
        """An address from which packets came that is not the camera's; empty if none did."""

    @property
    def undecryptable(self) -> bool:
        """Whether packets come as SRTP, and none by the keys that were agreed on."""


class Silence:
    """The judge of one session's silence."""

    def __init__(self, media: Media, pace: Pace | None = None) -> None:
        self._media = media
        self._pace = pace or Pace()
        self._picture = -1  # timestamp of the last one
        self._picture_at = 0.0
        self._seen = 0  # packets of the first track
        self._seen_at = 0.0
        self._others, self._others_at = 0, 0.0  # packets of the other tracks, and when the last had come
        self._playing_at = self._checked_at = 0.0
        self._brisk = 0  # pictures in a row that came shortly after the one before
        self._late = False  # the last check was; before the one after that, sockets are read

    def begin(self, now: float) -> None:
        """Wait for media from now on: the session plays."""
        self._seen_at = self._playing_at = self._checked_at = now

    def check(self, now: float) -> None:
        """Raise ``CameraError`` if the session is of no use; to be called a few times a second while it plays."""
        media = self._media
        first, *others = media.stream.receivers
        passed, self._checked_at = now - self._checked_at, now
        late, self._late = self._late, passed > LATE
        if self._late and not late:  # timers come before sockets: that time is not the camera's
            self._seen_at += passed
            self._playing_at += passed
        if first.packets != self._seen:
            self._seen, self._seen_at = first.packets, now
            self._look(first.unpacking.raw, now)
        if (packets := sum(other.packets for other in others)) != self._others:
            self._others, self._others_at = packets, now
        silence = now - self._seen_at
        timeout = SILENCE_TIMEOUT * self._pace.patience
        if media.nothing_playable:
            if first.track.problem or now - self._playing_at >= LOOK_TIMEOUT:
                raise media.nothing_playable
            return
        if not first.packets:
            if silence >= (FIRST_PACKET_TIMEOUT * self._pace.patience if media.udp else timeout):
                if self._pace.pictured and not media.udp:  # over UDP a firewall may be in the way
                    self._pace.wait_longer()
                raise NoMediaError(self._nothing_came(first))
        elif first.said_goodbye and silence >= GOODBYE_TIMEOUT:
            raise CameraError(CameraState.CLOSED, "the camera said goodbye (RTCP BYE)")
        elif silence >= timeout:
            if self._brisk < BRISK_ONES:
                self._pace.wait_longer()
            still = " while its sound goes on" if self._others and now - self._others_at < GOES_ON else ""
            raise CameraError(CameraState.SILENT, f"no {first.kind} for {timeout:g} s{still}")

    def _look(self, picture: int, now: float) -> None:
        """Packets have come, the last of them of the picture with that timestamp."""
        if picture == self._picture:
            return
        if self._picture >= 0 and self._brisk < BRISK_ONES:  # what was brisk once is none of its pace later
            self._brisk = self._brisk + 1 if now - self._picture_at < BRISK else 0
            if self._brisk == BRISK_ONES:
                self._pace.patience = 1
        self._pace.pictured = True
        self._picture, self._picture_at = picture, now

    def _nothing_came(self, receiver: TrackReceiver) -> str:
        if receiver.unexpected_type is not None:
            return f"packets of payload type {receiver.unexpected_type} arrive, which the camera did not announce"
        if stranger := self._media.stranger:
            networks = self._media.networks
            allowed = "" if networks.allows(stranger) else f" (sources.networks allows {networks})"
            return f"packets arrive over UDP from {stranger}, not from the camera, and are not accepted{allowed}"
        if self._media.undecryptable:
            return "packets arrive, but the camera's SRTP keys do not decrypt them; restart the camera"
        if group := self._media.group:
            return f"no {receiver.kind} has come by multicast to {group}; {_MULTICAST_LOST}"
        return f"no {receiver.kind} has come over {'UDP' if self._media.udp else 'TCP'}"
