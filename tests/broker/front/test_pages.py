import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.front.pages import load_assets
from tests.fakes.broker import RunningBroker, broker_in


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras={"door": {"url": "rtsp://host/"}}) as broker:
        yield broker


@pytest.mark.parametrize(("path", "ancestors"), [("/", "'none'"), ("/watch/door", "*")])
async def test_a_page_comes_with_a_strict_policy(broker: RunningBroker, path: str, ancestors: str) -> None:
    async with broker.http.get(path) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert policy.endswith(f"frame-ancestors {ancestors}")
        assert response.headers["Permissions-Policy"] == "camera=(), microphone=()"


@pytest.mark.parametrize("path", ["/?token=t", "/watch/door?token=t", "/static/player.js", "/api/cameras", "/nothing"])
async def test_no_other_site_is_told_where_a_page_was_which_may_have_a_token_in_it(
    broker: RunningBroker, path: str
) -> None:
    async with broker.http.get(path) as response:
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in response.headers


async def test_an_unknown_camera_has_a_page_that_says_so(broker: RunningBroker) -> None:
    async with broker.http.get("/watch/porch") as response:
        assert response.status == 404
        assert response.content_type == "text/html"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("player.js", "text/javascript; charset=utf-8"), ("style.css", "text/css; charset=utf-8")],
)
async def test_what_pages_load(broker: RunningBroker, name: str, content_type: str) -> None:
    async with broker.http.get(f"/static/{name}") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == content_type
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        tag = response.headers["ETag"]
    async with broker.http.get(f"/static/{name}", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
        assert await response.read() == b""


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2Fserver.py", "%2e%2e/server.py", "__init__.py"])
async def test_nothing_else_is_served(broker: RunningBroker, name: str) -> None:
    async with broker.http.get(f"/static/{name}") as response:
        assert response.status == 404


NAVIGATION = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("path", "headers", "status", "sentence"),
    [
        ("/nowhere", {}, 404, "There is nothing at this address."),
        ("/", {"X-Forwarded-For": "192.0.2.7"}, 403, "This server is open to everyone on its machine"),
        ("/watch/door", {"Host": "cams.example"}, 421, "add the name to http.hosts"),
    ],
)
async def test_a_browser_that_gets_no_page_shows_a_sentence_and_no_json(
    broker: RunningBroker, path: str, headers: dict[str, str], status: int, sentence: str
) -> None:
    async with broker.http.get(path, headers=headers | {"Accept": NAVIGATION}) as answer:
        assert (answer.status, answer.content_type) == (status, "text/plain")
        text = await answer.text()
        assert sentence in text
        assert "{" not in text
    async with broker.http.get(path, headers=headers | {"Accept": "*/*"}) as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")


def test_pages_obey_the_policy_and_load_only_what_is_there() -> None:
    assets = load_assets()
    pages = {"./", "account", "openapi.json"}
    for name in ("index.html", "watch.html", "sign-in.html", "account.html", "docs.html"):
        text = assets[name].body.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|javascript:", text), name
        for target in re.findall(r'(?:src|href)="([^"]+)"', text):
            if target.startswith("#"):
                assert f'id="{target[1:]}"' in text, target
                continue
            path = target.removeprefix("../" if name in ("watch.html", "docs.html") else "")
            assert path in pages or path.removeprefix("static/") in assets, target
    for name, asset in assets.items():
        assert b"http://" not in asset.body.replace(b"http://www.w3.org/", b""), name
        assert b"https://" not in asset.body, name


def test_all_that_a_page_imports_is_loaded_at_once() -> None:
    assets = load_assets()
    for name in ("index", "watch"):
        wanted, seen = [f"{name}.js"], set()
        while wanted:
            module = wanted.pop()
            seen.add(module)
            imports = re.findall(r'^import (?:[^"]* from )?"\./([^"]+)"', assets[module].body.decode(), re.MULTILINE)
            wanted += [other for other in imports if other not in seen]
        preloaded = re.findall(r'rel="modulepreload" href="[./]*static/([^"]+)"', assets[f"{name}.html"].body.decode())
        assert set(preloaded) | {f"{name}.js"} == seen


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` or ``#rgb`` (WCAG 2.1)."""
    digits = colour.lstrip("#")
    pairs = [digits[at : at + 2] for at in (0, 2, 4)] if len(digits) == 6 else [digit * 2 for digit in digits]
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (int(pair, 16) / 255 for pair in pairs)
    ]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """How much two colours differ, from 1 to 21 (WCAG 2.1)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_can_be_read_in_either_theme(theme: str) -> None:
    style = load_assets()["style.css"].body.decode()
    dark, light = re.findall(r":root \{([^}]*)\}", style)
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", light if theme == "light" else dark))
    for text in ("text", "faint", "accent", "busy", "bad"):
        for ground in ("ground", "raised"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


def test_what_says_that_a_browser_is_too_old_is_understood_by_old_browsers() -> None:
    text = load_assets()["fallback.js"].body.decode()
    assert not re.search(
        r"=>|\b(?:let|const|import|export|async|class)\b(?!.*\*)|\?\.|\?\?|`", re.sub("//.*", "", text)
    )
