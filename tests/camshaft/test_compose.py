"""The image and the compose file fit the product: what they name is there. Only Docker can say that they work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from camshaft.cli import cli
from camshaft.rolling import END_GRACE
from common.config import CAMERA_VARIABLE, DrainConfig
from common.config_leaves import leaves
from common.endpoints import Endpoints

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
COTURN = SERVICES.pop("coturn")  # which is no command of ours
DOCKERFILE = (ROOT / "Dockerfile").read_text()
KNOWN = {CAMERA_VARIABLE, *(leaf.variable for leaf in leaves())}


def test_every_role_is_a_service() -> None:
    assert set(SERVICES) == {"broker", "relay", "ingest", "egress", "transcode", "demo-camera"}


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_services_are_commands_of_ours_with_variables_that_exist(service: dict[str, Any]) -> None:
    assert service["command"] in cli.commands
    assert set(service.get("environment", {})) <= KNOWN


def test_docker_waits_for_as_long_as_a_process_takes_to_hand_over() -> None:
    """After that it kills: viewers that are moved by then are the few that wait for the deadline."""
    workers = {name: service for name, service in SERVICES.items() if name in ("ingest", "egress", "transcode")}
    for name, service in workers.items():
        grace = str(service.get("stop_grace_period", "10s"))
        assert grace.endswith("s"), name
        assert float(grace[:-1]) >= DrainConfig().timeout + END_GRACE, name


def test_the_turn_server_is_there_on_demand_with_its_file() -> None:
    source, target, _ = COTURN["volumes"][0].split(":")
    assert (ROOT / source).is_file()
    assert COTURN["command"][:2] == ["-c", target]
    assert COTURN["profiles"] == ["turn"]


def test_the_broker_says_how_all_of_it_is() -> None:
    checked = {name for name, service in SERVICES.items() if service["healthcheck"] != {"disable": True}}
    assert checked == {"broker"}
    assert SERVICES["broker"]["healthcheck"]["test"][1:] == ["camshaft", "health"]
    assert 'CMD ["camshaft", "health"]' in DOCKERFILE
    assert "health" in cli.commands


def test_the_relay_waits_for_nobody_and_tries_again() -> None:
    """A broker of a release that relays by itself may still have its sockets: then it ends."""
    assert SERVICES["relay"]["restart"] == "unless-stopped"
    assert "depends_on" not in SERVICES["relay"]


def test_all_meet_at_one_broker_whose_directory_they_share() -> None:
    workers = [service for service in SERVICES.values() if "environment" in service]
    addresses = {service["environment"]["CAMSHAFT_BROKER_ADDRESS"] for service in workers}
    assert len(workers) == 5
    assert SERVICES["broker"]["environment"]["CAMSHAFT_BROKER_RELAY"] == "apart", "there is a relay"
    assert len(addresses) == 1
    directory = Endpoints.parse(addresses.pop()).directory
    assert all(f"bus:{directory}" in service["volumes"] for service in workers)
    assert f" {directory} " in DOCKERFILE  # made in the image, or the volume would be root's


def test_the_image_has_every_package_and_no_unknown_variable() -> None:
    packages = {each.parent.name for each in ROOT.glob("*/__init__.py")} - {"bench", "rigs", "tests"}
    assert {name for name, to in re.findall(r"^COPY (\w+) (\w+)$", DOCKERFILE, re.MULTILINE) if name == to} == packages
    assert set(re.findall(r"\b(CAMSHAFT_\w+)=", DOCKERFILE)) <= KNOWN
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for names in re.findall(r"^COPY (?!--)(.+) \S+$", DOCKERFILE, re.MULTILINE) for name in names.split()
    }
    assert copied == sent
