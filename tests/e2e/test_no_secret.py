"""Nothing that the product says or keeps in a whole run holds a secret: its log, its answers, its metrics, its process
list, the core setting, its databases.

The store has to have cameras' passwords, for cameras are told them; there they are sealed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import psutil
import pytest

from broker.access.tokens import digest_of
from broker.front.routes import ROUTES
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

CAMERA, PERSON, TOKEN, SIGNING = "Camera-Pass-1", "Person-Pass-2", "Token-Secret-3", "Signing-Secret-4-of-32-characters"
TURN, GUESS, SHARED = "Turn-Pass-5", "Guess-6", "Shared-With-Turn-7"
OFFER = {"Content-Type": "application/sdp"}


async def test_no_secret_is_said(
    tmp_path: Path, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera(SMALL, user="admin", password=CAMERA)
    config = {
        "auth": {"tokens": {"root": {"sha256": digest_of(TOKEN), "role": "admin"}}},
        "jwt": {"secret": SIGNING},
        "http": {"ice_servers": [f"turn:user:{TURN}@192.0.2.1", "turn:192.0.2.2"], "turn_secret": SHARED},
        "log": {"level": "debug"},
    }
    running = await cluster({"yard": camera.url}, config=config)
    signed = jwt.encode({"sub": "carl", "exp": 4_000_000_000, "cameras": ["yard"]}, SIGNING)
    ways = [{}, {"token": TOKEN}, {"token": signed}, {"token": GUESS}, {"token": signed[:-2]}]
    answers: list[str] = []
    async with aiohttp.ClientSession(running.url) as http:

        async def ask(method: str, path: str, **options: Any) -> None:
            async with http.request(method, path, allow_redirects=False, **options) as answer:
                if answer.content_type != "text/event-stream":
                    # A Link has the password of a TURN server: for whoever may watch.
                    headers = {name: value for name, value in answer.headers.items() if name != "Link"}
                    answers.append(f"{await answer.text(errors='replace')} {headers}")

        user = {"user": "anna", "password": PERSON, "role": "admin"}
        await ask("POST", "/api/users", json=user, params={"token": TOKEN})
        await ask("POST", "/api/login", json={"user": "anna", "password": PERSON})
        await ask("POST", "/api/login", json={"user": "anna", "password": GUESS})
        new = {"id": "new", "url": f"rtsp://admin:{CAMERA}@127.0.0.1:1/"}
        for body in (new, new, {**new, "id": "a b"}, {**new, "x": 1}, {"id": "b", "url": f"x:{CAMERA}@y"}):
            await ask("POST", "/api/cameras", json=body, params={"token": TOKEN})
        for params in ways:
            await ask("POST", "/whep/yard", data="v=0", headers=OFFER, params=params)
            for route in ROUTES:
                if route.method == "GET" and route.path != "/ws":
                    path = route.path.format(camera="yard", id="yard", session="x", name="index.js", user="anna")
                    await ask("GET", path, params=params)
        for sentence in ("metrics", "api/viewers", "api/nodes", "api/cameras/new"):
            await ask("GET", f"/{sentence}", params={"token": TOKEN})
    processes = [psutil.Process(pid) for pids in running.pids().values() for pid in pids]
    titles = [" ".join(process.cmdline()) for process in processes]
    assert {process.rlimit(psutil.RLIMIT_CORE)[0] for process in processes} == {0}, "a crash would leave their memory"
    said = {"log": running.log, "answers": "\n".join(answers), "processes": "\n".join(titles)}
    secrets = {CAMERA, PERSON, TOKEN, SIGNING, TURN, GUESS, SHARED, signed}
    found = {(where, secret) for where, text in said.items() for secret in secrets if secret in text}
    assert not found
    assert len(answers) > 100
    assert running.log.count("\n") > 50
    files = list(tmp_path.glob("camshaft.db*"))
    assert {file.name for file in files} >= {
        "camshaft.db",
        "camshaft.db-wal",
        "camshaft.db.people",
        "camshaft.db.secret",
    }
    for file in files:
        content = file.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], file
        assert file.stat().st_mode & 0o077 == 0, file
