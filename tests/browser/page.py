"""The page as its tests see it: by keyboard, by what can be read, with a deadline on every wait."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

T = TypeVar("T")

WAIT_S = 60
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --use-fake-device-for-media-stream"
).split()


def start_chromium(
    profile: Path, microphone: Path, *, dark: bool = False, size: tuple[int, int] = (1200, 820), allowed: bool = True
) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    permission = "--use-fake-ui-for-media-stream" if allowed else "--deny-permission-prompts"
    for flag in [*FLAGS, permission, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]:
        options.add_argument(flag)
    options.add_argument(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return browser


class Page:
    """One browser on the page. `expected` are pieces of console errors that the test provokes."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser
        self.expected: tuple[str, ...] = ()

    def press(self, *keys: str) -> None:
        """Keys to whatever has the focus."""
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    @property
    def focused(self) -> WebElement:
        return self.browser.switch_to.active_element

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    @property
    def width(self) -> int:
        """Of all that is on the page, in CSS pixels."""
        width: int = self.browser.execute_script("return document.documentElement.scrollWidth")
        return width

    def tabbed(self, most: int = 60) -> list[str]:
        """The names of what the tab key reaches from here, until it comes round or leaves the page."""
        names: list[str] = []
        for _ in range(most):
            self.press(Keys.TAB)
            if self.focused.tag_name == "body":
                break
            names.append(self.focused.accessible_name)
        return names

    @property
    def state(self) -> str | None:
        return self.one("body").get_attribute("data-state")

    def until(self, condition: Callable[[], T], what: str) -> T:
        """The first true value of `condition`. What goes from the page while it is looked at is looked for again."""
        wait = WebDriverWait(self.browser, WAIT_S, 0.05, ignored_exceptions=[StaleElementReferenceException])
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            raise AssertionError(f"{what}; the page says {self.text('body')!r}") from None

    def offline(self, *, yes: bool) -> None:
        """Take the network away from the page, or give it back."""
        self.browser.execute_cdp_cmd("Network.enable", {})
        conditions = {"offline": yes, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.browser.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)

    def shot(self, path: Path) -> None:
        self.browser.save_screenshot(str(path))

    def check_console(self) -> None:
        """Nothing may have gone wrong, least of all against the page's content security policy."""
        lines = [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]
        unexpected = [line for line in lines if not any(each in line for each in self.expected)]
        assert unexpected == [], f"the console says {unexpected}"
