"""What ``serve`` says when it is ready."""

from __future__ import annotations

import pytest

from camshaft import serve
from common.config import HttpConfig
from common.config_access import AuthConfig


@pytest.mark.parametrize(
    ("listen", "open_to_others"),
    [("127.0.0.1:8080", False), ("localhost:1", False), ("[::1]:1", False), (":8080", True), ("192.0.2.7:1", True)],
)
def test_who_opens_the_port_is_told_what_that_means(
    listen: str, open_to_others: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._announce(HttpConfig(listen=listen), only_demo=False, auth=AuthConfig(mode="none"))
    said = capsys.readouterr().out
    assert said.startswith("Camshaft is ready: http://")
    assert ("auth is none" in said) == open_to_others
    serve._announce(HttpConfig(listen=listen), only_demo=False, auth=AuthConfig())
    assert "auth is none" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("http", "page"),
    [
        ({}, "https://127.0.0.1:8080/"),
        ({"listen": ":443"}, "https://127.0.0.1:443/"),
        ({"listen": ":8443", "hosts": ["cams.example", "other.example"]}, "https://cams.example:8443/"),
    ],
)
def test_with_a_certificate_the_page_is_https(
    http: dict[str, object], page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = HttpConfig.model_validate({"tls_cert": "cert.pem", **http})
    serve._announce(config, only_demo=False, auth=AuthConfig())
    said = capsys.readouterr().out
    assert said.startswith(f"Camshaft is ready: {page}  (")
    assert f"camera add --api {page.rstrip('/')} NAME -" in said
