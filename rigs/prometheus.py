"""A real Prometheus that scrapes a cluster and evaluates the alert rules of ``deploy/prometheus``.

Debian's package, run as a process of its own, with its database and a free port of the test's.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import yaml

from rigs.process import free_port

RULES = Path(__file__).parents[1] / "deploy/prometheus/camshaft.rules.yaml"
START_TIMEOUT = 30.0  # seconds until it answers
STOP_TIMEOUT = 10.0  # seconds from SIGTERM
_PROGRAMS = ("prometheus", "promtool")


def missing() -> str:
    """Why it cannot be started here; empty if it can."""
    lacks = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{' and '.join(lacks)} is missing (Debian: prometheus)" if lacks else ""


@dataclass
class Prometheus:
    """An async context manager: inside it ``target``, an HTTP address, is scraped every ``interval`` seconds.

    Alerts fire as soon as their condition holds twice: how long they wait is shortened to an interval.
    """

    directory: Path
    target: str
    interval: int = 1  # seconds
    port: int = field(default=0, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        self.port = free_port()
        (self.directory / "rules.yaml").write_text(
            re.sub(r"for: \w+", f"for: {self.interval}s", RULES.read_text("utf-8")), "utf-8"
        )
        config = {
            "global": {"scrape_interval": f"{self.interval}s", "evaluation_interval": f"{self.interval}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [
                {"job_name": "camshaft", "static_configs": [{"targets": [urlsplit(self.target).netloc]}]},
            ],
        }
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        with (self.directory / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={self.directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self.directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            await self.until("/-/ready", lambda text: "Ready" in text, START_TIMEOUT)
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._end()

    async def value(self, expression: str) -> list[dict[str, Any]]:
        """The result of a query: each with ``metric``, the labels, and ``value``."""
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{self.port}/api/v1/query"
            async with http.get(url, params={"query": expression}) as response:
                answer = await response.json()
                assert answer["status"] == "success", answer
                found: list[dict[str, Any]] = answer["data"]["result"]
                return found

    async def fires(self, alert: str, seconds: float) -> dict[str, Any]:
        """The alert once it fires, with ``labels`` and ``annotations``. Raises ``TimeoutError``."""

        def found(text: str) -> Any:
            alerts = json.loads(text)["data"]["alerts"]
            firing = (each for each in alerts if each["labels"]["alertname"] == alert and each["state"] == "firing")
            return next(firing, None)

        result: dict[str, Any] = await self.until("/api/v1/alerts", found, seconds)
        return result

    async def until(self, path: str, condition: Callable[[str], Any], seconds: float) -> Any:
        """The first true value that ``condition`` has of the answer. Raises ``TimeoutError``."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(seconds):
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{self.port}{path}") as response:
                        if value := condition(await response.text()):
                            return value
                except aiohttp.ClientConnectionError:
                    assert self._process is not None
                    if self._process.poll() is not None:
                        raise RuntimeError((self.directory / "prometheus.log").read_text()) from None
                await asyncio.sleep(0.1)

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_TIMEOUT)
