# SPDX-FileCopyrightText: Quorate contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in a browser: nothing is loaded or logged, it fits a phone, and the keyboard reaches everything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quorate.pve.plugins.module_utils._report_model import build
from ansible_collections.quorate.pve.plugins.module_utils._report_page import render
from ansible_collections.quorate.pve.plugins.module_utils._report_raw import Wishes
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from ..report_models import EVIL, raw

pytestmark = pytest.mark.long

TEMPLATES = Path(__file__).resolve().parents[2] / "roles" / "report" / "templates"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
SCHEMES = ("light", "dark")

# Ratio of the luminances of each text's colour and of what is behind it (WCAG 2.2, 1.4.3), the lowest first
CONTRAST = """
const channel = (v) => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
const parts = (c) => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
const light = (c) => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const found = [];
for (const e of document.querySelectorAll('body *')) {
  if (e.closest('svg, script, style') || !e.checkVisibility()) continue;
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
  const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
  found.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.textContent.trim().slice(0, 40)]);
}
return found.sort((x, y) => x[0] - y[0])[0];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium from the distribution, with a profile of its own."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (scripts/ci-packages installs them)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    words = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    words += ["--disable-background-networking", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]
    # its sandbox does not work for root
    for word in [*words, *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
        options.add_argument(word)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def page(browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> webdriver.Chrome:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(build(raw(4, 90), Wishes()), TEMPLATES), encoding="utf-8")
    browser.get(file.as_uri())
    return browser


def test_it_loads_nothing_and_logs_nothing(page: webdriver.Chrome) -> None:
    assert page.title.startswith("ha-test – report of ")
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert EVIL in page.find_element(By.TAG_NAME, "body").get_property("textContent")


def test_it_fits_a_phone(page: webdriver.Chrome, tmp_path: Path) -> None:
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        page.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.execute_script("return document.documentElement.scrollWidth") == PHONE["width"]
        assert page.save_screenshot(str(tmp_path / "phone.png"))
        assert (tmp_path / "phone.png").stat().st_size > 10_000
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_can_be_read_in_light_and_dark(page: webdriver.Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        ratio, text = page.execute_script(CONTRAST)
        assert ratio >= 4.5, text
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_keyboard_reaches_everything(page: webdriver.Chrome) -> None:
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    wanted = page.execute_script(
        "return [...document.querySelectorAll('a[href], summary, input, [tabindex=\"0\"]')]"
        ".filter((each) => each.checkVisibility()).length"
    )
    seen = set()
    for _ in range(wanted + 2):
        page.switch_to.active_element.send_keys(Keys.TAB)
        active = page.switch_to.active_element
        if active.tag_name != "body":
            assert page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", active) != "none"
            seen.add(active.id)
    assert len(seen) == wanted


def test_guests_can_be_filtered(page: webdriver.Chrome) -> None:
    box = page.find_element(By.ID, "guest-filter")
    box.send_keys("guest103 host")
    shown = [row for row in page.find_elements(By.CSS_SELECTOR, "#guest-table tbody tr") if row.is_displayed()]
    assert len(shown) == 1
    box.send_keys(Keys.CONTROL, "a")
    box.send_keys(Keys.DELETE)


def test_every_state_has_words_beside_its_colour(page: webdriver.Chrome) -> None:
    nameless = page.execute_script(
        "return [...document.querySelectorAll('svg.mark:not([aria-label])')]"
        ".filter((each) => !each.parentElement.textContent.trim()).length"
    )
    assert nameless == 0


A4 = {"width": 703, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
"""Pixels between the margins of a page on A4."""

# What sticks out of the paper, with how far
OVERHANG = """
return [...document.querySelectorAll('body *')].filter((each) => each.checkVisibility())
  .map((each) => [each.getBoundingClientRect().right, each.outerHTML.slice(0, 80)])
  .filter(([right]) => right > innerWidth + 1);
"""
UNSPLIT = """
const of = (what, property) => [...document.querySelectorAll(what)].filter((each) => each.checkVisibility())
  .filter((each) => getComputedStyle(each)[property] !== 'avoid').map((each) => each.outerHTML.slice(0, 80));
return [...of('tbody tr, .findings li, #capacity details, svg.drawing', 'breakInside'), ...of('h2, h3', 'breakAfter')];
"""


@pytest.fixture
def paper(page: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The page as it is laid out for paper by somebody who reads in the dark, and whose browser runs no script then."""
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = false; })")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": dark})
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", A4)
    yield page
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_paper_is_white_and_nothing_sticks_out(paper: webdriver.Chrome) -> None:
    for what in ("body", "section", ".tile"):
        colour = f"return getComputedStyle(document.querySelector('{what}')).backgroundColor"
        assert paper.execute_script(colour) == "rgb(255, 255, 255)"
    ratio, text = paper.execute_script(CONTRAST)
    assert ratio >= 4.5, text
    assert paper.execute_script(OVERHANG) == []


def test_on_paper_tables_are_tables_with_all_that_is_folded(paper: webdriver.Chrome) -> None:
    """Each page of a table says what its columns are; rows and headings are not torn off."""
    heads = "return [...document.querySelectorAll('thead')].map((each) => getComputedStyle(each).display)"
    assert set(paper.execute_script(heads)) == {"table-header-group"}
    inside = "return [...document.querySelectorAll('details > .inside')].map((each) => each.checkVisibility())"
    folded = paper.execute_script(inside)
    assert folded
    assert all(folded)
    assert paper.execute_script(UNSPLIT) == []


def test_every_link_leads_somewhere(page: webdriver.Chrome) -> None:
    """Within the page: it is mailed and printed."""
    links = page.execute_script(
        "return [...document.querySelectorAll('a[href]')].map((each) => each.getAttribute('href'))"
    )
    assert links
    for link in links:
        assert link.startswith("#")
        assert page.find_elements(By.ID, link[1:]), link
