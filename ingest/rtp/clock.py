"""A camera's time: RTP timestamps that never wrap or leap, and the times at which pictures were captured.

No I/O; times are Unix nanoseconds. There is one ``TrackClock`` per track and one ``CameraClock`` per camera, so sound
and picture share a capture clock as soon as the camera's sender reports allow it. Until then, and for cameras whose
reports are nonsense, the fastest packets determine the capture time: a network only ever delays.
"""

from __future__ import annotations

from ingest.rtp.rtcp import SenderReport

LEAP_NS = 10_000_000_000  # a timestamp that runs this far ahead of the time that passed is wrong
BACK_NS = 1_000_000_000  # and one that falls back this far; B-frames fall back less
OUTLIERS = 3  # wrong timestamps in a row are a new timeline (one or two are a camera's mistake)
BEHIND = 16  # so are this many that fall back a little, which are more than any encoder's B-frames

MAX_AHEAD_NS = 100_000_000  # a camera's clock that is right may still be this fast
MAX_BEHIND_NS = 1_000_000_000  # and its pictures this old when they come; else the clock only serves to relate tracks
MAX_OFFSET_NS = 86_400_000_000_000  # a day: time zones set wrong are less, a clock that was never set is more
MAX_STEP_NS = 500_000_000  # between what two reports say; more, and the camera's clock jumped
# Of a picture that arrives, by its sender report; more, and the report is nonsense: no encoder takes so long, and a
# viewer's browser would hold the sound back by as much.
MAX_AGE_NS = 3_000_000_000
REPORTS = 3  # that agree with each other are believed again

MEASURE_NS = 3_000_000_000  # over which a track's clock is measured
MEASURES = 2  # in a row that say it runs at another rate than announced
RATES = (90_000, 48_000, 30_000, 16_000, 8_000, 1_000)  # Hz, at which cameras were seen to count pictures
SOUND_RATES = (90_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 1_000)  # and sound
PAUSE_NS = 400_000_000  # in which nothing comes
ABSURD = 4  # times faster or slower than announced, which no file that is played at another speed is
FAR_OFF, CLOSE = 0.25, 0.1  # parts: from the rate that was announced, and to one of those

_WINDOW_NS = 10_000_000_000  # over which the least delay is sought …
_SLEW = 100  # … and one that grows is followed by 1 s in this many
DRIFTS = (
    0.985  # part of its time that a clock counts, below which it is none: 25 pictures are said to come, and fewer do
)
_DRIFT_WINDOW_NS, _DRIFT_SLEW = 500_000_000, 2  # of such a one
_SNAP_NS = 2_000_000_000  # a difference that grew by so much is no drift: the clock was set


class LeastDelay:
    """Follows the smallest difference between arrival and a remote clock: their offset plus the least delay."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._least = self._least_before = 0
        self._window_end = self._updated = 0
        self._window_ns, self._slew = _WINDOW_NS, _SLEW

    @property
    def offset_ns(self) -> int | None:
        """The offset in use; ``None`` before there is one."""
        return self._offset_ns

    @property
    def holds_until_ns(self) -> int:
        """Until when the offset in use is the least difference that comes; 0 while it follows one that grows."""
        least = min(self._least_before, self._least)
        return self._window_end if self._offset_ns is not None and self._offset_ns >= least else 0

    def hurry(self, drifts: bool) -> None:
        """Follow the remote clock closely if it ``drifts`` as no clock does, and as usual if not."""
        self._window_ns, self._slew = (_DRIFT_WINDOW_NS, _DRIFT_SLEW) if drifts else (_WINDOW_NS, _SLEW)

    def update(self, difference_ns: int, now_ns: int) -> int:
        """Take one more difference. Returns the offset to use, at most this one: nothing arrives before its time."""
        if self._offset_ns is None:
            self._offset_ns = self._least = self._least_before = difference_ns
            self._window_end, self._updated = now_ns + self._window_ns, now_ns
            return difference_ns
        if now_ns >= self._window_end:
            self._least_before, self._least = self._least, difference_ns
            self._window_end = now_ns + self._window_ns
        if difference_ns < self._least:
            self._least = difference_ns
        target = min(self._least_before, self._least)
        if 0 < target - self._offset_ns < _SNAP_NS:  # clocks drift by a ten thousandth; a leap would be heard
            target = min(target, self._offset_ns + max(now_ns - self._updated, 0) // self._slew)
        self._offset_ns, self._updated = target, now_ns
        return target


class CameraClock:
    """A camera's NTP clock, known from its sender reports, compared with ours."""

    def __init__(self) -> None:
        self.distrusted = 0  # sender reports that were not believed
        self.delay = LeastDelay()
        self._right: bool | None = None  # it shows our time and needs no offset; None before the first report

    def judge(self, ntp_ns: int, arrival_ns: int) -> bool:
        """Whether a sender report's time is possible at all."""
        behind = arrival_ns - ntp_ns
        if abs(behind) > MAX_OFFSET_NS:
            return False
        self._right = -MAX_AHEAD_NS <= behind <= MAX_BEHIND_NS and self._right is not False
        return True

    @property
    def right(self) -> bool:
        """Whether it shows our time."""
        return bool(self._right)

    @property
    def offset_ns(self) -> int | None:
        """Our time less the camera's, unless something arrives before that; ``None`` if it is not known."""
        return 0 if self._right else self.delay.offset_ns

    def unix_ns(self, ntp_ns: int, arrival_ns: int) -> int:
        """Our time for a camera's time, for something that arrives now; never later than now."""
        offset_ns = self.delay.update(arrival_ns - ntp_ns, arrival_ns)
        return min(ntp_ns if self._right else ntp_ns + offset_ns, arrival_ns)


class TrackClock:
    """The timestamps of one track.

    The camera counts at ``clock_rate`` (Hz), and timestamps are given out at ``out_rate``: Cisco and Toshiba cameras
    count H.264 at 30,000 Hz, and browsers at 90,000. The extended timestamp is what is scaled, so that no error adds
    up and nothing wraps.
    """

    def __init__(self, clock_rate: int, camera: CameraClock, out_rate: int | None = None) -> None:
        self.repaired = 0  # timestamps that were wrong
        self._rate = clock_rate
        self._out_rate = out_rate or clock_rate
        self._scales = self._out_rate != clock_rate
        self._rates = RATES if self._out_rate == RATES[0] else SOUND_RATES
        self._camera = camera
        self._delay = LeastDelay()
        self._leap, self._back = self._ticks(LEAP_NS), self._ticks(BACK_NS)
        self._raw = -1  # the last timestamp that was believed, as it came
        self._extended = 0  # the same in our timeline
        self._timestamp = 0  # the last one given out
        self._arrival_ns = 0
        self._back_ns = 0  # how much earlier than the last timestamp given out the picture is shown: a B-frame's
        self._wrong = self._behind = 0  # in a row
        self._restarted = False
        self._report: tuple[int, int] | None = None  # in force: extended timestamp, and the camera's time then
        self._doubtful: tuple[int, int] | None = None  # the last one that did not fit to it
        self._doubts = 0  # that fit to each other
        self._early: SenderReport | None = None
        self._measured_from: tuple[int, int] | None = None  # the last timestamp as it came, and the arrival
        self._pause = 0  # ticks of the longest time in which nothing came, since the last measure
        self._slow, self._drifts = 0, False  # measures in a row in which it counted too little
        self._other_rate, self._other_rates = 0, 0  # what was measured, and how often in a row

    def stamp(self, raw: int, arrival_ns: int) -> int:
        """The timestamp to give out for a packet's 32 bits, arriving now; never less than the one before."""
        if self._raw < 0:
            self._raw = self._extended = self._timestamp = raw
        elapsed = (arrival_ns - self._arrival_ns) * self._rate // 10**9  # no calls: this is done for every picture
        step = (raw - self._raw + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if elapsed < 0:
            elapsed = 0
        elif elapsed > self._pause:
            self._pause = elapsed
        self._back_ns = 0
        if self._restarted:
            self._begin_timeline(raw, elapsed)
        elif 0 <= step <= elapsed + self._leap:
            self._wrong = self._behind = 0
            self._raw = raw
            self._extended += step
            if self._extended > self._timestamp:
                self._timestamp = self._extended
        elif -self._back <= step < 0:  # a B-frame; those about it keep the time
            self._behind += 1
            self._back_ns = -step * 10**9 // self._rate
            if self._behind >= BEHIND:
                self._begin_timeline(raw, elapsed)
        else:
            self.repaired += 1
            self._wrong += 1
            if self._wrong < OUTLIERS:
                self._timestamp += max(elapsed, 1)
            else:
                self._begin_timeline(raw, elapsed)
        self._arrival_ns = arrival_ns
        if self._measured_from is None or arrival_ns - self._measured_from[1] >= MEASURE_NS:
            self._measure(arrival_ns)
        if self._early is not None:
            report, self._early = self._early, None
            self.reported(report, arrival_ns)
        return self._timestamp * self._out_rate // self._rate if self._scales else self._timestamp

    def due(self, raw: int) -> tuple[int, int, int, bool, int, int] | None:
        """Foretell what ``stamp`` and ``capture_ns`` will say of what comes after ``raw``, and runs on as it should.

        That is the last timestamp given out, to which a step is added; ticks a second; what the time of capture is more
        than the timestamp, unless it would be after the arrival, and whether that makes it less; the largest step; and
        until when all of that holds. Both have to be called all the same, a moment later. ``None`` if it is not known.
        """
        steady = self._extended == self._timestamp and not (self._scales or self._restarted or self._early)
        if not steady or raw != self._raw or self._measured_from is None:
            return None
        until_ns = self._measured_from[1] + MEASURE_NS
        if self._report is None or self._drifts:
            ahead_ns, learns, delay = self._delay.offset_ns, True, self._delay
        else:
            at, ntp_ns = self._report
            offset_ns, learns, delay = self._camera.offset_ns, not self._camera.right, self._camera.delay
            ahead_ns = None if offset_ns is None else ntp_ns - self._ns(at) + offset_ns
        if learns:
            until_ns = min(until_ns, delay.holds_until_ns)
        if ahead_ns is None:
            return None
        if self._report is not None:  # what comes so late may tell that the report is nonsense
            until_ns = min(until_ns, ahead_ns + self._ns(self._timestamp) + MAX_AGE_NS)
        return self._timestamp, self._rate, ahead_ns, learns, self._leap, until_ns

    def restart(self) -> None:
        """Begin another source with the next packet: its timestamps have nothing to do with the old ones."""
        self._restarted = self._raw >= 0

    def reported(self, report: SenderReport, arrival_ns: int) -> None:
        """Take a sender report: believe it, or count it."""
        if self._raw < 0 or self._restarted:
            self._early = report
            return
        ntp_ns, ahead = report.ntp_ns, _signed(report.rtp_timestamp - self._raw)
        new = (self._extended + ahead, ntp_ns)
        if abs(ahead) > self._leap or not self._camera.judge(ntp_ns, arrival_ns):
            self._camera.distrusted += 1
            return
        if self._report is not None and not self._agree(self._report, new):
            self._camera.distrusted += 1
            agree = self._doubtful is not None and self._agree(self._doubtful, new)
            self._doubts = self._doubts + 1 if agree else 1
            self._doubtful = new
            if self._doubts < REPORTS:
                return
        self._report, self._doubtful = new, None

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        """When the camera captured what has this timestamp, as given out, and arrives now; never after that.

        A B-frame has the timestamp of the picture that came before it, and was captured earlier than that one.
        """
        media_ns = timestamp * 10**9 // self._out_rate
        by_arrival = media_ns + self._delay.update(arrival_ns - media_ns, arrival_ns)
        if self._report is None or self._drifts:  # a report is right for a moment then
            return by_arrival - self._back_ns
        at, ntp_ns = self._report
        captured = self._camera.unix_ns(ntp_ns + media_ns - self._ns(at), arrival_ns)
        if captured < arrival_ns - MAX_AGE_NS and captured < by_arrival - MAX_STEP_NS:
            self._camera.distrusted += 1
            self._report = None
            captured = by_arrival
        return captured - self._back_ns

    def _begin_timeline(self, raw: int, elapsed: int) -> None:
        self._raw = raw
        self._extended = self._timestamp = self._timestamp + max(elapsed, 1)
        self._wrong = self._behind = self._back_ns = 0
        self._restarted = False
        self._report = self._doubtful = self._measured_from = None

    def _measure(self, arrival_ns: int) -> None:
        """Compare the camera's count with the time that passed. Where it is a rate that cameras use, and not the one
        announced, for two measures in a row, it is counted by that from now on; what was given out goes on."""
        before, self._measured_from = self._measured_from, (self._extended, arrival_ns)
        if before is None:
            return
        measured = (self._extended - before[0]) * 10**9 / (arrival_ns - before[1])
        rate = min(self._rates, key=lambda rate: abs(measured / rate - 1))
        if abs(measured / rate - 1) >= CLOSE:
            rate = 0
        part = measured / self._rate
        self._slow = self._slow + 1 if part < DRIFTS else 0
        self._drifts = self._slow >= MEASURES
        self._delay.hurry(self._drifts)
        absurd = not rate and not 1 / ABSURD < part < ABSURD
        if absurd:  # it may count pictures, or microseconds
            rate = self._other_rate if abs(measured - self._other_rate) < CLOSE * measured else round(measured)
        # Some leave silence out of their sound, and do not count it.
        paused = self._rates is SOUND_RATES and part < 1 and self._pause >= self._ticks(PAUSE_NS)
        self._pause = 0
        if not rate or abs(part - 1) < FAR_OFF or paused:
            self._other_rates = 0
            return
        self._other_rates = self._other_rates + 1 if rate == self._other_rate else 1
        self._other_rate = rate
        if self._other_rates < MEASURES + absurd:
            return
        given_out = self._timestamp * self._out_rate // self._rate
        self.repaired += 1
        self._rate, self._scales = rate, self._out_rate != rate
        self._extended = self._timestamp = -(-given_out * rate // self._out_rate)
        self._leap, self._back = self._ticks(LEAP_NS), self._ticks(BACK_NS)
        self._report = self._doubtful = self._measured_from = None
        self._delay = LeastDelay()  # what was given out so far had little to do with the time that passed
        self._other_rates = 0

    def _agree(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Whether two reports are of one clock."""
        return abs(other[1] - one[1] - self._ns(other[0] - one[0])) <= MAX_STEP_NS

    def _ticks(self, ns: int) -> int:
        return ns * self._rate // 10**9

    def _ns(self, ticks: int) -> int:
        return ticks * 10**9 // self._rate


def _signed(difference: int) -> int:
    """A difference of 32-bit timestamps, to the nearer side."""
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000
