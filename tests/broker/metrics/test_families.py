"""The names that operators build boards on: as Prometheus wants them, and as the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from broker.metrics.events import EVENTS, events
from broker.metrics.families import FAMILIES, OF_COUNTERS, Family, Type

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/monitoring.md").read_text("utf-8")
UNITS = ("_seconds", "_bytes", "_cores", "_total")
COUNTED = re.compile(r"""counters\[f?"([^"]+)"\]""")


def table(name: str) -> list[str]:
    """The rows of one of the page's tables."""
    found = re.search(rf"<!-- {name}; [^\n]*\n\n(.*?)\n\n<!-- end of the table", PAGE, re.DOTALL)
    assert found, name
    return found[1].splitlines()


def row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    return f"| `{family.name}` | {family.type} | {labels} | {family.help} |"


def test_the_page_has_every_metric() -> None:
    wanted = ["| metric | type | labels | meaning |", "|---|---|---|---|", *map(row, FAMILIES)]
    assert table("metrics") == wanted, "\n".join(["the table of docs/monitoring.md should be:", *wanted])


def test_the_page_has_every_event() -> None:
    wanted = ["| event | meaning |", "|---|---|"]
    for part, meanings in EVENTS.items():
        wanted += [f"| **{part}** | |", *(f"| `{name}` | {meaning} |" for name, meaning in meanings.items())]
    assert table("events") == wanted, "\n".join(["the table of docs/monitoring.md should be:", *wanted])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_says_what_is_counted(family: Family) -> None:
    assert re.fullmatch(r"camshaft_[a-z]+(_[a-z]+)*", family.name)
    assert family.name.endswith("_total") == (family.type is Type.COUNTER)
    if family.type is Type.HISTOGRAM:
        assert family.name.endswith("_seconds")
    assert re.fullmatch(r"[A-Z0-9l].*\.", family.help), "a sentence"
    assert len(set(family.labels)) == len(family.labels)


def test_names_are_given_once() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_what_is_counted_anywhere_is_described() -> None:
    """A new counter needs a line in ``broker/metrics/events.py``."""
    described = {name for meanings in EVENTS.values() for name in meanings} | OF_COUNTERS.keys()
    patterns = [re.compile(re.escape(name).replace(r"\*", r"[a-z_*]+")) for name in described]
    folders = ("broker", "common", "egress", "ingest", "transcode")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    counted = {re.sub(r"\{[^}]*\}", "*", name) for path in paths for name in COUNTED.findall(path.read_text())}
    counted -= {
        "tasks",
        "delay_p50_us",
        "delay_p99_us",
        "relay_frames_in",
        "relay_bytes_in",
        "tcp_connections",
    }  # figures
    counted -= {"http_*"}  # which are http_limit_*
    assert len(counted) > 40
    assert [name for name in sorted(counted) if not any(pattern.fullmatch(name) for pattern in patterns)] == []


def test_figures_are_no_events() -> None:
    assert dict(events({"tasks": 7, "delay_p50_us": 1, "sent_bytes": 3, "gaps": 2})) == {"gaps": 2}


def test_a_worker_cannot_make_up_events_without_end() -> None:
    made_up = {f"made_up_{number}": 1 for number in range(10_000)} | {"Not a name\n": 1, "x" * 65: 1}
    found = dict(events(made_up))
    assert 0 < len(found) <= 200
    assert "Not a name\n" not in dict(events({"Not a name\n": 1, "x" * 65: 1}))
