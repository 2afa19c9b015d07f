"""Evidence of a page is bounded, whatever it tells."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.why.evidence import MAX_COUNT, MAX_PAIRS, MAX_WORD, PageReport, Pair

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
FIELDS = ("state", "host", "local", "pairs", "errors", "bytes", "received", "decoded")


def test_a_report() -> None:
    told = {
        "state": "failed",
        "host": "cams.example",
        "local": ["host udp"],
        "pairs": [{"local": "a", "remote": "b", "state": "failed"}, "nonsense", {"local": 1}],
        "errors": ["turn:x: 401 a\nb"],
        "bytes": 5,
        "received": True,
        "decoded": -1,
    }
    assert PageReport.parse(told) == PageReport(
        "failed",
        "cams.example",
        ("host udp",),
        (Pair("a", "b", "failed"), Pair("", "", "")),
        ("turn:x: 401 a?b",),
        5,
        0,
        0,
    )


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON)))
def test_anything_else(message: dict) -> None:
    report = PageReport.parse(message)
    for each in (report.local, report.errors, report.pairs):
        assert len(each) <= MAX_PAIRS
    words = [
        report.state,
        report.host,
        *report.local,
        *report.errors,
        *(part for p in report.pairs for part in (p.local, p.remote)),
    ]
    assert all(len(word) <= MAX_WORD and word.isprintable() for word in words)
    assert all(0 <= number <= MAX_COUNT for number in (report.octets, report.received, report.decoded))
