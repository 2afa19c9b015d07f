"""The model of the configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from common.config import default_broker_address
from common.config_access import AuthConfig
from common.config_leaves import leaves
from common.config_limits import SourcesConfig


def test_every_leaf_has_variable_option_and_help() -> None:
    table = {leaf.option: leaf for leaf in leaves()}
    assert len(table) == len(list(leaves()))
    assert table["--media-advertise"].is_list
    assert not table["--media-port"].is_list
    assert table["--store-path"].variable == "CAMSHAFT_STORE_PATH"
    assert [option for option, leaf in table.items() if leaf.is_secret] == [
        "--http-ice-servers",
        "--http-turn-secret",
        "--jwt-secret",
        "--oidc-client-secret",
        "--cluster-secret",
        "--cluster-token",
    ]
    assert all(leaf.field.description for leaf in table.values())


def test_one_token_has_the_rights_of_one_name() -> None:
    """Lines that were copied, and given another name and role, would make a viewer's token an admin's."""
    wall = {"sha256": "ab" * 32, "cameras": ["yard"]}
    root = {"sha256": "AB" * 32, "role": "admin"}
    with pytest.raises(ValidationError, match="wall and root are the same"):
        AuthConfig.model_validate({"tokens": {"wall": wall, "root": root}})


def test_broker_address_is_private_to_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"{tmp_path}/7")
    assert default_broker_address() == f"ipc://{tmp_path}/7/camshaft"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_broker_address().endswith(f"/camshaft-{os.getuid()}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/null/7")  # as where it is somebody else's
    assert default_broker_address().endswith(f"/camshaft-{os.getuid()}")


def test_networks_are_written_as_people_do() -> None:
    taken = SourcesConfig.model_validate({"networks": "192.168.1.0/24, 2001:DB8::/32,10.0.0.7"})
    assert taken.networks == ("192.168.1.0/24", "2001:db8::/32", "10.0.0.7/32")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            "192.168.1.7/24",
            r"192\.168\.1\.7/24 is an address within a network; write 192\.168\.1\.0/24 for the whole network",
        ),
        ("cameras.example", "must be a network such as"),
        ("10.0.0.0/33", "must be a network such as"),
        ("10.0.0.0-10.0.0.9", "must be a network such as"),
        (",".join(f"10.{n}.0.0/16" for n in range(65)), "at most 64 items"),
    ],
)
def test_what_is_no_network_is_refused(value: str, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        SourcesConfig.model_validate({"networks": value})
