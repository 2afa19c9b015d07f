"""Alert rules and board: they ask for metrics that there are, and Prometheus's own tool takes them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.metrics.events import EVENTS, FROM_ZERO
from broker.metrics.families import FAMILIES, Type
from common.cameras import CameraState

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/camshaft.rules.yaml"
BOARD = json.loads((DEPLOY / "grafana/camshaft.json").read_text("utf-8"))
NAMES = {family.name: family for family in FAMILIES if family.type is not Type.HISTOGRAM} | {
    f"{family.name}{suffix}": family
    for family in FAMILIES
    if family.type is Type.HISTOGRAM
    for suffix in ("_bucket", "_count", "_sum")
}
SELECTOR = re.compile(r"(camshaft_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
FROM_SCRAPE = {"instance", "job", "le"}

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing (Debian: prometheus)")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in panels() for target in panel["targets"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_every_expression_asks_for_what_there_is(expression: str) -> None:
    for name, matchers in SELECTOR.findall(expression):
        assert name in NAMES, name
        for label, value in MATCHER.findall(matchers):
            assert label in {*NAMES[name].labels, *FROM_SCRAPE}, f"{name} has no {label}"
            if label == "event":
                described = {event for meanings in EVENTS.values() for event in meanings}
                assert {each for each in value.split("|") if "*" not in each} <= described
            if label == "state" and name == "camshaft_cameras":
                assert value in set(CameraState)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_no_event_that_begins_with_its_first_count(rule: dict[str, Any]) -> None:
    """In such a series Prometheus sees no increase before the second."""
    asked = [event for group in re.findall(r'event=~?"([^"]+)"', rule["expr"]) for event in group.split("|")]
    told = {event for events in FROM_ZERO.values() for event in events}
    assert set(asked) <= told


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found) >= 15
    for rule in found:
        assert rule["alert"].startswith("Camshaft")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_every_alert_is_tested() -> None:
    tests = (DEPLOY / "prometheus/camshaft.rules.test.yaml").read_text("utf-8")
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tests] == []


def test_the_board_has_a_panel_for_each_thing_once() -> None:
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    assert len({panel["title"] for panel in panels()}) >= len(panels()) - 1  # the delay is shown now and over time
    places = [tuple(panel["gridPos"].values()) for panel in BOARD["panels"]]
    assert len(set(places)) == len(places)


@promtool
def test_promtool_takes_the_rules() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.thorough
@promtool
def test_the_rules_fire_when_they_should_and_not_before() -> None:
    tests = RULES.with_name("camshaft.rules.test.yaml")
    done = subprocess.run(["promtool", "test", "rules", tests], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
