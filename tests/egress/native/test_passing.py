"""An ordinary picture goes from the bus's frame to its viewers by one call, and all else is as if it had not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.media import MAX_PAYLOAD, Kind, decode_frame, encode_batch, live_topic, named
from common.worker.incoming import MAX_AGE_NS, TRANSIT_WINDOW
from egress import native
from egress.media import fanout, outbox
from egress.media.books import MOST_UNSETTLED, SILENT
from egress.path.playout import element
from egress.succession.resuming import resume_feed
from egress.succession.states import FeedState
from egress.wire.ice import Path
from egress.wire.port import UdpTarget
from tests.fakes.media import audio, video
from tests.fakes.native import needs_native, stream_socket
from tests.fakes.passing import SECOND_NS, Both

pytestmark = needs_native

NAMED = named(Kind.VIDEO, "H264")


@pytest.fixture
async def made() -> AsyncIterator[Callable[..., Both]]:
    """Makes a ``Both`` with the options given."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Both:
            both = Both(**options)
            stack.callback(both.short.close)
            stack.callback(both.plain.close)
            return both

        yield make


def pictures(both: Both, count: int, *, first: int = 0, **options: Any) -> int:
    """A keyframe and so many pictures after it; returns the number of the next packet."""
    packets = options.setdefault("packets", 3)
    for frame in range(count + 1):
        both.give(video(first + frame * packets, frame, keyframe=frame == 0, **options))
    return first + (count + 1) * packets


async def test_pictures_take_it_but_for_keyframes(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 20, packets=15, size=MAX_PAYLOAD)
    assert both.passed == 20
    pictures(both, 20, first=following, packets=15, size=MAX_PAYLOAD)
    assert both.passed == 40


@pytest.mark.parametrize("playout", [b"", element(6, 0.25)], ids=["number", "number-and-delay"])
async def test_with_the_extensions_that_viewers_agreed_on(made: Callable[..., Both], playout: bytes) -> None:
    both = made(viewers=3, extension=3, playout=playout)
    pictures(both, 5)
    assert both.passed == 5


async def test_what_another_process_had_takes_it_from_its_first_keyframe_on(made: Callable[..., Both]) -> None:
    both = made()
    for each in (both.short, both.plain):
        resume_feed(each.feed, FeedState("door", Kind.VIDEO, "H264", "42e01f", 90_000, 1, 5, 8, 9, 0, 0, True))
    pictures(both, 3)
    assert both.passed == 3


@pytest.mark.parametrize("extension", [0, 3])
async def test_sound_takes_it_but_for_the_first(made: Callable[..., Both], extension: int) -> None:
    both = made(kind=Kind.AUDIO, viewers=2, extension=extension)
    for number in range(4):
        both.give(audio(number))
    assert both.passed == 3
    both.give(audio(5))
    assert both.passed == 3, "one is lost"
    both.give(audio(6))
    assert both.passed == 4


async def test_sound_that_somebody_waits_for_to_start_does_not_take_it(made: Callable[..., Both]) -> None:
    both = made(kind=Kind.AUDIO)
    both.give(audio(0))
    for each in (both.short, both.plain):
        each.feed.add(each.listener)
    both.give(audio(1))
    assert both.passed == 0
    assert both.short.listener.told == [("may_start", 1)]


async def test_sound_that_nobody_has_does_not_take_it(made: Callable[..., Both]) -> None:
    both = made()
    pictures(both, 1)
    both.give(audio(0))
    both.give(audio(1))
    assert both.passed == 1


async def test_a_part_of_a_picture_does_not_take_it_nor_the_rest(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 1)
    both.give(video(following, 2, unit_end=False))
    assert both.passed == 1
    both.give(video(following + 3, 2))
    assert both.passed == 2, "it ends its access unit, as a whole one does"


async def test_what_is_lost_ends_it_until_the_next_keyframe(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 2)
    for frame in range(4):
        both.give(video(following + 3 + 3 * frame, 3 + frame))
    assert both.passed == 2
    pictures(both, 2, first=following + 15)
    assert both.passed == 4


async def test_another_epoch_codec_or_an_old_one_does_not_take_it(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 2, epoch=5)
    for wrong in ({"epoch": 6}, {"epoch": 4}, {"codec": "H265"}):
        both.give(video(following, 3, **{"epoch": 5, **wrong}))
        assert both.passed == 2
        if "codec" in wrong:
            following += 3
    both.give(video(following, 4, epoch=5), waited_ns=MAX_AGE_NS + SECOND_NS)
    assert both.passed == 2


async def test_the_fastest_way_is_looked_for_as_often_as_without_it(made: Callable[..., Both]) -> None:
    both = made()
    for number, waited_ns in enumerate((9_000, 7_000, 8_000, 1_000, 9_000)):
        both.give(video(3 * number, number, keyframe=number == 0), waited_ns)
    assert both.passed == 2, "what is faster than all before says for all kinds what is too old"
    both.now_ns += int(TRANSIT_WINDOW * SECOND_NS)
    both.give(video(15, 15), 4_000)
    assert both.passed == 2
    both.give(video(18, 16), 4_000)
    assert both.passed == 3


async def test_a_crowd_is_served_in_slices_as_without_it(made: Callable[..., Both]) -> None:
    with patch.object(outbox, "SLICE", 8), patch("egress.media.feed.SLICE", 8):
        both = made(viewers=3)
        pictures(both, 2, packets=2)
        assert both.passed == 2
        both.give(video(6, 3, packets=3))
        assert both.passed == 2


async def test_viewers_whose_way_is_full_fall_behind_as_without_it(made: Callable[..., Both]) -> None:
    both = made(viewers=2)
    following = pictures(both, 2)
    with stream_socket(0) as (full, _):
        for each in (both.short, both.plain):
            each.retarget(full)
        both.give(video(following, 3))
        assert both.passed == 3
        assert both.short.listener.told[-2:] == [("fall_behind", following)] * 2
        assert [lane.packets for lane in both.short.lanes] == [following] * 2


async def test_viewers_whose_way_is_full_are_told_though_nothing_can_be_kept(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 2)
    with stream_socket(0) as (full, _):
        for each in (both.short, both.plain):
            each.retarget(full)
            each.feed.history._histories.limit(1)
        both.give(video(following, 3))
        assert both.short.listener.told[-1:] == [("fall_behind", following)]


async def test_what_has_left_is_entered_for_several_at_once_or_when_somebody_asks(made: Callable[..., Both]) -> None:
    both = made()
    following = pictures(both, 1)
    books, history = both.short.stream.books, both.short.feed._history
    for number in range(3 * MOST_UNSETTLED):
        both.give(video(following + 3 * number, 2 + number), look=False)
        assert history.end <= both.short.feed._history.end
        assert len(books._passed) < MOST_UNSETTLED
    both.give(video(following + 9 * MOST_UNSETTLED, 99), look=False)
    newest = following + 9 * MOST_UNSETTLED + 2
    assert history.end <= newest, "it waits to be entered"
    assert both.short.feed.history.get(newest) == both.plain.feed.history.get(newest), "whoever misses it gets it"
    both.give(video(newest + 1, 100), look=False)
    books.look(both.now_ns / SECOND_NS + SILENT)
    assert history.end == newest + 4, "nothing more comes"


async def test_viewers_who_come_or_leave_begin_or_end_with_what_is_next(made: Callable[..., Both]) -> None:
    both = made(viewers=2)
    following = pictures(both, 3)
    for each in (both.short, both.plain):
        each.feed.leave(each.lanes[0], each.group)
    both.give(video(following, 5), look=False)
    for each in (both.short, both.plain):
        target = UdpTarget(each.media_socket, Path(each.sockets[0].getsockname()))
        each.feed.join(each.listener, each.lanes[0], each.group, target, thin=False)
    both.give(video(following + 3, 6), look=False)
    both.give(video(following + 6, 7))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(Kind),
    steps=st.lists(
        st.tuples(
            st.integers(1, 70),  # packets
            st.integers(4, MAX_PAYLOAD),
            st.integers(0, MAX_PAYLOAD),  # bytes that the last is shorter
            st.sampled_from(["next"] * 8 + ["sound"] * 4 + ["keyframe", "gap", "part", "epoch", "old"]),
            st.integers(0, 50_000_000),
        ),
        max_size=12,
    ),
)
async def test_whatever_comes_it_is_as_without_it(
    made: Callable[..., Both], kind: Kind, steps: list[tuple[int, int, int, str, int]]
) -> None:
    both, epoch, sequence, sound = made(viewers=2, kind=kind), 1, 0, 0
    for frame, (packets, size, less, what, waited_ns) in enumerate(steps):
        if what == "sound":
            both.give(audio(sound, epoch=epoch), look=frame % 5 == 4)
            sound += 1
            continue
        epoch += what == "epoch"
        sequence = 0 if what == "epoch" else sequence + 5 * (what == "gap")
        keyframe = what in ("keyframe", "epoch") or frame == 0
        batch = video(sequence, frame, keyframe=keyframe, packets=packets, size=size, epoch=epoch)
        batch.payloads[-1] = batch.payloads[-1][: max(1, size - less)]  # type: ignore[index]  # a list, as the stream made it
        if what == "part":
            batch = batch._replace(flags=batch.flags & 1)
        both.give(batch, waited_ns + (3 * MAX_AGE_NS if what == "old" else 0), look=frame % 5 == 4)
        sequence += packets
    assert both.short.state() == both.plain.state()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.data())
def test_whatever_a_frame_has_become_it_is_passed_on_as_it_reads_or_not_at_all(
    sizes: list[int], data: st.DataObject
) -> None:
    batch = video(0, 0)._replace(payloads=[bytes(size) for size in sorted(sizes, reverse=True)])
    frame = bytearray(encode_batch(batch))
    for at in data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=3)):
        frame[at] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    passed = native.Audience([], []).pass_on(cut, 0, NAMED, 64, (1, 0, 0), bytes(12), 0x80, 0, 0)
    if passed is not None:
        (read,) = decode_frame(live_topic("door") + cut).batches
        epoch, sequence, timestamp, capture_ns, arrival_ns, flags, _, packets, size, last, *_ = passed[0]
        assert (read.epoch, read.sequence, read.flags) == (epoch, sequence, flags) == (1, 0, 2)
        assert (read.timestamp, read.capture_ns, read.arrival_ns) == (timestamp, capture_ns, arrival_ns)
        assert [len(payload) for payload in read.payloads] == [*[size] * (packets - 1), last]


def test_runs_are_as_long_as_without_it() -> None:
    assert native.lib.CAMSHAFT_MAX_SEGMENTS == fanout.MAX_SEGMENTS
    assert (native.lib.CAMSHAFT_MAX_RUN, native.lib.CAMSHAFT_OVERHEAD) == (fanout.MAX_RUN_BYTES, fanout.OVERHEAD)


@pytest.mark.parametrize(("at", "header"), [(99, bytes(12)), (5, bytes(11)), (5, bytes(25)), (1 << 40, bytes(12))])
def test_nothing_is_read_or_written_beyond_an_end(at: int, header: bytes) -> None:
    frame = live_topic("door") + encode_batch(video(0, 0))
    nobody = native.Audience([], [])
    assert nobody.pass_on(frame, 5, NAMED, 64, (1, 0, 0), bytes(12), 0x80, 0, 0) is not None
    assert nobody.pass_on(frame, at, NAMED, 64, (1, 0, 0), header, 0x80, 0, 0) is None
    for end in range(len(frame)):
        assert nobody.pass_on(frame[:end], 5, NAMED, 64, (1, 0, 0), bytes(12), 0x80, 0, 0) is None


@pytest.mark.parametrize(
    ("packets", "due", "passes"),
    [
        (64, (1, 0, 0), True),
        (64, (2, 0, 0), False),  # another epoch
        (64, (1, 1, 0), False),  # not the next one
        (64, (1, 0, 1 << 62), False),  # too old
        (2, (1, 0, 0), False),  # more packets than the kernel takes at once
    ],
)
def test_only_the_one_that_is_due_passes(packets: int, due: tuple[int, int, int], passes: bool) -> None:
    frame = live_topic("door") + encode_batch(video(0, 0, packets=3))
    passed = native.Audience([], []).pass_on(frame, 5, NAMED, packets, due, bytes(12), 0x80, 0, 0)
    assert (passed is not None) == passes


@pytest.mark.parametrize(("packets", "passes"), [(61, True), (62, False)])
def test_what_is_too_long_for_one_message_to_the_kernel_does_not_pass(packets: int, passes: bool) -> None:
    size = 1_000
    assert (packets * (size + fanout.OVERHEAD) <= fanout.MAX_RUN_BYTES) == passes
    frame = live_topic("door") + encode_batch(video(0, 0, packets=packets, size=size))
    passed = native.Audience([], []).pass_on(frame, 5, NAMED, 64, (1, 0, 0), bytes(12), 0x80, 0, 0)
    assert (passed is not None) == passes
