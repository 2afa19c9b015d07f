"""The REST API as the command line uses it: cameras of a running broker."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

from camshaft.argv import API_TOKEN
from common.cameras import redact
from common.errors import CamshaftError, ConfigError

TIMEOUT = 10.0  # seconds
_MAX_ANSWER = 64 << 20  # bytes: ten thousand cameras in full


class ApiError(CamshaftError):
    """The broker did not do what was asked; the message says why."""


class Api:
    """A broker's ``/api``, asked with the token of the environment if it has one. Every method raises ``ApiError``."""

    def __init__(self, address: str) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ConfigError(f"{redact(address)} is no address of the form http://HOST:PORT", where="--api")
        self._address = address.rstrip("/")
        token = os.environ.get(API_TOKEN, "").strip()
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        # No proxies: the usual address is on this machine.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras."""
        cameras: list[dict[str, Any]] = self._ask("GET", "/api/cameras")
        return cameras

    def add(self, name: str, camera: dict[str, Any]) -> dict[str, Any]:
        """Add a camera."""
        added: dict[str, Any] = self._ask("POST", "/api/cameras", {"id": name, **camera})
        return added

    def remove(self, name: str) -> None:
        """Remove a camera."""
        self._ask("DELETE", f"/api/cameras/{quote(name, safe='')}")

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme has been looked at
            self._address + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Accept": "application/json"} | self._authorization,
            method=method,
        )
        try:
            with self._open(request, timeout=TIMEOUT) as response:
                answer = response.read(_MAX_ANSWER)
        except urllib.error.HTTPError as exc:
            with exc:
                raise ApiError(_reason(exc)) from None
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "reason", exc)
            detail = getattr(reason, "strerror", None) or str(reason) or type(exc).__name__
            raise ApiError(
                f"no answer from {redact(self._address)} ({detail}); is camshaft running there? "
                "--api names another address"
            ) from None
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            raise ApiError(f"what answers at {redact(self._address)} is not camshaft") from None


def _reason(error: urllib.error.HTTPError) -> str:
    """The sentence of a problem report (RFC 9457), else the status."""
    try:
        problem = json.loads(error.read(64 << 10))
        hint = f" Here that is the variable {API_TOKEN}." if error.code == 401 else ""
        return f"{problem['detail']}{hint}"
    except (ValueError, KeyError, TypeError):
        return f"the broker answered {error.code} {error.reason}"
