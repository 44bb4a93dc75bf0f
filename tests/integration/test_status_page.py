# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that a browser finds on a host's API port, seen by one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from ..api_client import Root
from ..stacks import RunningStack, StackFactory

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning"),
]

PATIENCE = 60.0
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium from the distribution."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (scripts/ci-packages installs them)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    words = ["--headless=new", "--ignore-certificate-errors", "--disable-gpu", "--disable-dev-shm-usage"]
    # its sandbox does not work for root
    for word in [*words, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(word)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def stack(stack_factory: StackFactory) -> RunningStack:
    guests = {100: {"node": "pve1", "name": "web1", "running": True}}
    return stack_factory(hosts=2, scale=20, start={"clustered": {"name": "hatest", "guests": guests}})


@pytest.fixture
def page(browser: webdriver.Chrome, stack: RunningStack) -> webdriver.Chrome:
    browser.get_log("performance")
    browser.get(f"https://{stack.resolved['hosts']['pve1']['address']}:8006/")
    return browser


def _section(page: webdriver.Chrome, name: str) -> str:
    # in one step: the page exchanges its parts at any time
    return str(page.execute_script("return document.getElementById(arguments[0])?.innerText ?? ''", name))


def test_it_says_what_runs_and_refreshes_itself(page: webdriver.Chrome, stack: RunningStack) -> None:
    assert page.title == "pve1 – test"
    wait = WebDriverWait(page, PATIENCE)
    assert wait.until(lambda seen: "web1" in _section(seen, "guests") and "running" in _section(seen, "guests"))
    assert "Proxmox VE 9.2" in _section(page, "node")
    assert "quorate" in _section(page, "cluster")
    assert "connected" in _section(page, "links")
    assert wait.until(lambda seen: _section(seen, "members").count("online") >= 2)
    Root(stack, "pve1").run("POST", "/nodes/pve1/qemu", vmid=200)
    assert wait.until(lambda seen: "qmcreate" in _section(seen, "tasks") and "VM 200" in _section(seen, "guests"))
    page.execute_script("window.sameDocument = true")
    stack.power("off", "pve2")
    assert wait.until(lambda seen: "no quorum" in _section(seen, "cluster"))
    assert wait.until(lambda seen: "offline" in _section(seen, "members"))
    assert page.execute_script("return window.sameDocument"), "the page was loaded anew"
    stack.power("on", "pve2")
    assert wait.until(lambda seen: "no quorum" not in _section(seen, "cluster"))


def test_it_needs_nothing_from_elsewhere(page: webdriver.Chrome, stack: RunningStack) -> None:
    own = f"https://{stack.resolved['hosts']['pve1']['address']}:8006/"
    asked = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith(own) for name in asked)
    assert [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_it_fits_a_phone_and_follows_the_colour_scheme(page: webdriver.Chrome) -> None:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    widths = page.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths == [390, 390]
    colours = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        colours.append(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert len(set(colours)) == 2
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
