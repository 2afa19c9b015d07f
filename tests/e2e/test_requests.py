"""Requests by chance, by people of each role and by nobody, well-formed and mutated: no bug, no growth, nobody harmed.

``REQUESTS=100000 make test PYTEST=tests/e2e/test_requests.py`` sends so many of either kind; ``SEED=`` sends others.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from broker.access.tokens import digest_of
from broker.front.routes import ROUTES
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.strange_requests import Answers, Stranger, send

REQUESTS = int(os.environ.get("REQUESTS", "1000"))
SEED = int(os.environ.get("SEED", "1"))
A_SECOND = 50  # requests, on a machine that is slow and busy

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.gstreamer,
    pytest.mark.quiet,
    pytest.mark.timeout(120 + REQUESTS // A_SECOND),
]

ROLES = ("monitor", "viewer", "admin")
CONFIG = {
    "auth": {
        "tokens": {
            "monitor": {"sha256": digest_of("t-monitor"), "role": "monitor"},
            "viewer": {"sha256": digest_of("t-viewer"), "cameras": ["yard"]},
            "admin": {"sha256": digest_of("t-admin"), "role": "admin"},
        }
    },
    "limits": {"cameras": 5},  # what an admin adds stays
    "sources": {"networks": ["127.0.0.0/8"]},  # nor is anybody else's machine looked for
}


async def test_no_request_finds_a_bug(cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> None:
    running: Cluster = await cluster({"yard": gst_camera(SMALL).url}, config=CONFIG)
    stranger = Stranger(SEED, [(route.method, route.path) for route in ROUTES], [f"t-{role}" for role in ROLES])
    answers, address = Answers(), urlsplit(running.url)
    assert address.hostname is not None
    assert address.port is not None
    warm = REQUESTS // 10  # what is made at first use is no growth
    await send(address.hostname, address.port, (stranger.request() for _ in range(warm)), answers)
    async with unharmed(running, "yard?token=t-viewer"):
        await send(address.hostname, address.port, (stranger.request() for _ in range(REQUESTS - warm)), answers)
    print(f"seed {SEED}: {sorted(answers.statuses.items())}")
    assert not answers.faults, answers.faults[:3]
    assert "Traceback" not in running.log
    assert "request failed" not in running.log
    assert answers.statuses.total() == REQUESTS
    assert {200, 400, 401, 403, 404} <= answers.statuses.keys(), "it came as far as the handlers"
