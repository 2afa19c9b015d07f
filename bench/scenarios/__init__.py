"""The scenarios: each loads the server in one way and says which of its targets were reached.

Targets are CPU times, losses, delays and ratios, measured in one run on one machine. They are for people who look at
the table; no test asserts them, because what else the machine does changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from bench.rig import Plan
from bench.scenarios import conversion, crowds, endurance, paths
from bench.scenarios.dying import dying, spinning
from bench.scenarios.full import full
from bench.scenarios.handing import handing
from bench.scenarios.loads import growth, loads
from bench.scenarios.mse import mse
from bench.scenarios.partition import partition
from bench.scenarios.reading import reading
from bench.scenarios.replacing import kills, rolling, takeover
from bench.scenarios.tcp import tcp


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that the command line knows by its name."""

    summary: str
    run: Callable[[Plan], Coroutine[Any, Any, None]]


SCENARIOS = {
    "fanout": Scenario("100 viewers of one 1080p30 4 Mb/s camera; peers and the floor beside it", crowds.fanout),
    "footprint": Scenario("1, 10 and 100 viewers of one camera: CPU and memory of every process", crowds.footprint),
    "loads": Scenario("1, 8 and 100 cameras with a viewer each or none: CPU a picture, memory; peers beside it", loads),
    "growth": Scenario("10 to 200 cameras with a viewer each: is a picture's cost flat?", growth),
    "reading": Scenario(
        "a picture in ingest in a loop, without sockets: the compiled way and Python in turns", reading
    ),
    "scaling": Scenario("10 to 500 viewers, and 20 cameras with 25 viewers each: is the cost flat?", crowds.scaling),
    "tcp": Scenario("100 viewers by TCP beside 100 by UDP; then a tenth of them stops reading", tcp),
    "mse": Scenario("100 viewers by the page's own port, beside a program that writes the same bytes", mse),
    "thousand": Scenario("1,000 viewers at 1 Mb/s on one egress; 100 joins a second", crowds.thousand),
    "full": Scenario("viewers of a 20 Mb/s camera come until an egress refuses: what do those see that watch?", full),
    "latency": Scenario("delay from the camera to the datagram with 100 viewers", crowds.latency),
    "ingest": Scenario("100 simulated cameras in one ingest process", crowds.ingest),
    "conversion": Scenario("H.265 at 1080p30 to H.264: its cost and its delay", conversion.conversion),
    "keyframes": Scenario("200 kB keyframes to 300 viewers, beside a quiet camera and dead viewers", crowds.keyframes),
    "feedback": Scenario("REMB and transport-wide feedback in the API", crowds.feedback),
    "browser": Scenario("Chromium: time to the first picture, delay from capture to screen, freezes", paths.browser),
    "pacing": Scenario("a 10 Mb/s link with a shallow queue, and 5 % loss (needs root)", paths.pacing),
    "chaos": Scenario("every fault in turn while viewers watch: kills, hangs, cables, clocks, limits", endurance.chaos),
    "killing": Scenario(
        "a random process killed every 3.5 s for --seconds: share of the time in the dark", endurance.killing
    ),
    "dying": Scenario("an ingest is killed, then stopped: when is its camera dialled by another?", dying),
    "spinning": Scenario("a busy loop on each core for --seconds: is any process given up that lives?", spinning),
    "handing": Scenario("an egress hands its viewers over, and it or its successor is killed in the midst", handing),
    "kills": Scenario("kill -9 of processes at random under a page in Chromium: how long is it dark?", kills),
    "partition": Scenario("an ingest cut off from its broker alone, its clock an hour off", partition),
    "rolling": Scenario("every process told to end, 20 times each role, under 100 viewers of three kinds", rolling),
    "soak": Scenario("viewers and cameras come and go for --seconds: what grows?", endurance.soak),
    "takeover": Scenario("a hundred cameras of twenty hosts on one ingest when theirs is killed", takeover),
    "stuck": Scenario("a viewer whose path is stuck, and what that costs the others (needs root)", paths.stuck),
}
