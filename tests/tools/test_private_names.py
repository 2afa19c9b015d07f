"""Private names of libraries are not used, unless there is no public way to what they do."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.fakes.private_names import Names
from tests.fakes.sources import PACKAGES, ROOT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

ALLOWED = {
    ("broker/front/connections.py", "_drain_helper"): "docs/decisions.md",
    ("broker/front/connections.py", "_messages"): "docs/decisions.md",
    (
        "tests/broker/front/test_ice_servers.py",
        "_TurnTransport__inner_protocol",
    ): "aioice tells nobody its relay",
    ("tests/deploy/test_coturn.py", "_TurnTransport__inner_protocol"): "likewise",
    ("tests/fakes/second_look.py", "_setupstate"): "pytest ends fixtures before a second run in no other way",
    ("tests/fuzz/target.py", "_set_running_loop"): "what is fuzzed asks for its loop, and to run one is slow",
}
"""Where which is used, and why."""


@cache
def foreign() -> set[tuple[str, str]]:
    """Private names that nothing of ours makes, each with the file that uses it."""
    names = {path: source(path).names for path in modules(*PACKAGES, "tests") if path != Path(__file__)}
    made = set().union(*(each.made for each in names.values()))
    classes: dict[str, list[Names]] = {}
    for each in names.values():
        for kind, its in each.classes.items():
            classes.setdefault(kind, []).append(its)

    def known(kind: str) -> set[str]:
        theirs = classes.get(kind, [])
        return set().union(*(its.made.union(*(known(base) for base in its.bases if base != kind)) for its in theirs))

    found = set()
    for path, each in names.items():
        file = str(path.relative_to(ROOT))
        found |= {(file, name) for name in each.used - made}
        for kind, its in each.classes.items():
            if any(base not in classes for base in its.bases):  # of a library
                found |= {(file, name) for name in its.used - known(kind)}
    return found


def test_private_names_of_libraries_are_used_only_where_there_is_no_other_way() -> None:
    assert foreign() - ALLOWED.keys() == set(), "find a public way, or say in ALLOWED why there is none"


def test_what_is_allowed_is_used() -> None:
    assert ALLOWED.keys() - foreign() == set()
