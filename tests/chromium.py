"""A real browser without a screen: Debian's Chromium, driven by its ChromeDriver."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses its sandbox to root, which CI is
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a page that needs the network fails
)

WIDE = (1280, 900)
PHONE = (360, 740)

UNPACKED = 20
"""Seconds for what a page does behind a click, on a busy machine."""


class Browser:
    """A browser with one page, and what a person would do with it."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, target: str = "", size: tuple[int, int] = WIDE) -> None:
        """Load a page anew, at a size in CSS pixels; a narrow one is a phone."""
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1}
        phone = width < WIDE[0] // 2
        self.cdp("Emulation.setDeviceMetricsOverride", **screen, mobile=phone)
        self.cdp("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(page.as_uri() + target)

    def cdp(self, command: str, **parameters: object) -> None:
        """Say something to the DevTools."""
        self.driver.execute_cdp_cmd(command, parameters)

    def media(self, **features: str) -> None:
        """Emulate media: `media=print`, `prefers_color_scheme=dark`."""
        named = [
            {"name": name.replace("_", "-"), "value": value}
            for name, value in features.items()
            if name != "media"
        ]
        self.cdp("Emulation.setEmulatedMedia", media=features.get("media", ""), features=named)

    def script(self, text: str, *arguments: object) -> object:
        """Run a function's body in the page."""
        return self.driver.execute_script(text, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        """Return the elements that a person sees once the page has unpacked what it shows."""
        WebDriverWait(self.driver, UNPACKED).until(
            lambda driver: not driver.find_elements(By.CSS_SELECTOR, "[aria-busy]")
        )
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def texts(self, selector: str) -> list[str]:
        """Return the texts of the elements that a person sees."""
        return [element.text for element in self.all(selector)]

    def console(self) -> list[str]:
        """Return what the page complained of since it was loaded."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong for who cannot see, hear or point."""
        engine = files("selenium_axe_python").joinpath("axe-core", "axe.min.js").read_text("utf-8")
        self.script(engine)
        answer = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run().then((found) => done(JSON.stringify(found.violations)));"
        )
        return [
            f"{one['id']}: {node['html'][:200]}"
            for one in json.loads(str(answer))
            for node in one["nodes"][:3]
        ]


@contextmanager
def browser(arguments: Sequence[str] = ()) -> Iterator[Browser]:
    """Start a browser; skip, with the reason, where there is none."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in programs.items():
        if path is None:
            pytest.skip(f"{name} is not installed: `doctor --install --with tests` does it")
    options = webdriver.ChromeOptions()
    options.binary_location = str(programs["chromium"])
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        for argument in (*ARGUMENTS, *arguments, f"--user-data-dir={profile}"):
            options.add_argument(argument)
        driver = Chrome(options=options, service=Service(programs["chromedriver"]))
        try:
            yield Browser(driver)
        finally:
            driver.quit()


@pytest.fixture(scope="session")
def started() -> Iterator[Browser]:
    """Yield one browser for all tests of a worker."""
    with browser() as one:
        yield one


@pytest.fixture
def page(started: Browser) -> Iterator[Browser]:
    """Yield the browser as if it was new; whatever the page complains of fails the test."""
    started.media()
    yield started
    assert started.console() == []
