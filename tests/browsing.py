"""A headless Chromium, driven as a visitor would; every page is checked for console errors and foreign requests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from web_shop import Client

WAIT = 60.0  # seconds until something must have happened, on a machine that does much else
DESK, PHONE = (1440, 900), (390, 844)

# Elements by what they are called: the name a screen reader would say, as far as this page needs it.
NAMED = """
const name = (one) => one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent;
return [...(arguments[2] ?? document).querySelectorAll(arguments[0])]
    .filter((one) => one.checkVisibility({visibilityProperty: true}) && name(one).trim() === arguments[1]);
"""


def missing() -> str | None:
    """Why there is no browser here."""
    for module in ("selenium", "axe_core_python"):
        try:
            __import__(module)
        except ImportError:
            return f"needs the extra browser ({module} is missing)"
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"needs {program}"
    return None


# Of every module whose tests need a browser.
BROWSER = [pytest.mark.browser, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """A driver with a profile of its own."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    flags = ["--headless=new", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    flags += ["--no-first-run", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    for flag in flags:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver"))))
    try:
        driver.get("about:blank")  # the page of a new tab asks for much
        driver.get_log("performance")
        yield driver
    finally:
        driver.quit()


class Visit:
    """One visitor at one server.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
    client : Client
        Asks the same server.
    size : (int, int)
        Of the window, in CSS pixels; below 600 it is a phone.
    dark, calm : bool
        What the visitor's system prefers: dark colours, no movement.
    """

    def __init__(
        self, driver: Any, client: Client, size: tuple[int, int] = DESK, dark: bool = False, calm: bool = True
    ) -> None:
        self.driver, self.client = driver, client
        self.expected: list[str] = []  # parts of console errors that are meant to come
        self.checked = False
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        prefers = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": prefers})

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    @property
    def query(self) -> str:
        """What stands behind the ``?`` of the address."""
        return urlsplit(self.driver.current_url).query

    def open(self, query: str = "") -> Visit:
        self.driver.get(f"{self.base}/{query}")
        return self.settle()

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, found: Callable[[], Any], what: str) -> Any:
        """Wait until `found` gives something that is true; what was drawn anew while it looked is looked at again."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.driver, WAIT, 0.05, [StaleElementReferenceException])
        return waiting.until(lambda _: found(), f"never: {what}")

    def settle(self) -> Visit:
        """Wait until what was asked of the server is there."""
        ready = """
            const busy = document.querySelector("[aria-busy=true]");
            const begun = document.querySelector("#welcome:not([hidden]) button, #problem:not([hidden]), #grid li")
                || document.querySelector("#effect:not([hidden]) button");
            return !busy && begun !== null;
        """
        self.wait(lambda: self.run(ready), "an answer of the server")
        return self

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str) -> Any:
        return self.wait(lambda: next((one for one in self.all(css) if one.is_displayed()), None), css)

    def text(self, css: str) -> str:
        """Text of an element, seen or not."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? ''", css)

    def named(self, css: str, name: str, within: Any = None) -> Any:
        """The first element that is seen and called so."""
        return self.wait(lambda: next(iter(self.run(NAMED, css, name, within)), None), f"{css} “{name}”")

    def press(self, name: str, within: Any = None) -> Visit:
        """Press the button that is called so."""
        self.named("button", name, within).click()
        return self

    def pictures(self, css: str, number: int) -> list[Any]:
        """The pictures in a part of the page, so many."""
        found = f"{css} button:has(img)"
        return self.wait(
            lambda: len(self.all(found)) == number and self.all(found), f"{number} pictures in {css}"
        )

    def search(self, text: str) -> Any:
        """Search the attributes; the one that is found."""
        self.one("#find-attribute").send_keys(text)
        seen = lambda: [one for one in self.all("#attributes li") if one.is_displayed()]  # noqa: E731
        self.wait(lambda: len(seen()) == 1, f"one attribute with {text}")
        return seen()[0]

    def choose(self, label: str, text: str) -> None:
        """Choose the first option of a list that contains a text."""
        from selenium.webdriver.support.ui import Select

        choice = Select(self.wait(lambda: self._labelled(label), f"the list “{label}”"))
        (option, *_) = [one for one in choice.options if text in one.text]
        choice.select_by_visible_text(option.text)

    def _labelled(self, label: str) -> Any:
        lists = [one for one in self.all("select") if one.is_displayed()]
        return next((one for one in lists if one.accessible_name.lower() == label.lower()), None)

    def step(self, change: Callable[[], Any]) -> Visit:
        """Do what changes the address, and wait for what follows."""
        before = self.driver.current_url
        change()
        self.wait(lambda: self.driver.current_url != before, "another address")
        return self.settle()

    def products(self) -> list[str]:
        """Ids of the products that are shown, in order."""
        return self.run("return [...document.querySelectorAll('#grid > li')].map((one) => one.dataset.item)")

    def asked(self, **more: object) -> list[dict[str, Any]]:
        """What the server itself gives for the address of the page."""
        query = f"?{self.query}&n={more.get('n', 24)}"
        return self.client.document(f"/api/recommend{query}")["items"]

    def agrees(self) -> list[str]:
        """The products, which must be those of the address."""
        expected = [row["item"] for row in self.asked()]
        self.wait(lambda: self.products() == expected, "the list of the address")
        return expected

    def keys(self, *keys: str) -> None:
        """Press keys wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """What the focused element is called."""
        one = self.driver.switch_to.active_element
        return one.accessible_name

    def axe(self) -> list[str]:
        """What axe-core objects to, a line each."""
        from importlib.resources import files

        self.run(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then((found) => done(found.violations), (e) => done(String(e)));"
        )
        assert isinstance(found, list), found
        return [
            f"{rule['id']}: {' '.join(node['target'])}: {node['failureSummary']}"
            for rule in found
            for node in rule["nodes"]
        ]

    def check(self) -> None:
        """Once, at the end: no error on the console, and nothing asked of another host."""
        if self.checked:
            return
        self.checked = True
        errors = [
            one["message"]
            for one in self.driver.get_log("browser")
            if one["level"] in ("SEVERE", "WARNING")
            and not any(part in one["message"] for part in self.expected)
        ]
        assert not errors, errors
        asked = set()
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                asked.add(event["params"]["request"]["url"])
        own = urlsplit(self.base).netloc
        foreign = sorted(
            url[:200] for url in asked if urlsplit(url).scheme != "blob" and urlsplit(url).netloc != own
        )
        assert not foreign, foreign[:5]
        assert asked, "the log of requests is empty"
