"""What ``serve`` says when it is ready."""

from __future__ import annotations

import pytest

from camshaft import serve
from common.config import AuthConfig


@pytest.mark.parametrize(
    ("listen", "open_to_others"),
    [("127.0.0.1:8080", False), ("localhost:1", False), ("[::1]:1", False), (":8080", True), ("192.0.2.7:1", True)],
)
def test_who_opens_the_port_is_told_what_that_means(
    listen: str, open_to_others: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    serve._announce(listen, only_demo=False, auth=AuthConfig(mode="none"))
    said = capsys.readouterr().out
    assert said.startswith("Camshaft is ready: http://")
    assert ("auth is none" in said) == open_to_others
    serve._announce(listen, only_demo=False, auth=AuthConfig())
    assert "auth is none" not in capsys.readouterr().out
