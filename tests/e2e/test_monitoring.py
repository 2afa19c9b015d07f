"""A real Prometheus beside a real cluster: it takes what it scrapes, and its alerts fire for what is broken."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from math import isnan
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from broker.metrics.families import FAMILIES
from rigs import prometheus as prometheus_rig
from rigs.camera import FakeCamera, h264_track
from rigs.cluster import Cluster
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep
from rigs.prometheus import RULES, Prometheus
from rigs.video import encode

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the load generator is for Linux"),
    pytest.mark.skipif(bool(prometheus_rig.missing()), reason=prometheus_rig.missing() or "-"),
]

PATIENCE = 30.0  # seconds
VIEWERS = 3
COMPARES = re.compile(r"([<>]=?|[=!]=)")
BOARD = Path(__file__).parents[2] / "deploy/grafana/camshaft.json"


class Monitored:
    """The samples that Prometheus has of a cluster, once it has them."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def becomes(self, expression: str, condition: Callable[[list[float]], object]) -> None:
        """Wait until the values of an expression satisfy the condition."""
        values: list[float] = []
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(values):
                    values = [float(each["value"][1]) for each in await self._prometheus.value(expression)]
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{expression} is {values}") from None


async def test_prometheus_scrapes_a_cluster_and_its_alerts_fire(cluster: Callable[..., Any], tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        camera = await stack.enter_async_context(FakeCamera([h264_track(encode(50, gop=25))], interval=0.04))
        running = await cluster({"front-door": camera.url, "away": "rtsp://127.0.0.1:1/"})
        async with Crowd() as crowd, Prometheus(tmp_path, running.url) as prometheus:
            monitored = Monitored(prometheus)
            await monitored.becomes("camshaft_ready", lambda values: values == [1])
            await monitored.becomes("sum(camshaft_first_picture_seconds_count)", lambda values: values == [0])
            viewers = await crowd.join(Whep(running.whep("front-door")), VIEWERS)
            await crowd.watching()
            for expression in (
                'sum(camshaft_viewers{state="connected"})',
                "sum(camshaft_connect_seconds_count)",
                "sum(camshaft_first_picture_seconds_count)",
                'sum(camshaft_events_total{event="viewers_joined"})',
                'camshaft_offers_total{outcome="answered"}',
                'camshaft_viewers_codec{codec="H264"}',
                'camshaft_viewers_way{way="udp"}',
                'camshaft_camera_viewers{camera="front-door"}',
            ):
                await monitored.becomes(expression, lambda values: values == [VIEWERS])
            await monitored.becomes(
                'rate(camshaft_camera_frames_total{kind="video"}[5s])', lambda v: max(v, default=0) > 5
            )
            await monitored.becomes(
                "sum(rate(camshaft_sent_bytes_total[5s]))", lambda values: values and values[0] > 1_000
            )
            quantile = "histogram_quantile(0.9, sum by (le) (rate(camshaft_delay_seconds_bucket[5s])))"
            await monitored.becomes(quantile, lambda values: values and 0 < values[0] < 2.5)

            found = {each["metric"]["__name__"] for each in await prometheus.value('{__name__=~"camshaft_.+"}')}
            wanted = {family.name if family.type != "histogram" else f"{family.name}_bucket" for family in FAMILIES}
            lacking = wanted - found - {"camshaft_certificate_expires_timestamp_seconds"}  # there is no TLS
            assert lacking == set(), "all else that the table has is there once somebody watches"
            await take_offence_at_nothing(running)
            async with refusing(running):
                for expression in (*of_the_board(), *of_the_rules()):
                    await monitored.becomes(expression, lambda values: any(not isnan(value) for value in values))

            away = await prometheus.fires("CamshaftCameraDown", PATIENCE)
            assert away["labels"]["camera"] == "away"
            assert "connection_refused" in away["annotations"]["description"]
            await stack.aclose()  # the camera's plug is pulled
            firing = 'ALERTS{alertname="CamshaftCameraDown", alertstate="firing", camera="front-door"}'
            await monitored.becomes(firing, lambda values: values == [1])
            await crowd.leave(viewers)
            await monitored.becomes(
                'sum(camshaft_events_total{event="viewers_left"})', lambda values: values == [VIEWERS]
            )


@asynccontextmanager
async def refusing(running: Cluster) -> AsyncIterator[None]:
    """While this is open the front door has something to refuse, over and over."""

    async def ask() -> None:
        async with aiohttp.ClientSession(running.url) as http:
            while True:
                async with http.get("/", headers={"Host": "rebound.example"}) as answer:
                    assert answer.status == 421
                await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ask())
        yield
        task.cancel()


def of_the_rules() -> list[str]:
    """The conditions of the alerts as what they compare, so that they have a value also where all is well."""
    found = []
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            if "certificate" not in rule["expr"]:  # there is no TLS
                parts = re.split(r"(\{[^}]*\})", rule["expr"])  # in braces the same signs mean something else
                found.append("".join(part if part[:1] == "{" else COMPARES.sub(r"\1 bool", part) for part in parts))
    return found


def of_the_board() -> list[str]:
    """The queries of Grafana's board, with its variables as they are at first."""
    board = json.loads(BOARD.read_text("utf-8"))
    expressions = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    variables = {"$instance": ".*", "$camera": ".*", "$__rate_interval": "1m"}
    for name, value in variables.items():
        expressions = [expression.replace(name, value) for expression in expressions]
    return expressions


async def take_offence_at_nothing(running: Cluster) -> None:
    """Let Prometheus's own tool judge names and texts."""
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/metrics") as response:
        text = await response.text()
    judge = ("promtool", "check", "metrics")
    linted = await asyncio.to_thread(subprocess.run, judge, input=text, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
