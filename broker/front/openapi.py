"""The OpenAPI document. Schemas come from the models that answers are made of; a test holds the paths to the routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from broker.front.forms import FirstAdmin, MeView, NewPassword, NewUser, SignIn, UserChange, UserView, WaysView
from broker.front.gate import COOKIE, TOKEN
from broker.front.views import ArrivalView, CameraView, NodeView, SessionView, ViewerView
from broker.front.why import WhyView
from common import __version__
from common.config_cameras import CameraConfig
from common.config_types import CameraId

_REF = "#/components/schemas/"
_JSON, _PATCH, _SDP, _FRAGMENT = (
    "application/json",
    "application/merge-patch+json",
    "application/sdp",
    "application/trickle-ice-sdpfrag",
)


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: str


class NewCamera(CameraConfig):
    """A camera to add."""

    id: CameraId = Field(description="Its name: letters, digits, '.', '_' and '-'.")


class Health(BaseModel):
    """Whether a viewer would be served now."""

    status: str
    reasons: list[str] = []


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. A body or answer is a schema by media type. ``open``: nobody has to be known for it."""

    method: str
    path: str
    summary: str
    answer: tuple[int, dict[str, Any]]
    body: dict[str, Any] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    open: bool = False


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": _REF + name}


def _list_of(name: str) -> dict[str, Any]:
    return {_JSON: {"type": "array", "items": _ref(name)}}


_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer"},
    "query": {"type": "apiKey", "in": "query", "name": TOKEN},
    "login": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "By TLS its name begins with __Host-, or below a path of a proxy's with __Secure-.",
    },
}
_TEXT = {"type": "string"}
_NOTHING: dict[str, Any] = {}
_EVENTS: dict[str, Any] = {"text/event-stream": {}}  # one after the other: OpenAPI 3.1 has no words for that

OPERATIONS = (
    Operation("get", "/api/cameras", "All cameras", (200, _list_of("CameraView"))),
    Operation(
        "post",
        "/api/cameras",
        "Add a camera",
        (201, {_JSON: _ref("CameraView")}),
        {_JSON: _ref("NewCamera")},
        (400, 403, 408, 409, 413, 415, 422, 503),
    ),
    Operation("get", "/api/cameras/{id}", "One camera", (200, {_JSON: _ref("CameraView")}), problems=(404,)),
    Operation(
        "patch",
        "/api/cameras/{id}",
        "Change a camera; a hidden password is kept",
        (200, {_JSON: _ref("CameraView")}),
        {_PATCH: _ref("CameraChange"), _JSON: _ref("CameraChange")},
        (400, 403, 404, 408, 409, 413, 415, 422, 503),
    ),
    Operation("delete", "/api/cameras/{id}", "Remove a camera", (204, _NOTHING), problems=(403, 404, 409, 503)),
    Operation(
        "get",
        "/api/cameras/{id}/snapshot.jpg",
        "A camera's newest keyframe; ?height= (pixels) and ?stream= choose its size",
        (200, {"image/jpeg": {"type": "string", "format": "binary"}}),
        problems=(400, 404, 429, 503),
    ),
    Operation("get", "/api/viewers", "All viewers", (200, _list_of("ViewerView"))),
    Operation(
        "get", "/api/viewers/{session}", "The state of a session", (200, {_JSON: _ref("SessionView")}), problems=(404,)
    ),
    Operation(
        "delete",
        "/api/viewers/{session}",
        "Close a viewer's session, by its name in the list",
        (204, _NOTHING),
        problems=(404,),
    ),
    Operation(
        "get",
        "/api/why",
        "Sessions without a picture, including those of the last minutes: what is broken, and what to do",
        (200, _list_of("WhyView")),
    ),
    Operation(
        "get",
        "/api/why/{session}",
        "Why a session has, or had, no picture",
        (200, {_JSON: _ref("WhyView")}),
        problems=(404,),
    ),
    Operation("get", "/api/nodes", "All processes of the cluster", (200, _list_of("NodeView"))),
    Operation(
        "post",
        "/api/nodes/{node}/drain",
        "Drain a worker: its work moves to others, it takes nothing new, and then it ends",
        (202, _NOTHING),
        problems=(403, 404, 409),
    ),
    Operation(
        "post",
        "/api/nodes/rebalance",
        "Have players move to egresses that have clearly fewer viewers, a few at a time",
        (202, _NOTHING),
        problems=(403,),
    ),
    Operation(
        "get",
        "/api/events",
        "Cameras as server-sent events: cameras, then camera and removed",
        (200, _EVENTS),
        problems=(503,),
    ),
    Operation(
        "get", "/api/arrival", "What a proxy in between passes on", (200, {_JSON: _ref("ArrivalView")}), open=True
    ),
    Operation("get", "/api/login", "The ways to sign in", (200, {_JSON: _ref("WaysView")}), open=True),
    Operation(
        "post",
        "/api/login",
        "Sign in in this browser: sets a cookie",
        (204, _NOTHING),
        {_JSON: _ref("SignIn")},
        (400, 403, 408, 409, 413, 415, 422, 429),
        open=True,
    ),
    Operation("delete", "/api/login", "Sign out in this browser", (204, _NOTHING), problems=(403,), open=True),
    Operation(
        "post",
        "/api/first-admin",
        "Make the first admin, with the code of the link that the first start prints",
        (204, _NOTHING),
        {_JSON: _ref("FirstAdmin")},
        (400, 403, 408, 409, 413, 415, 422, 429),
        open=True,
    ),
    Operation("get", "/api/me", "Who asks, and what they may do", (200, {_JSON: _ref("MeView")})),
    Operation(
        "put",
        "/api/me/password",
        "Change your own password; every other browser is signed out",
        (204, _NOTHING),
        {_JSON: _ref("NewPassword")},
        (400, 403, 408, 409, 413, 415, 422, 429),
    ),
    Operation("get", "/api/users", "All users", (200, _list_of("UserView")), problems=(409,)),
    Operation(
        "post",
        "/api/users",
        "Add a user",
        (201, {_JSON: _ref("UserView")}),
        {_JSON: _ref("NewUser")},
        (400, 403, 408, 409, 413, 415, 422),
    ),
    Operation(
        "patch",
        "/api/users/{user}",
        "Change a user's rights or password",
        (200, {_JSON: _ref("UserView")}),
        {_PATCH: _ref("UserChange"), _JSON: _ref("UserChange")},
        (400, 403, 404, 408, 409, 413, 415, 422),
    ),
    Operation("delete", "/api/users/{user}", "Remove a user", (204, _NOTHING), problems=(403, 404, 409)),
    Operation("get", "/api/openapi.json", "This document", (200, {_JSON: {"type": "object"}})),
    Operation(
        "post",
        "/whep/{camera}",
        "WHEP: watch a camera",
        (201, {_SDP: _TEXT}),
        {_SDP: _TEXT},
        (400, 404, 406, 408, 413, 415, 429, 503),
    ),
    Operation(
        "patch",
        "/whep/{camera}/{session}",
        "WHEP: trickle candidates (204), or restart ICE (200)",
        (200, {_FRAGMENT: _TEXT}),
        {_FRAGMENT: _TEXT},
        (400, 404, 408, 412, 413, 415, 428, 429, 503),
        open=True,
    ),
    Operation("delete", "/whep/{camera}/{session}", "WHEP: stop watching", (200, _NOTHING), problems=(404,), open=True),
    Operation(
        "post",
        "/whep/{camera}/{session}/events",
        "WHEP: subscribe to the session's events",
        (201, _NOTHING),
        {_JSON: {"type": "array", "items": _TEXT}},
        (400, 404, 408, 413, 415),
        open=True,
    ),
    Operation(
        "get",
        "/whep/{camera}/{session}/events",
        "WHEP: the session's events, server-sent: reconnect",
        (200, _EVENTS),
        problems=(404, 503),
        open=True,
    ),
    Operation(
        "delete",
        "/whep/{camera}/{session}/events",
        "WHEP: end the session's events",
        (200, _NOTHING),
        problems=(404,),
        open=True,
    ),
    Operation("get", "/healthz", "Whether the broker is alive", (200, {_JSON: _ref("Health")}), open=True),
    Operation(
        "get",
        "/readyz",
        "Whether a viewer would be served now",
        (200, {_JSON: _ref("Health")}),
        problems=(503,),
        open=True,
    ),
    Operation("get", "/metrics", "Figures for Prometheus, in its text format", (200, {"text/plain": _TEXT})),
)


@cache
def document() -> dict[str, Any]:
    """The whole document, OpenAPI 3.1."""
    models = (
        CameraView,
        ViewerView,
        SessionView,
        WhyView,
        NodeView,
        ArrivalView,
        UserView,
        MeView,
        WaysView,
        Problem,
        Health,
    )
    forms = (CameraConfig, NewCamera, SignIn, FirstAdmin, NewPassword, NewUser, UserChange)
    _, schemas = models_json_schema(
        [*((model, "serialization") for model in models), *((form, "validation") for form in forms)],
        ref_template=_REF + "{model}",
    )
    schemas["$defs"]["CameraChange"] = _change_of(schemas["$defs"]["CameraConfig"])
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Camshaft", "version": __version__, "summary": "RTSP cameras in, WebRTC viewers out"},
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": _SCHEMES},
        "security": [{"token": []}, {"query": []}, {"login": []}, {}],  # the last: where nobody has to sign in
    }


def _change_of(schema: dict[str, Any]) -> dict[str, Any]:
    """A merge patch (RFC 7396) for what a schema describes: any of its keys, and null for a key's default."""
    optional = {
        name: {"anyOf": [{k: v for k, v in each.items() if k != "default"}, {"type": "null"}]}
        for name, each in schema["properties"].items()
        if name not in schema.get("required", ())
    }
    required = {name: schema["properties"][name] for name in schema.get("required", ())}
    return {
        "type": "object",
        "title": "CameraChange",
        "description": "What to change; null restores a default.",
        "additionalProperties": False,
        "properties": required | optional,
    }


def _describe(operation: Operation) -> dict[str, Any]:
    status, answer = operation.answer
    responses: dict[str, Any] = {str(status): {"description": operation.summary} | _content(answer)}
    for code in sorted({*operation.problems, *(() if operation.open else (401, 403))}):
        # A broker that is not ready says why in the form of its health check.
        form = {_JSON: _ref("Health")} if operation.path == "/readyz" else {"application/problem+json": _ref("Problem")}
        responses[str(code)] = {"description": "Refused, with the reason"} | _content(form)
    described: dict[str, Any] = {"summary": operation.summary, "responses": responses}
    names = [part[1:-1] for part in operation.path.split("/") if part.startswith("{")]
    if names:
        described["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
    if operation.body:
        described["requestBody"] = {"required": True} | _content(operation.body)
    return described


def _content(schemas: dict[str, Any]) -> dict[str, Any]:
    if not schemas:
        return {}
    return {"content": {media_type: {"schema": schema} for media_type, schema in schemas.items()}}
