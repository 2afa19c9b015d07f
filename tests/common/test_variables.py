"""Variables of ours, those of Kubernetes, and mistakes."""

from __future__ import annotations

import pytest

from common.config_leaves import leaves
from common.errors import ConfigError
from common.variables import check, is_service_link

KNOWN = {leaf.variable for leaf in leaves()}

LINKS = {
    "CAMSHAFT_SERVICE_HOST": "10.0.0.1",
    "CAMSHAFT_SERVICE_PORT": "8080",
    "CAMSHAFT_SERVICE_PORT_HTTP": "8080",
    "CAMSHAFT_PORT": "tcp://10.0.0.1:8080",
    "CAMSHAFT_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    "CAMSHAFT_PORT_8080_TCP_PROTO": "tcp",
    "CAMSHAFT_MY_BROKER_SERVICE_HOST": "10.0.0.1",
    "CAMSHAFT_BROKER_PORT_5550_TCP_ADDR": "10.0.0.1",
    "CAMSHAFT_MEDIA_PORT": "udp://[fd00::1]:8189",
    "CAMSHAFT_MEDIA_PORT_8189_UDP_PORT": "8189",
}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("CAMSHAFT_MEDIA_PROT", "CAMSHAFT_MEDIA_PORT"),
        ("CAMSHAFT_HTTP_LISTENS", "CAMSHAFT_HTTP_LISTEN"),
        ("CAMSHAFT_LOGLEVEL", "CAMSHAFT_LOG_LEVEL"),
        ("CAMSHAFT_STORE", "CAMSHAFT_STORE_PATH"),
        ("CAMSHAFT_ICE_SERVERS", "CAMSHAFT_HTTP_ICE_SERVERS"),
    ],
)
def test_misspelt_variable_is_an_error_with_the_nearest_name(wrong: str, right: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check({"HOME": "/root", wrong: "hunter2"}, KNOWN)
    assert str(caught.value) == f"{wrong}: there is no such variable; did you mean {right}?"


def test_variable_like_no_other_is_an_error_with_where_to_look() -> None:
    with pytest.raises(ConfigError, match="CAMSHAFT_XYZZY: there is no such variable; camshaft serve --help"):
        check({"CAMSHAFT_XYZZY": "1"}, KNOWN)


def test_known_and_empty_and_other_programs_variables_are_let_be() -> None:
    check(dict.fromkeys(KNOWN, "1") | {"CAMSHAFT_MEDIA_PROT": "", "CAMSHAFTER": "1", "PATH": "/bin"}, KNOWN)


def test_what_kubernetes_makes_for_a_service_is_let_be() -> None:
    check(LINKS, KNOWN)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CAMSHAFT_MEDIA_PORT", "8189"),
        ("CAMSHAFT_MEDIA_PORT", "tcp://10.0.0.1"),
        ("CAMSHAFT_MEDIA_LISTEN", "tcp://10.0.0.1:80"),
        ("CAMSHAFT_SERVICE", "1"),
        ("CAMSHAFT_PORT_X_TCP", "1"),
    ],
)
def test_what_only_looks_like_it_is_ours(name: str, value: str) -> None:
    assert not is_service_link(name, value)
