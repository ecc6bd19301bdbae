"""The live page, as somebody sees it who sits in front of it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

PASSWORD = "correct horse battery"
INTERVAL = 5  # the shortest there is: offline after 1.5 of them and 15 s
SILENCE_MS = (INTERVAL * 1.5 + 15 + 10) * 1000


@dataclass
class Owner:
    """Somebody with a fleet, who speaks to the API."""

    email: str
    http: httpx.Client

    def register(self, *names: str) -> list[str]:
        """New devices, all in one; their ids."""
        devices = [
            {"name": name, "type": "sensor", "location": "Basement", "heartbeatInterval": INTERVAL}
            for name in names
        ]
        answer = self.http.post("/api/devices/batch", json={"devices": devices}).raise_for_status()
        return [item["device"]["id"] for item in answer.json()["items"]]

    def beat(self, device_id: str, **told: Any) -> None:
        self.http.post(f"/api/devices/{device_id}/heartbeat", json=told).raise_for_status()


@pytest.fixture
def owner(url: str) -> Iterator[Owner]:
    email = f"{secrets.token_hex(6)}@example.com"
    known = {"email": email, "password": PASSWORD}
    with httpx.Client(base_url=url, timeout=30) as http:
        http.post("/api/auth/signup", json=known | {"name": "Ada Lovelace"}).raise_for_status()
        token = http.post("/api/auth/login", json=known).raise_for_status().json()["accessToken"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield Owner(email, http)


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.goto("/live")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def row(page: Page, name: str) -> Locator:
    return page.locator("tr.device", has=page.get_by_role("button", name=name, exact=True))


def colour(page: Page, name: str) -> str:
    """Of a device's dot."""
    found: str = (
        row(page, name)
        .locator(".dot")
        .evaluate(
            "dot => dot.getAnimations({subtree: true}).length ? '' : getComputedStyle(dot, '::before').backgroundColor"
        )
    )
    return found


def settled_colour(page: Page, name: str, presence: str, within_ms: float = 10_000) -> str:
    """Of a device's dot, once it is `presence` and its colour has come to rest."""
    expect(row(page, name).locator(".dot")).to_have_text(presence, timeout=within_ms)
    for _ in range(100):
        if found := colour(page, name):
            return found
        page.evaluate("() => new Promise(requestAnimationFrame)")
    raise AssertionError("The dot does not come to rest.")


def test_nobody_sees_a_fleet_without_signing_in(page: Page, owner: Owner) -> None:
    owner.register("Boiler")
    sign_in(page, owner.email, "wrong horse battery")
    expect(page.get_by_role("alert").filter(visible=True)).to_be_visible()
    expect(page.locator("#fleet")).to_be_hidden()
    expect(page.locator("tr.device")).to_have_count(0)


def test_who_signs_in_sees_their_own_fleet_and_no_other(page: Page, owner: Owner, url: str) -> None:
    owner.register("Boiler")
    sign_in(page, owner.email)
    expect(row(page, "Boiler")).to_be_visible()
    expect(page.locator("tr.device")).to_have_count(1)
    expect(page.locator("#connection")).to_have_text("Live")


def test_a_dot_changes_colour_when_a_device_falls_silent_and_when_it_returns(page: Page, owner: Owner) -> None:
    [boiler, _] = owner.register("Boiler", "Pump")
    sign_in(page, owner.email)
    never = settled_colour(page, "Boiler", "Never seen")
    owner.beat(boiler, metrics={"temperature": 21.5})
    online = settled_colour(page, "Boiler", "Online")
    expect(row(page, "Boiler")).to_contain_text("temperature 21.5")
    late = settled_colour(page, "Boiler", "Late", SILENCE_MS)
    offline = settled_colour(page, "Boiler", "Offline", SILENCE_MS)
    owner.beat(boiler)
    assert settled_colour(page, "Boiler", "Online") == online
    assert len({never, online, late, offline}) == 4
    assert settled_colour(page, "Pump", "Never seen") == never


def test_counters_and_the_chart_follow_what_happens(page: Page, owner: Owner) -> None:
    devices = owner.register("Boiler", "Pump", "Valve")
    sign_in(page, owner.email)
    expect(page.get_by_role("button", name="3 Never seen")).to_be_visible()
    for device in devices:
        owner.beat(device)
    owner.beat(devices[0], goodbye=True, reason="maintenance")
    expect(page.get_by_role("button", name="2 Online")).to_be_visible()
    expect(page.get_by_role("button", name="1 Offline")).to_be_visible()
    expect(page.locator("#rate")).not_to_have_text("0")
    owner.http.delete(f"/api/devices/{devices[0]}").raise_for_status()
    expect(page.get_by_role("button", name="2 All")).to_be_visible()


def test_a_large_fleet_is_filtered_by_presence_and_text(page: Page, owner: Owner) -> None:
    devices = owner.register(*(f"Sensor {number}" for number in range(1, 251)))
    owner.beat(devices[41])
    sign_in(page, owner.email)
    expect(page.locator("#shown")).to_have_text("250 of 250 devices")
    assert 0 < page.locator("tr.device").count() < 100, "as many rows as can be seen"
    page.locator("#find").fill("sensor 24")
    expect(page.locator("#shown")).to_have_text("11 of 250 devices")
    page.locator("#find").fill("")
    page.get_by_role("button", name="1 Online").click()
    expect(page.locator("#shown")).to_have_text("1 of 250 devices")
    expect(row(page, "Sensor 42")).to_be_visible()


def test_everything_is_reached_with_the_keyboard(page: Page, owner: Owner) -> None:
    owner.register(*(f"Sensor {number}" for number in range(1, 101)))
    sign_in(page, owner.email)
    focused = page.locator(":focus")
    expect(row(page, "Sensor 1")).to_be_visible()
    page.get_by_role("button", name="Sensor 1", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_text("Sensor 2")
    page.keyboard.press("End")
    expect(focused).to_have_text("Sensor 100")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Sensor 100")).to_contain_text("none yet")
    page.keyboard.press("Escape")
    expect(focused).to_have_text("Sensor 100")
    page.get_by_role("columnheader", name="Name").get_by_role("button").press("Enter")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")


def test_one_stays_signed_in_by_a_cookie_that_no_script_reads(page: Page, owner: Owner) -> None:
    owner.register("Boiler")
    sign_in(page, owner.email)
    expect(row(page, "Boiler")).to_be_visible()
    [cookie] = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("dh_refresh", True, "Strict")
    kept = page.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length]")
    assert kept == ["", 0, 0]
    page.reload()
    expect(row(page, "Boiler")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.locator("tr.device")).to_have_count(0)


def test_a_session_that_is_ended_elsewhere_is_shown_the_door(page: Page, owner: Owner) -> None:
    owner.register("Boiler")
    sign_in(page, owner.email)
    expect(page.locator("#connection")).to_have_text("Live")
    owner.http.post("/api/auth/logout-all").raise_for_status()
    expect(page.get_by_text("Your session ended.")).to_be_visible()
    expect(page.locator("tr.device")).to_have_count(0)


def test_what_happens_while_the_connection_is_cut_is_seen_once_it_is_back(page: Page, owner: Owner) -> None:
    lines: list[WebSocketRoute] = []
    is_open = [True]

    def connect(line: WebSocketRoute) -> None:
        if is_open[0]:
            line.connect_to_server()
            lines.append(line)
        else:
            line.close()

    page.route_web_socket(lambda address: "/socket.io" in address, connect)
    [boiler] = owner.register("Boiler")
    sign_in(page, owner.email)
    owner.beat(boiler)
    expect(row(page, "Boiler").locator(".dot")).to_have_text("Online")
    is_open[0] = False
    lines[-1].close()
    expect(page.locator("#connection")).to_have_text("Connecting …")
    owner.beat(boiler, goodbye=True)
    expect(row(page, "Boiler").locator(".dot")).to_have_text("Online")
    is_open[0] = True
    expect(page.locator("#connection")).to_have_text("Live", timeout=30_000)
    expect(row(page, "Boiler").locator(".dot")).to_have_text("Offline")


def test_another_of_ones_organizations_is_watched_without_signing_in_again(page: Page, owner: Owner) -> None:
    owner.register("Boiler")
    owner.http.post("/api/organizations", json={"name": "Second works"}).raise_for_status()
    sign_in(page, owner.email)
    expect(row(page, "Boiler")).to_be_visible()
    page.get_by_label("Organization").select_option(label="Second works")
    expect(page.get_by_text("There is no device yet.")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Live")


@pytest.mark.parametrize("width", [1440, 820, 390])
def test_nothing_sticks_out_of_the_page(page: Page, owner: Owner, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    owner.register("A sensor with a long name that has to end somewhere", "Pump")
    sign_in(page, owner.email)
    expect(row(page, "Pump")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    table = page.locator("#table").bounding_box()
    frame = page.locator("#scroll").bounding_box()
    assert table and frame and frame["width"] - 20 < table["width"] <= frame["width"]
