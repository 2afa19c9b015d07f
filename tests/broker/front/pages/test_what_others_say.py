"""Text that cameras, operators and providers of sign-in have chosen is shown as text, whatever it looks like."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

from broker.access.tokens import digest_of
from common.cameras import CameraState
from rigs.chromium import missing
from tests.fakes.broker import broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

playwright = pytest.importorskip("playwright.async_api")
pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason="needs Chromium"),
]

EVIL = "<img src=x onerror=owned=1><b>{}</b>'\"><script>owned=1</script>"
NAME, GROUP, DETAIL, USER = (EVIL.format(word) for word in ("name", "group", "detail", "user"))
BEHIND = {
    "http": {"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]},
    "auth": {"user_header": "Remote-User", "groups": {"ops": {"role": "admin"}}},
}


async def harmless(page) -> bool:
    """Whether nothing of it has become a part of the page."""
    found = await page.locator("img[src=x], b, script:not([src])").count()
    return found == 0 and await page.evaluate("window.owned") is None


async def test_what_looks_like_a_page_is_shown_as_it_is_written(tmp_path: Path, chromium) -> None:
    cameras = {
        "door": {"url": "rtsp://host/door", "name": NAME, "group": GROUP},
        "yard": {"url": "rtsp://host/yard", "group": GROUP},
    }
    async with (
        broker_in(tmp_path, cameras=cameras, **BEHIND) as broker,
        FakeEgress(broker.endpoints, "out-1"),
        FakeIngest(broker.endpoints, "in-1") as ingest,
    ):
        headers = {"Remote-User": USER, "Remote-Groups": "ops"}
        page = await chromium.new_page(base_url=broker.url, extra_http_headers=headers)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto("/")
        door = page.locator("[data-camera=door]")
        await playwright.expect(door).to_contain_text(NAME)
        await playwright.expect(door).to_have_attribute("data-group", GROUP)
        await playwright.expect(door).to_have_attribute("data-state", "playing")  # the ingest has it
        ingest.show("door", CameraState.NO_PICTURE, detail=DETAIL)
        await playwright.expect(door).to_have_attribute("data-state", "failed")
        await page.click("[data-camera=door] button")
        await playwright.expect(page.locator("body")).to_contain_text("<b>detail</b>")
        for path in ("/account", "/watch/door"):
            assert await harmless(page)
            await page.goto(path)
            if path == "/account":
                await playwright.expect(page.locator("body")).to_contain_text("<b>user</b>")
        assert await harmless(page)
        await page.context.close()
    assert errors == []


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("account", "/account"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("javascript:owned=1", "/"),
        ("http://[", "/"),
    ],
)
async def test_who_signs_in_is_led_to_a_page_of_ours(
    cheap_passwords: None, tmp_path: Path, chromium, wanted: str, path: str
) -> None:
    root = {"root": {"sha256": digest_of("t-root"), "role": "admin"}}
    async with broker_in(tmp_path, auth={"tokens": root}) as broker:
        form = {"user": "ben", "password": "ben's password", "role": "admin"}
        await broker.http.post("/api/users?token=t-root", json=form)
        page = await chromium.new_page(base_url=broker.url)
        await page.goto(f"/sign-in?{urlencode({'next': wanted})}")
        for field in ("user", "password"):
            await page.fill(f"[name={field}]", form[field])
        await page.click("#go")
        await playwright.expect(page).to_have_url(broker.url.rstrip("/") + path)
        await page.context.close()
