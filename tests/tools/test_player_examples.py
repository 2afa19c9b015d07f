"""The package's examples, built by Angular's compiler and esbuild, each show the element in a real Chromium.

What that takes is installed by npm beside the virtual environment, once. Where it cannot be, there is nothing to try.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from rigs import npm
from rigs.chromium import Kept, missing
from tests.fakes.archives import unpack

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
    pytest.mark.timeout(240),
]

ROOT = Path(__file__).parents[2]
ANGULAR = [f"@angular/{name}@20.3.9" for name in ("core", "common", "compiler", "compiler-cli", "platform-browser")]
REACT, VUE = ["react@19.2.0", "react-dom@19.2.0", "@types/react@19.2.2"], ["vue@3.5.22"]
TOOLS = ["esbuild@0.25.12", "typescript@5.9.3", "rxjs@7.8.2", *ANGULAR, *REACT, *VUE]
APPS = {
    "react": (
        "react-main.tsx",
        'import { createRoot } from "react-dom/client"; import { Camera } from "./react";\n'
        'createRoot(document.getElementById("app")!).render(<Camera name="front-door" token="t-secret" />);',
    ),
    "vue": (
        "vue-main.ts",
        'import { createApp } from "vue"; import { Camera } from "./vue";\n'
        'createApp(Camera, { name: "front-door", token: "t-secret" }).mount("#app");',
    ),
    "angular": (
        "angular-main.ts",
        'import "@angular/compiler"; import { Component, provideZonelessChangeDetection } from "@angular/core";\n'
        'import { bootstrapApplication } from "@angular/platform-browser"; import { Camera } from "./angular";\n'
        'const template = `<app-camera name="front-door" token="t-secret" />`;\n'
        '@Component({ selector: "app-root", imports: [Camera], template }) class App {}\n'
        "bootstrapApplication(App, { providers: [provideZonelessChangeDetection()] });",
    ),
}
NGC = {
    "extends": "./tsconfig.json",
    "compilerOptions": {"noEmit": False, "paths": {}, "outDir": "built", "rootDir": "app"},
    "angularCompilerOptions": {"strictTemplates": True},
    "include": [],
    "files": [f"app/{APPS['angular'][0]}"],
}
ESBUILD = [
    *("--bundle", "--splitting", "--format=esm", "--target=es2022", "--jsx=automatic", "--outdir=out"),
    *("--entry-names=[name]", '--define:process.env.NODE_ENV="production"', "--log-level=error"),
    "--tsconfig-raw={}",  # the package's own leads to its types
]


def run(*command: str, at: Path, seconds: float = 200.0) -> None:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2_000:]}{done.stderr[-2_000:]}"


def pack(into: Path, work: Path) -> None:
    """The package as npm would install it, from a copy of its sources."""
    shutil.copytree(ROOT / "packages/player", work / "packages/player", ignore=shutil.ignore_patterns("dist", "*.tgz"))
    shutil.copytree(ROOT / "broker/web", work / "broker/web")
    shutil.copy(ROOT / "LICENSE", work)
    run(
        *("npm", "pack", "--silent", "--offline", "--pack-destination", str(work)),
        at=work / "packages/player",
    )
    [archive] = work.glob("*.tgz")
    with tarfile.open(archive) as tar:
        unpack(tar, work)
    shutil.copytree(work / "package", into)


@pytest.fixture
async def address(tmp_path: Path) -> AsyncIterator[str]:
    """The built pages, served."""
    try:
        modules = npm.installed("player-examples", TOOLS)
    except npm.MissingError as exc:
        pytest.skip(str(exc))
    (tmp_path / "node_modules").mkdir()
    for each in modules.iterdir():
        (tmp_path / "node_modules" / each.name).symlink_to(each)
    (tmp_path / "pack").mkdir()
    pack(tmp_path / "node_modules/camshaft-player", tmp_path / "pack")
    shutil.copytree(tmp_path / "node_modules/camshaft-player/examples", tmp_path / "app")
    shutil.copy(ROOT / "packages/player/tsconfig.json", tmp_path)
    (tmp_path / "tsconfig.ngc.json").write_text(json.dumps(NGC))
    for file, text in APPS.values():
        (tmp_path / "app" / file).write_text(text)
    run(str(modules / ".bin/ngc"), "--project", "tsconfig.ngc.json", at=tmp_path)
    entries = ["built/angular-main.js", *(f"app/{file}" for name, (file, _) in APPS.items() if name != "angular")]
    run(str(modules / ".bin/esbuild"), *entries, *ESBUILD, at=tmp_path)
    for name in APPS:
        script = f'<script type="module" src="{name}-main.js"></script>'
        page = f'<!doctype html><div id="app"></div><app-root></app-root>{script}'
        (tmp_path / "out" / f"{name}.html").write_text(page)
    app = web.Application()
    app.router.add_static("/", tmp_path / "out")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def test_each_shows_the_element_and_hears_of_its_state(address: str, kept_chromium: Kept) -> None:
    """There is no server at the address that they name, so the state is that of a player which looks for one."""
    look = """() => {
        const player = document.querySelector("camshaft-player");
        const { camera, token, server } = player;
        return { camera, token, server, shown: player.outerHTML, state: player.state };
    }"""
    errors: list[str] = []
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        for name in APPS:
            page = await browser.new_page(base_url=address)
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.route("https://cams.example/**", lambda route: route.abort())
            await page.goto(f"/{name}.html")
            caption = page.locator("figcaption, app-camera p")
            await playwright.expect(caption).to_have_text("retrying", timeout=60_000)
            seen = await page.evaluate(look)
            assert (seen["camera"], seen["token"], seen["server"]) == ("front-door", "t-secret", "https://cams.example")
            assert "t-secret" not in seen["shown"], f"{name} gives the token as a property, which stands nowhere"
            assert errors == [], name
            await page.close()
        await browser.close()
