"""The page of state machines shows the tables in the code."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from broker.director import cameras, viewers
from broker.director.cameras import Cameras
from broker.director.viewers import Viewers
from egress.position import TRANSITIONS, Event, Position
from tests.fakes.sources import PRODUCT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

ROOT = Path(__file__).parents[2]
SERVICES = [name for name in PRODUCT if name != "common"]  # where what moves is of the process, not of a message
PAGE = ROOT / "docs/states.md"
tool = runpy.run_path(str(ROOT / "tools/state-diagrams"))


def test_the_page_is_what_the_command_prints() -> None:
    assert PAGE.read_text() == tool["page"](), "write it anew: .venv/bin/python tools/state-diagrams > docs/states.md"


def test_each_transition_is_an_arrow_or_in_a_sentence() -> None:
    edges, sentences = tool["edges_of"](TRANSITIONS)
    rows = [(begin, event, end) for begin, row in TRANSITIONS.items() for event, end in row.items()]
    told = {event for event in Event if any(f"`{event.name}`" in sentence for sentence in sentences)}
    assert told == {Event.STOPPED, Event.FORMAT_REFUSED}
    drawn = [(begin.name, event.name, end.name) for begin, event, end in rows if event not in told]
    assert edges == drawn


def test_an_event_that_one_state_does_not_know_is_drawn() -> None:
    live = {event: end for event, end in TRANSITIONS[Position.LIVE].items() if event is not Event.STOPPED}
    some = {**TRANSITIONS, Position.LIVE: live}
    edges, _ = tool["edges_of"](some)
    assert ("WAITING", "STOPPED", "OVER") in edges


def test_a_label_holds_nothing_that_ends_it() -> None:
    assert "    here --> there: because, yes\n" in tool["diagram"]([("here", "because: `yes`", "there")])


def test_each_state_that_a_service_keeps_is_drawn_or_named() -> None:
    texts = {path: source(path) for path in modules(*SERVICES)}
    kept = set().union(*(text.kept for text in texts.values()))
    page = PAGE.read_text()
    machines, missing = set(), []
    for path, text in texts.items():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for enum, members in text.enums.items():
            if kept & {enum, *members}:
                machines.add(enum)
                if f"`{path.relative_to(ROOT)}`" not in page and f"`{name}.{enum}`" not in page:
                    missing.append(f"{name}.{enum}")
    assert missing == []
    assert {"Position", "SessionState", "State", "Fate", "Picture", "_State"} <= machines


@pytest.mark.parametrize(("module", "kind"), [(cameras, Cameras), (viewers, Viewers)])
def test_each_method_that_a_header_names_is_there(module: object, kind: type) -> None:
    named = {name for *_, by in tool["rows"](module) for name in re.findall("``(\\w+)``", by)}
    assert named
    assert [name for name in named if not callable(getattr(kind, name, None))] == []
