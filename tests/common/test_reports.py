"""Reports in parts: whatever their size they arrive whole, or the broker keeps what it had."""

from __future__ import annotations

import itertools
from dataclasses import replace

from common.cameras import CameraState
from common.control import Load, Measured, Report, Role, StreamReport, ViewerReport, ViewerState, decode_for_broker
from common.reports import MAX_ITEMS, MAX_PARTS, Parts, completed, split

STREAM = StreamReport("yard", 1, CameraState.PLAYING)
VIEWER = ViewerReport("s", "yard", ViewerState.CONNECTED)
LARGE = Report(
    "n",
    Role.EGRESS,
    "i",
    host="h",
    load=Load(0.5, 7),
    draining=True,
    served=tuple(replace(STREAM, camera=f"cam-{number}") for number in range(30)),
    viewers=tuple(replace(VIEWER, session=f"s{number}") for number in range(30)),
    subscribed=tuple(f"cam-{number}" for number in range(100)),
    counters={"gaps": 3},
    measured=(Measured("delay", (1, 2), 0.5),),
    number=9,
)


def parts_of(report: Report, part_bytes: int = 2_000) -> list[Report]:
    frames, bad = split(report, part_bytes=part_bytes)
    assert not bad
    assert all(len(frame) < 2 * part_bytes for frame in frames)
    parts = [decode_for_broker(frame) for frame in frames]
    return [part for part in parts if isinstance(part, Report)]


def test_a_small_report_is_one_message() -> None:
    assert parts_of(LARGE, 1 << 20) == [LARGE]


def test_a_large_report_arrives_whole() -> None:
    parts, taken = parts_of(LARGE, 1_200), Parts()
    assert len(parts) > 3
    assert [taken.take(part) for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert taken.take(parts[-1]) == LARGE
    assert taken.take(parts[-1]) is None, "there is nothing that it would end"


def test_every_part_says_that_not_all_is_told_and_only_the_first_has_the_counters() -> None:
    parts = parts_of(replace(LARGE, partial=True))
    assert all(part.partial for part in parts), "a part that is lost must not take it along"
    assert [bool(part.counters) for part in parts] == [True] + [False] * (len(parts) - 1)
    assert [bool(part.measured) for part in parts] == [True] + [False] * (len(parts) - 1)


def test_a_report_that_lacks_a_part_is_none() -> None:
    parts = parts_of(LARGE)
    for missing in range(len(parts)):
        taken = Parts()
        assert [taken.take(part) for at, part in enumerate(parts) if at != missing] == [None] * (len(parts) - 1)
        whole = [taken.take(part) for part in parts]
        assert whole[-1] == LARGE, "the next report is not harmed"
        assert taken.dropped == len(parts) - 1


def test_parts_of_two_reports_are_not_mixed() -> None:
    newer = parts_of(replace(LARGE, number=10))
    restarted = parts_of(replace(LARGE, incarnation="j"))
    for others in (newer, restarted):
        taken = Parts()
        mixed = [*parts_of(LARGE)[:2], *others[2:]]
        assert [taken.take(part) for part in mixed] == [None] * len(mixed)


def test_nodes_do_not_disturb_each_other() -> None:
    taken = Parts()
    both = zip(parts_of(LARGE), parts_of(replace(LARGE, node="m")), strict=True)
    whole = [taken.take(part) for part in itertools.chain(*both)]
    assert [report.node for report in whole if report] == ["n", "m"]


def test_what_is_begun_is_kept_for_known_nodes_alone() -> None:
    taken, parts = Parts(), parts_of(LARGE)
    taken.take(parts[0])
    taken.keep({"n"})
    taken.take(parts[1])
    assert not taken.dropped
    taken.keep({"m"})
    assert taken.dropped == 2


def test_nobody_is_believed_a_report_of_countless_parts() -> None:
    taken, part = Parts(), replace(LARGE, parts=MAX_PARTS + 1)
    assert [taken.take(replace(part, part=number)) for number in range(3)] == [None] * 3
    assert taken.take(replace(part, parts=-1)) is None
    assert taken.dropped == 4


def test_what_cannot_be_encoded_is_left_out_and_told() -> None:
    wrong = replace(VIEWER, session="wrong", plis=object())  # type: ignore[arg-type]
    frames, bad = split(replace(LARGE, viewers=(wrong, VIEWER)))
    assert bad == 1
    told = decode_for_broker(frames[0])
    assert isinstance(told, Report)
    assert (told.viewers, told.served, told.partial) == ((VIEWER,), LARGE.served, True)


def test_a_worker_is_heard_of_whatever_else_cannot_be_told() -> None:
    frames, bad = split(replace(LARGE, counters={"gaps": object()}, viewers=(VIEWER,)))  # type: ignore[dict-item]
    assert bad == 1
    told = decode_for_broker(frames[0])
    assert isinstance(told, Report)
    assert (told.node, told.incarnation, told.viewers, told.partial) == ("n", "i", (VIEWER,), True)


def test_a_partial_report_leaves_the_rest_as_it_was() -> None:
    changed = replace(VIEWER, session="s3", packets=7)
    whole = completed(Report("n", Role.EGRESS, "i", viewers=(changed,), counters={"gaps": 4}, partial=True), LARGE)
    assert whole.served == LARGE.served
    assert whole.subscribed == LARGE.subscribed
    assert whole.viewers == tuple(changed if viewer.session == "s3" else viewer for viewer in LARGE.viewers)
    assert whole.counters == {"gaps": 4}


def test_parts_that_hold_more_than_a_worker_can_have_are_not_kept() -> None:
    many = tuple(f"cam-{number}" for number in range(MAX_ITEMS // 2 + 1))
    first, second = (replace(LARGE, served=(), viewers=(), subscribed=many, part=part, parts=3) for part in (0, 1))
    parts = Parts()
    assert parts.take(first) is None
    assert parts.take(second) is None
    assert parts.dropped == 2
    assert not parts._begun
    assert parts.take(LARGE) == LARGE
