"""The words of ``serve`` when it is ready."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from broker.access.people import open_people
from camshaft import serve
from camshaft.options import Given
from common import process
from common.access import AccessRole
from common.config import Config, HttpConfig
from common.config_access import AuthConfig
from common.errors import ConfigError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a store would be, and users


def test_nothing_that_read_a_password_leaves_its_memory_on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not the nursery, which is forked when the configuration has been read, and what is forked from it."""
    done: list[str] = []
    document = Given.document

    def forked(modules: object, main: object) -> None:
        done.append("forked")
        raise ConfigError("enough")

    def read(given: Given) -> object:
        done.append("read")
        return document(given)

    monkeypatch.setattr(process, "forgo_core_dumps", lambda: done.append("no dumps"))
    monkeypatch.setattr(Given, "document", read)
    monkeypatch.setattr(serve.Nursery, "opened", forked)
    with pytest.raises(ConfigError, match="enough"):
        serve.serve(Given(None, {}), lambda _: None, demo=False)
    assert done == ["no dumps", "read", "forked"]


@pytest.mark.parametrize(
    ("listen", "open_to_others"),
    [("127.0.0.1:8080", False), ("localhost:1", False), ("[::1]:1", False), (":8080", True), ("192.0.2.7:1", True)],
)
def test_who_opens_the_port_is_told_what_that_means(
    listen: str, open_to_others: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._announce(HttpConfig(listen=listen), only_demo=False, config=Config(auth=AuthConfig(mode="none")))
    said = capsys.readouterr().out
    assert said.startswith("Camshaft is ready: http://")
    assert ("auth is none" in said) == open_to_others
    serve._announce(HttpConfig(listen=listen), only_demo=False, config=Config())
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
    serve._announce(config, only_demo=False, config=Config())
    said = capsys.readouterr().out
    assert said.startswith(f"Camshaft is ready: {page}  (")
    assert f"camera add --api {page.rstrip('/')} NAME -" in said


SHUT = [
    ({}, {}, False),
    ({}, {"auth": {"mode": "required"}}, True),
    ({}, {"auth": {"tokens": {"root": {"sha256": "0" * 64, "role": "admin"}}}}, True),
    ({}, {"jwt": {"secret": "x" * 32}}, True),
    ({"listen": ":8080"}, {}, True),
    ({"hosts": ["cams.example"]}, {}, True),
    ({"listen": ":8080"}, {"auth": {"mode": "none"}}, False),
]


@pytest.mark.parametrize(("http", "more", "shut"), SHUT)
def test_who_needs_a_token_to_add_a_camera_is_told_so(
    http: dict[str, object], more: dict[str, object], *, shut: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config.model_validate({"http": http, **more})
    serve._announce(config.http, only_demo=False, config=config)
    said = capsys.readouterr().out
    assert ("CAMSHAFT_API_TOKEN=" in said) == ("token new NAME --role admin makes such a token" in said) == shut


def test_users_shut_the_door_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(open_people(Config())) as people:
        people.add("anna", "hash", AccessRole.ADMIN, (), now=1.0)
    serve._announce(HttpConfig(), only_demo=False, config=Config())
    assert "CAMSHAFT_API_TOKEN=" in capsys.readouterr().out
