"""For tests of the pages in Chromium: a broker, an egress that is a fake, and a page of each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from rigs.chromium import Kept
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.page_cameras import CAMERAS
from tests.fakes.workers import FakeEgress

playwright = pytest.importorskip("playwright.async_api")


# One event loop for all tests of pages: the driver of the browser is of one loop, and its start takes long.


@pytest_asyncio.fixture(loop_scope="session")
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest_asyncio.fixture(loop_scope="session")
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield egress


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium(kept_chromium: Kept) -> AsyncIterator:
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.connect_over_cdp(kept_chromium.address())
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(broker: RunningBroker, chromium) -> AsyncIterator:
    page = await chromium.new_page(base_url=broker.url)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await page.context.close()
    assert errors == []
