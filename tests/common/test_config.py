"""The model of the configuration."""

from __future__ import annotations

import os

import pytest

from common.config import default_broker_address, leaves


def test_every_leaf_has_variable_option_and_help() -> None:
    table = {leaf.option: leaf for leaf in leaves()}
    assert len(table) == len(list(leaves()))
    assert table["--media-advertise"].is_list
    assert not table["--media-port"].is_list
    assert table["--store-path"].variable == "CAMSHAFT_STORE_PATH"
    assert [option for option, leaf in table.items() if leaf.is_secret] == [
        "--http-ice-servers",
        "--cluster-secret",
        "--cluster-token",
    ]
    assert all(leaf.field.description for leaf in table.values())


def test_broker_address_is_private_to_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_broker_address() == "ipc:///run/user/7/camshaft"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_broker_address().endswith(f"/camshaft-{os.getuid()}")
