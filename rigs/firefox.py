"""A real Firefox as a viewer, driven by WebDriver BiDi over its WebSocket: no driver, no package of Python's.

Its profile is a directory of the test's own. Playwright cannot drive Debian's Firefox, only one that it has patched.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from rigs.process import end

START_TIMEOUT = 60.0  # seconds until it listens: the first start of a profile takes long on a busy machine
PREFERENCES: dict[str, bool | int | str] = {
    "media.autoplay.default": 0,  # may play by itself
    "media.peerconnection.ice.loopback": True,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.normandy.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
}
_LISTENS = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


def _executable() -> str | None:
    return shutil.which("firefox-esr") or shutil.which("firefox")


@cache
def missing() -> str:
    """Why no Firefox can be driven here; empty if it can."""
    return "" if _executable() else "Firefox is missing: apt install firefox-esr"


class FirefoxError(Exception):
    """Firefox did not do what it was told; says what it answered."""


class Page:
    """One tab."""

    def __init__(self, connection: Connection, context: str) -> None:
        self._connection = connection
        self._context = context

    async def goto(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        await self._connection.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, or of what it promises. Raises ``FirefoxError`` if it throws."""
        wrapped = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        target = {"context": self._context}
        done = await self._connection.command(
            "script.evaluate", expression=wrapped, target=target, awaitPromise=True, userActivation=True
        )
        if done["type"] != "success":
            raise FirefoxError(done["exceptionDetails"]["text"])
        return json.loads(done["result"]["value"])

    async def until(self, expression: str, seconds: float = 60.0) -> Any:
        """The first value that is true."""
        async with asyncio.timeout(seconds):
            while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - it has to be asked
                await asyncio.sleep(0.1)
        return value


class Connection:
    """Commands and their answers; events are nobody's."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command. Raises ``FirefoxError``."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == number:
                if answer["type"] == "error":
                    raise FirefoxError(f"{method}: {answer['error']}: {answer['message']}")
                result: dict[str, Any] = answer["result"]
                return result
        raise FirefoxError(f"{method}: Firefox has gone")

    async def page(self) -> Page:
        """A new tab."""
        created = await self.command("browsingContext.create", type="tab")
        return Page(self, created["context"])


@asynccontextmanager
async def firefox(directory: Path) -> AsyncIterator[Connection]:
    """Run a headless Firefox with a profile in ``directory``. Raises ``FirefoxError`` if it does not start."""
    executable = _executable()
    assert executable is not None, "missing() says so"
    profile, log = directory / "firefox", directory / "firefox.log"
    profile.mkdir()
    lines = (f'user_pref("{name}", {json.dumps(value)});\n' for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("".join(lines))
    command = [executable, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", str(profile)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=directory)
    try:
        url = await _address(process, log)
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/session", max_msg_size=0) as socket:
            connection = Connection(socket)
            await connection.command("session.new", capabilities={})
            yield connection
    finally:
        await end(process)


async def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while process.poll() is None:
                if found := _LISTENS.search(log.read_bytes()):
                    return found[1].decode()
                await asyncio.sleep(0.1)
    except TimeoutError:
        pass
    raise FirefoxError(f"Firefox did not start: {log.read_text(errors='replace')[-2_000:]}")
