"""The README promises what the program has."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest

from broker.access.tokens import digest_of
from camshaft.cli import cli
from common.config_file import load
from tests.fakes.broker import broker_in

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_configuration_example_is_valid(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example
    file = tmp_path / "camshaft.yaml"
    file.write_text(example[1])
    assert list(load(file, environ={}).cameras) == ["front-door", "yard"]


def test_commands_of_the_readme_exist() -> None:
    for words in re.findall(r"camshaft ((?:[a-z-]+ ?)+)", README):
        name = words.split()[0]
        if name in ("demo-camera", "camera", "serve", "broker", "relay", "ingest", "egress", "demo", "probe"):
            assert name in cli.commands, name


@pytest.mark.thorough
async def test_requests_of_the_readme_are_answered(tmp_path: Path) -> None:
    auth = {"tokens": {"program": {"sha256": digest_of("TOKEN"), "role": "admin"}}}
    requests = [line for line in README.splitlines() if line.startswith("curl ")]
    assert len(requests) == 6
    async with broker_in(tmp_path, auth=auth) as broker:
        statuses = []
        for request in requests:
            words = shlex.split(request.replace("http://HOST:8080", broker.url.rstrip("/")))
            [url] = [word for word in words if word.startswith(broker.url)]
            given = {option: value for option, value in itertools.pairwise(words) if option.startswith("-")}
            body = json.loads(given["--json"]) if "--json" in given else None
            method = given.get("-X", "POST" if body else "GET")
            headers = dict([given["-H"].split(": ")])
            async with broker.http.request(method, url, json=body, headers=headers) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 201, 200, 503, 200, 200], "nothing runs that could give a still"


def test_the_element_of_the_readme_is_there() -> None:
    [script] = re.findall(r'src="http://HOST:8080/static/(.*?)"', README)
    assert 'customElements.define("camshaft-player"' in (ROOT / "broker/web" / script).read_text("utf-8")
