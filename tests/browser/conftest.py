"""All of DeviceHub, and Chromium looking at it. `CHROMIUM` names the browser where it is not on PATH."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.running import running

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SILENT = ("--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
          "--disable-sync", "--disable-gpu")  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where DeviceHub runs."""
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="session")
def url(folder: Path) -> Iterator[str]:
    """The address of all of DeviceHub; its limits are raised, for all of these tests are one client's."""
    limits = {f"{name}_RATE_LIMIT": "100000 per minute" for name in ("AUTH", "REFRESH", "DEVICE", "GENERAL")}
    with running(folder, **limits) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert path, "This needs Chromium: install your system's, or name one in CHROMIUM."
    # Chromium's own sandbox does not start under root, which is who we are in a container.
    how = {"executable_path": path, "args": [*SILENT], "chromium_sandbox": os.geteuid() != 0}
    with sync_playwright() as playwright, playwright.chromium.launch(**how) as started:
        yield started


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page of a browser of its own, which must not break, nor try what its policy forbids."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # a 401 is one, too
            complaints.append(message.text)

    with browser.new_context(base_url=url, viewport={"width": 1440, "height": 900}) as context:
        opened = context.new_page()
        opened.set_default_timeout(10_000)
        opened.on("console", hear)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
    assert complaints == []
