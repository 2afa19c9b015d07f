"""The REST API as the command line uses it: cameras of a running broker."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlsplit

from camshaft.argv import API_TOKEN
from common.cameras import redact
from common.errors import CamshaftError, ConfigError, unreadable

TIMEOUT = 10.0  # seconds
_MAX_ANSWER = 64 << 20  # bytes: ten thousand cameras in full


class ApiError(CamshaftError):
    """The broker did not do what was asked; the message says why."""


class Api:
    """A broker's ``/api``, asked with the token of the environment if it has one. Every method raises ``ApiError``.

    ``ca_file`` holds certificates of authorities, in PEM form, that are trusted in place of the system's. An
    address that is none raises ``ConfigError``.
    """

    def __init__(self, address: str, ca_file: str | None = None) -> None:
        if urlsplit(address).scheme not in ("http", "https"):
            problem = f"{redact(address)} is not an address like http://HOST:PORT or https://HOST:PORT"
            raise ConfigError(problem, where="--api")
        self._address = address.rstrip("/")
        token = os.environ.get(API_TOKEN, "").strip()
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        # No proxies: the usual address is on this machine.
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({}), _NoRedirect()]
        if urlsplit(address).scheme == "https":
            handlers.append(urllib.request.HTTPSHandler(context=_trusting(ca_file)))
        self._open = urllib.request.build_opener(*handlers).open

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras."""
        cameras: list[dict[str, Any]] = self._ask("GET", "/api/cameras")
        return cameras

    def add(self, name: str, camera: dict[str, Any]) -> dict[str, Any]:
        """Add a camera."""
        added: dict[str, Any] = self._ask("POST", "/api/cameras", {"id": name, **camera})
        return added

    def camera(self, name: str) -> dict[str, Any]:
        """One camera."""
        camera: dict[str, Any] = self._ask("GET", f"/api/cameras/{quote(name, safe='')}")
        return camera

    def change(self, name: str, change: dict[str, Any]) -> None:
        """Change a camera, by a merge patch (RFC 7396)."""
        self._ask("PATCH", f"/api/cameras/{quote(name, safe='')}", change)

    def viewers(self) -> list[dict[str, Any]]:
        """All viewers."""
        viewers: list[dict[str, Any]] = self._ask("GET", "/api/viewers")
        return viewers

    def nodes(self) -> list[dict[str, Any]]:
        """All processes, the broker first."""
        nodes: list[dict[str, Any]] = self._ask("GET", "/api/nodes")
        return nodes

    def drain(self, node: str) -> None:
        """Have a worker end in good order."""
        self._ask("POST", f"/api/nodes/{quote(node, safe='')}/drain")

    def even_out(self) -> None:
        """Have players come again where fewer viewers are."""
        self._ask("POST", "/api/nodes/rebalance")

    def why(self, session: str) -> dict[str, Any]:
        """Why a session has no picture."""
        found: dict[str, Any] = self._ask("GET", f"/api/why/{quote(session, safe='')}")
        return found

    def without_picture(self) -> list[dict[str, Any]]:
        """Why there is no picture, of all sessions that have none, and of the last that had none."""
        found: list[dict[str, Any]] = self._ask("GET", "/api/why")
        return found

    def close(self, session: str) -> None:
        """Close a viewer's session, by its name in the list."""
        self._ask("DELETE", f"/api/viewers/{quote(session, safe='')}")

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
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise ApiError(
                    f"the certificate of {redact(self._address)} is not accepted ({reason.verify_message}); --api has "
                    "to name the host as the certificate does, and --ca-file an authority that the system does not know"
                ) from None
            detail = getattr(reason, "strerror", None) or str(reason) or type(exc).__name__
            raise ApiError(
                f"no answer from {redact(self._address)} ({detail}); is camshaft running there? "
                "--api names another address"
            ) from None
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            raise ApiError(f"{redact(self._address)} is not Camshaft; something else answers there") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: what is sent may hold a camera's password, and goes to the address that was named alone."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def _trusting(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConfigError(f"{ca_file} holds no certificate in PEM form", where="--ca-file") from None
    except OSError as exc:
        raise ConfigError(f"{ca_file} {unreadable(exc)}", where="--ca-file") from None


def _reason(error: urllib.error.HTTPError) -> str:
    """The sentence of a problem report (RFC 9457), else the status."""
    named = urlsplit(error.headers.get("Location") or "")
    if 300 <= error.code < 400 and named.netloc:
        return f"the broker is at another address; use --api {redact(f'{named.scheme}://{named.netloc}')}"
    try:
        problem = json.loads(error.read(64 << 10))
        hint = f" Here you set the variable {API_TOKEN}." if error.code == 401 else ""
        return f"{_in_our_words(problem['detail'])}{hint}"
    except (ValueError, KeyError, TypeError):
        return f"the broker answered {error.code} {error.reason}"


def _in_our_words(sentence: str) -> str:
    """The sentence with what has other names on the command line by these."""
    key, colon, rest = sentence.partition(": ")
    if colon and key in _OF_FIELDS:
        sentence = f"{_OF_FIELDS[key]}: {rest}"
    for address, command in _OF_ADDRESSES.items():
        sentence = sentence.replace(address, f"`camshaft {command}`")
    return sentence


_OF_FIELDS = {"id": "NAME", "url": "URL", "streams.sub.url": "--sub", "name": "--shown-as"} | {
    key: f"--{key.replace('_', '-').replace('.', '-')}"
    for key in ("group", "order", "transport", "on_demand", "keep_after", "one_session", "tls.fingerprint")
}
_OF_ADDRESSES = {"GET /api/nodes": "nodes", "GET /api/viewers": "viewers", "GET /api/why": "why"}
