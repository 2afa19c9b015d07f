"""Cameras of one host are connected to a few at once."""

from ingest.starts import AT_ONCE, LONGEST, Start, Starts

RECORDER = ("10.0.0.9", 554)


def begin(starts: Starts, asked: list[Start], now: float) -> list[Start]:
    return [start for start in asked if start.begun is None and starts.wait(start, now) == 0]


def test_hosts_do_not_wait_for_each_other() -> None:
    starts = Starts()
    hosts = [starts.ask((f"10.0.0.{number}", 554)) for number in range(100)]
    assert begin(starts, hosts, 0.0) == hosts


def test_one_host_has_few_at_once_in_the_order_in_which_they_were_asked_for() -> None:
    starts = Starts()
    asked = [starts.ask(RECORDER) for _ in range(12)]
    assert begin(starts, asked, 0.0) == asked[:AT_ONCE]
    assert begin(starts, asked[::-1], 0.1) == []
    starts.end(asked[1])
    starts.end(asked[1])
    assert begin(starts, asked[::-1], 0.2) == [asked[AT_ONCE]]
    starts.end(asked[AT_ONCE + 1])  # it was given up before its turn
    starts.end(asked[0])
    assert begin(starts, asked, 0.3) == [asked[AT_ONCE + 2]]


def test_what_is_likely_to_fail_waits_behind_what_is_not() -> None:
    starts = Starts(2)
    dead = [starts.ask(RECORDER, behind=True) for _ in range(4)]
    assert begin(starts, dead, 0.0) == dead[:2], "as nobody else is there"
    assert starts.busy(RECORDER)
    living, another = starts.ask(RECORDER), starts.ask(RECORDER)
    starts.end(dead[0])
    assert begin(starts, [*dead, another, living], 0.1) == [living]
    starts.end(dead[1])
    assert begin(starts, [*dead, another], 0.2) == [another]
    starts.end(living)
    assert begin(starts, dead, 0.3) == dead[2:3]
    assert not starts.busy(("10.0.0.8", 554))


def test_lines_may_be_of_other_lengths() -> None:
    starts = Starts(2)
    asked = [starts.ask(RECORDER) for _ in range(5)]
    assert begin(starts, asked, 0.0) == asked[:2]
    starts.end(asked[0])
    assert begin(starts, asked, 0.1) == asked[2:3]


def test_what_hangs_holds_up_the_others_for_a_second_and_no_longer() -> None:
    starts = Starts()
    asked = [starts.ask(RECORDER) for _ in range(3 * AT_ONCE)]
    begin(starts, asked, 0.0)
    assert begin(starts, asked, LONGEST / 2) == []
    assert begin(starts, asked, LONGEST) == asked[AT_ONCE : 2 * AT_ONCE]


def test_who_comes_late_is_asked_less_often() -> None:
    starts = Starts()
    asked = [starts.ask(RECORDER) for _ in range(100)]
    begin(starts, asked[:AT_ONCE], 0.0)
    assert starts.wait(asked[AT_ONCE], 0.0) < starts.wait(asked[-1], 0.0)


def test_nothing_is_kept_of_what_is_over() -> None:
    starts = Starts()
    for start in [starts.ask(RECORDER) for _ in range(9)]:
        starts.end(start)
    assert not starts._hosts
