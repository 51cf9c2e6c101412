"""The recorder on a real server, with a microphone that says what a file says."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from stt_server.speech.files import write_wav
from tests.browser.conftest import OpenPage, Serve
from tests.browser.giving import Giver
from tests.browser.page import Page
from tests.bundles import spoken
from tests.voices import white_noise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAUSE_S = 0.7
TAKE_S = 3.0
SCRIPT = [["stop light", 2], ["yes", 1]]


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[str]:
    with serve("--collect", "--clip-min-snr-db", "0") as url:
        yield url


@pytest.fixture(scope="module")
def saying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A microphone at which somebody says `stop light`, with room before and behind."""
    path = tmp_path_factory.mktemp("microphone") / "stop-light.wav"
    write_wav(path, np.concatenate([white_noise(PAUSE_S, -60), spoken("stop", "light"), white_noise(3, -60)]))
    return path


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("microphone") / "silent.wav"
    write_wav(path, np.zeros(64_000, np.float32))
    return path


@pytest.fixture
def giver(server: str, request: pytest.FixtureRequest) -> Giver:
    """Has a dataset of the test's own, with a script."""
    giver = Giver(server)
    giver.ask("POST", "/v1/datasets", json={"name": name_of(request), "description": "", "licence": "CC0-1.0"})
    giver.ask("PUT", f"/v1/datasets/{name_of(request)}/script", json={"script": SCRIPT})
    return giver


@pytest.fixture
def dataset(giver: Giver, request: pytest.FixtureRequest) -> str:
    return name_of(request)


def name_of(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^a-z0-9]+", "-", request.node.name)[:60].strip("-")


def recorder(open_page: OpenPage, giver: Giver, dataset: str, microphone: Path, **looks) -> Page:
    """The recorder of somebody who agreed."""
    page = open_page(giver.url, "/login", microphone=microphone, **looks)
    remember = "localStorage.setItem('earloop-contributor', arguments[0])"
    page.browser.execute_script(remember, giver.headers["X-Contributor"])
    page.browser.get(f"{giver.url}/record?dataset={dataset}")
    page.until(lambda: page.state == "ready", "a sentence should be shown")
    return page


def take(page: Page, key: str = Keys.SPACE) -> None:
    page.press(key)
    page.until(lambda: seconds(page) >= TAKE_S, "it should record")
    assert not page.one("#dataset").is_enabled()  # what is recorded is for this one
    page.press(Keys.SPACE)
    page.until(lambda: page.state == "checked", "it should be checked")
    assert page.one("#dataset").is_enabled()


def seconds(page: Page) -> float:
    return float(page.text("#elapsed").removesuffix(" s") or 0)


def test_a_sentence_is_said_checked_and_kept_by_keyboard(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying)
    assert page.text("#sentence") == "stop light"
    assert page.text("#left") == "3 of 3 left"
    assert page.text("#take") == "Take 1 of 2"
    take(page)
    assert page.text("#verdict") == "Sounds good", page.text("#check")
    assert "stop light" in page.text("#heard")
    assert clips(giver, dataset) == []  # nothing is kept before that is wanted
    assert page.focused.get_attribute("id") == "keep"
    page.press(Keys.ENTER)
    page.until(lambda: page.text("#left") == "2 of 3 left", "it should be counted")
    assert page.text("#sentence") == "yes"  # the next one, for who repeats a sentence at once says it alike
    assert page.text("#kept") == "1 kept"
    (clip,) = clips(giver, dataset)
    assert (clip["origin"], clip["hypothesis"]) == ("recorder", "stop light")


def clips(giver: Giver, dataset: str) -> list[dict]:
    found: list[dict] = giver.ask("GET", f"/v1/clips?dataset={dataset}")["clips"]
    return found


def test_another_take_is_asked_for_in_another_manner(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying)
    first = page.text("#manner")
    take(page)
    page.press(Keys.ENTER)
    page.until(lambda: page.text("#sentence") == "yes", "the next sentence should come")
    page.press("n")
    assert page.text("#sentence") == "stop light"
    assert page.text("#take") == "Take 2 of 2"
    assert page.text("#manner") not in ("", first)


def test_a_silent_take_is_refused_before_it_is_kept(open_page, giver, dataset, silent):
    page = recorder(open_page, giver, dataset, silent)
    take(page)
    assert "No speech was heard" in page.text("#problems")
    assert page.focused.get_attribute("id") == "redo"
    page.press("r")
    page.until(lambda: page.state == "recording", "the key should record anew")
    assert clips(giver, dataset) == []


def test_other_words_than_the_script_are_noticed(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying)
    page.press("n")
    assert page.text("#sentence") == "yes"
    take(page)
    assert page.text("#verdict") == "Better once more"
    assert len(page.all("#problems li")) == 1


def test_a_take_can_be_heard_before_it_is_kept(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying)
    take(page)
    page.press("p")
    page.until(lambda: page.text("#hear-label") == "Stop", "it should play")
    page.press("p")
    page.until(lambda: page.text("#hear-label") == "Hear it", "it should stop")


def test_when_all_is_said_the_page_says_so(open_page, giver, dataset, saying):
    giver.ask("PUT", f"/v1/datasets/{dataset}/script", json={"script": [["stop light", 1]]})
    page = recorder(open_page, giver, dataset, saying)
    take(page)
    page.press(Keys.ENTER)
    page.until(lambda: page.one("#done").is_displayed(), "all is said")
    assert page.focused.accessible_name == "Judge some clips"
    page.browser.refresh()
    page.until(lambda: page.one("#done").is_displayed(), "the server remembers it")


def test_who_has_not_agreed_is_led_to_the_consent(open_page, server):
    page = open_page(server, "/record")
    page.until(lambda: page.one("#unasked").is_displayed(), "the page should ask for consent first")
    assert (page.one("#unasked a").get_attribute("href") or "").endswith("/consent")
    assert not page.one("#stage").is_displayed()


def test_a_server_that_keeps_nothing_says_so(open_page, url):
    page = open_page(url, "/record")
    page.until(lambda: page.one("#closed").is_displayed(), "the page should say that nothing is kept here")


def test_a_denied_microphone_is_explained(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying, allowed=False)
    page.press(Keys.SPACE)
    page.until(lambda: "allow it for this page" in page.text("#alert"), "the page should say what to do")
    assert page.state == "ready"


def test_it_fits_a_narrow_screen_and_a_finger(open_page, giver, dataset, saying):
    page = recorder(open_page, giver, dataset, saying, size=(360, 740))
    page.one("#mic").click()
    page.until(lambda: seconds(page) >= TAKE_S, "it should record")
    page.one("#mic").click()
    page.until(lambda: page.state == "checked", "it should be checked")
    assert page.width <= 360
    page.one("#keep").click()
    page.until(lambda: page.text("#left") == "2 of 3 left", "it should be counted")
