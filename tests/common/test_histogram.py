"""Times in fixed buckets, from the process that measures them to the broker that adds them up."""

from __future__ import annotations

import pytest

from common.control import MAX_BUCKETS, MAX_MEASURES, Measured, Report, Role, decode_for_broker, encode
from common.histogram import BOUNDS, Histogram, Measure, cumulative


def test_each_time_is_in_the_first_bucket_that_has_room_for_it() -> None:
    histogram = Histogram(Measure.DELAY)
    for seconds in (0.0005, 0.001, 0.0011, 0.2, 100.0):
        histogram.add(seconds)
    assert list(cumulative(histogram.measured)) == [
        ("0.001", 2),
        ("0.0025", 3),
        ("0.005", 3),
        ("0.01", 3),
        ("0.025", 3),
        ("0.05", 3),
        ("0.1", 3),
        ("0.25", 4),
        ("0.5", 4),
        ("1.0", 4),
        ("2.5", 4),
        ("+Inf", 5),
    ]
    assert histogram.measured.total == pytest.approx(100.2026)


def test_a_clock_of_another_machine_makes_no_sum_smaller() -> None:
    histogram = Histogram(Measure.DELAY)
    histogram.add(-1.0)
    assert histogram.measured.total == 0.0
    assert next(cumulative(histogram.measured)) == ("0.001", 1)


@pytest.mark.parametrize("measure", Measure)
def test_every_measure_has_bounds_that_a_report_has_room_for(measure: Measure) -> None:
    assert list(BOUNDS[measure]) == sorted(set(BOUNDS[measure]))
    assert len(BOUNDS[measure]) < MAX_BUCKETS
    assert len(Measure) <= MAX_MEASURES


def test_nothing_is_made_of_what_another_version_measured() -> None:
    assert list(cumulative(Measured("patience", (1, 2), 3.0))) == []
    assert list(cumulative(Measured(Measure.DELAY, (1, 2), 3.0))) == []
    assert list(cumulative(Measured(Measure.DELAY))) == []


def test_a_bucket_below_nothing_takes_nothing_from_the_others() -> None:
    counts = (5, -3, *[0] * (len(BOUNDS[Measure.DELAY]) - 1))
    assert [count for _, count in cumulative(Measured(Measure.DELAY, counts, 0.0))] == [5] * len(counts)


def test_it_travels_in_a_report_whatever_the_numbers_are() -> None:
    measured = Measured(Measure.DELAY, (1 << 70, 2), float("nan"))
    report = decode_for_broker(encode(Report("out-1", Role.EGRESS, "1", measured=(measured,))))
    assert isinstance(report, Report)
    assert report.measured == (Measured("delay", ((1 << 63) - 1, 2), 0.0),)
