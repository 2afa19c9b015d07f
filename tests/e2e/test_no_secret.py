"""Nothing that the product says or keeps in a whole run holds a secret: its log, its answers, its metrics, its process
list, the core setting, its databases. The run has workers with tokens, an egress that hands its sessions over, and
another key for the store at its end.

The store has to have cameras' passwords, for cameras are told them; there they are sealed.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import psutil
import pytest

from broker.access.tokens import digest_of
from broker.front.gate import COOKIE
from broker.front.routes import ROUTES
from rigs.browser import Browser, audio_section, video_section
from rigs.bystander import watching
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.process import ROOT
from rigs.waiting import until
from tests.fakes.private_bus import free_tcp_endpoints

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

CAMERA, PERSON, TOKEN, SIGNING = "Camera-Pass-1", "Person-Pass-2", "Token-Secret-3", "Signing-Secret-4-of-32-characters"
TURN, GUESS, SHARED, CLIENT = "Turn-Pass-5", "Guess-6", "Shared-With-Turn-7", "Client-Secret-8"
SIGNED = jwt.encode({"sub": "carl", "exp": 4_000_000_000, "cameras": ["yard"]}, SIGNING)
WAYS: list[dict[str, str]] = [{}, *({"token": token} for token in (TOKEN, SIGNED, GUESS, SIGNED[:-2]))]
OFFER = {"Content-Type": "application/sdp"}
PATIENCE = 60.0  # seconds
CONFIG = {
    "auth": {"tokens": {"root": {"sha256": digest_of(TOKEN), "role": "admin"}}},
    "jwt": {"secret": SIGNING},
    "oidc": {"issuer": "http://127.0.0.1:1", "client_id": "camshaft", "client_secret": CLIENT},
    "http": {"ice_servers": [f"turn:user:{TURN}@192.0.2.1", "turn:192.0.2.2"], "turn_secret": SHARED},
    "log": {"level": "debug"},
}
KNOWN_TO_THEIR_OWNER = {"Link", "Location", "Set-Cookie"}  # a TURN server's password, a session's name, a login


@dataclass
class Run:
    """Answers of a cluster, and the secrets that it makes meanwhile."""

    http: aiohttp.ClientSession
    answers: list[str] = field(default_factory=list)
    secrets: set[str] = field(
        default_factory=lambda: {CAMERA, PERSON, TOKEN, SIGNING, SIGNED, TURN, GUESS, SHARED, CLIENT}
    )

    async def ask(self, method: str, path: str, **options: Any) -> Mapping[str, Any]:
        """Ask, and keep the answer but for what its owner has to be told; cookies and headers are returned."""
        async with self.http.request(method, path, allow_redirects=False, **options) as answer:
            headers = {name: value for name, value in answer.headers.items() if name not in KNOWN_TO_THEIR_OWNER}
            if answer.status in (301, 302, 303, 307, 308):
                headers["Location"] = answer.headers["Location"]
            text = "" if answer.content_type == "text/event-stream" else await answer.text(errors="replace")
            self.answers.append(f"{text if answer.status != 201 or 'whep' not in path else ''} {headers}")
            self.secrets |= {cookie.value for name, cookie in answer.cookies.items() if cookie.value}
            return {**answer.headers, "text": text}

    async def of_people(self) -> None:
        """Make a user, sign in, rightly and wrongly."""
        user = {"user": "anna", "password": PERSON, "role": "admin"}
        await self.ask("POST", "/api/users", json=user, params={"token": TOKEN})
        await self.ask("POST", "/api/login", json={"user": "anna", "password": GUESS})
        await self.ask("POST", "/api/login", json={"user": "anna", "password": PERSON})
        assert any(len(secret) == 43 for secret in self.secrets), f"the cookie {COOKIE}"
        await self.ask("GET", "/sign-in/start")
        await self.ask("GET", f"/sign-in/callback?code={GUESS}&state={GUESS}")

    async def of_cameras(self) -> None:
        """Add cameras, rightly and wrongly."""
        new = {"id": "new", "url": f"rtsp://admin:{CAMERA}@127.0.0.1:1/"}
        for body in (new, new, {**new, "id": "a b"}, {**new, "x": 1}, {"id": "b", "url": f"x:{CAMERA}@y"}):
            await self.ask("POST", "/api/cameras", json=body, params={"token": TOKEN})

    async def of_sessions(self) -> None:
        """Have offers answered, and ask for the sessions in all ways."""
        sdp = Browser().offer(video_section(), audio_section())
        for token in (TOKEN, SIGNED):
            answer = await self.ask("POST", "/whep/yard", data=sdp, headers=OFFER, params={"token": token})
            name = answer["Location"].partition("?")[0].rpartition("/")[2]
            password = re.search(r"a=ice-pwd:(\S+)", answer["text"])
            assert name
            assert password is not None
            self.secrets |= {name, password[1]}
            await self.ask("PATCH", f"/whep/yard/{name}", data="x", headers=OFFER)
            async with self.http.ws_connect("/ws", params={"token": token}) as socket:
                await socket.send_json({"type": "subscribe"})
                self.answers.append(str(await socket.receive(timeout=PATIENCE)))

    async def of_all_routes(self) -> None:
        """Ask for everything there is, in every way to show a token."""
        for params in WAYS:
            await self.ask("POST", "/whep/yard", data="v=0", headers=OFFER, params=params)
            for route in ROUTES:
                if route.method == "GET" and route.path not in ("/ws", "/sign-in/callback"):
                    path = route.path.format(camera="yard", id="yard", session="x", name="index.js", user="anna")
                    await self.ask("GET", path, params=params)
        for sentence in ("metrics", "api/viewers", "api/why", "api/nodes", "api/cameras/new"):
            await self.ask("GET", f"/{sentence}", params={"token": TOKEN})


def command(directory: Path, *words: str) -> str:
    """All that a command of ours says."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "camshaft", *words],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout + done.stderr


def titles_of(running: Cluster) -> list[str]:
    """The command lines of all processes, of which none leaves its memory on a disk."""
    processes = [psutil.Process(pid) for pids in running.pids().values() for pid in pids]
    assert {process.rlimit(psutil.RLIMIT_CORE)[0] for process in processes} == {0}
    return [" ".join(process.cmdline()) for process in processes]


async def hand_over(running: Cluster) -> None:
    """End the egress, whose sessions its successor takes."""
    running.kill("egress", number=signal.SIGTERM)
    await until(lambda: "sessions taken over" in running.log, PATIENCE)


async def test_no_secret_is_said(
    tmp_path: Path, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    worker = await asyncio.to_thread(command, tmp_path, "token", "worker", "--role", "egress")
    camera = gst_camera(SMALL, user="admin", password=CAMERA)
    bus = {"broker": {"address": free_tcp_endpoints().address}}
    running: Cluster = await cluster({"yard": camera.url}, config=CONFIG | bus)
    async with AsyncExitStack() as stack:
        run = Run(await stack.enter_async_context(aiohttp.ClientSession(running.url)))
        await stack.enter_async_context(watching(f"{running.whep('yard')}?token={SIGNED}"))
        run.secrets.add(worker.split()[0])
        for part in (run.of_people, run.of_cameras, run.of_sessions, run.of_all_routes):
            await part()
        titles = titles_of(running)
        await hand_over(running)
        titles += titles_of(running)
        await run.of_all_routes()
    await running.stop()
    key = tmp_path / "camshaft.db.secret"
    run.secrets.add(key.read_bytes().strip().decode(errors="replace"))
    told = [command(tmp_path, *words.split()) for words in ("store rekey", "config show", "config check")]
    run.secrets.add(key.read_bytes().strip().decode(errors="replace"))
    said = {
        "log": running.log,
        "answers": "\n".join(run.answers),
        "processes": "\n".join(titles),
        "told": "".join(told),
    }
    found = {(where, secret) for where, text in said.items() for secret in run.secrets if secret in text}
    assert not found
    assert len(run.answers) > 100
    assert running.log.count("\n") > 50
    check_files(tmp_path, run.secrets)


def check_files(directory: Path, secrets: set[str]) -> None:
    """See that no database has a secret in clear, but for the file of the key itself."""
    files = list(directory.glob("camshaft.db*"))
    wanted = {f"camshaft.db{part}" for part in ("", ".people", ".secret", ".keys")}
    assert {file.name for file in files} >= wanted
    for file in files:
        content = file.read_bytes()
        held = [secret for secret in secrets if secret.encode() in content]
        assert not held or file.name == "camshaft.db.secret", (file, held)
        assert file.stat().st_mode & 0o077 == 0, file
