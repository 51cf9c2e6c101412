"""The page of consent on a real server: agreeing, hearing what is kept, deleting one clip, withdrawing."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import OpenPage, Serve
from tests.browser.giving import Giver
from tests.browser.page import Page
from tests.bundles import spoken

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[str]:
    with serve("--collect", "--clip-min-snr-db", "0") as url:
        yield url


@pytest.fixture
def giver(server: str, tmp_path: Path) -> Giver:
    """Has given two clips."""
    giver = Giver(server)
    for words in (("stop", "light"), ("yes",)):
        giver.give(spoken(*words), tmp_path)
    return giver


def at_the_consent(open_page: OpenPage, url: str, **looks) -> Page:
    page = open_page(url, "/consent", **looks)
    page.until(lambda: page.one("#all").is_displayed(), "the page should be ready")
    return page


def as_giver(open_page: OpenPage, giver: Giver, **looks) -> Page:
    """The page in a browser that holds this giver's token."""
    page = at_the_consent(open_page, giver.url, **looks)
    token = giver.headers["X-Contributor"]
    page.browser.execute_script("localStorage.setItem('earloop-contributor', arguments[0]); location.reload()", token)
    page.until(lambda: len(page.all("#clips li")) == 2, "the clips should be there")
    return page


def test_nothing_is_chosen_before_somebody_chooses_and_looking_makes_nobody(open_page, server):
    page = at_the_consent(open_page, server)
    assert page.text("#state") == "Nothing of what you say is kept"
    assert [box.is_selected() for box in page.all("#purposes input")] == [False, False]
    assert "withdraw with one button" in page.text("#words")
    assert not page.one("#leave").is_displayed()
    assert page.browser.execute_script("return localStorage.length") == 0


def test_somebody_agrees_in_two_presses_by_keyboard_and_gets_a_token(open_page, server):
    page = at_the_consent(open_page, server)
    page.browser.execute_script("document.querySelector('#training').focus()")
    page.press(Keys.SPACE, Keys.ENTER)
    page.until(lambda: page.text("#state") == "Clips of what you say are kept", "the page should say so")
    assert page.one("#training").is_selected()
    assert page.text("#since").startswith("Since ")
    assert page.one("#leave").is_displayed()
    page.one("#who summary").click()
    assert page.text("#token").startswith("elc_")
    page.browser.refresh()
    page.until(lambda: page.text("#state") == "Clips of what you say are kept", "it should be remembered")


def test_a_release_takes_training_along_and_giving_up_training_gives_up_the_release(open_page, server):
    page = at_the_consent(open_page, server)
    page.one("#release").click()
    assert page.one("#training").is_selected()
    page.one("#training").click()
    assert not page.one("#release").is_selected()


def test_a_clip_can_be_heard_and_deleted_alone(open_page, giver):
    page = as_giver(open_page, giver)
    page.browser.execute_script("document.querySelector('#clips audio').preload = 'auto'")
    seconds = "return document.querySelector('#clips audio').duration"
    page.until(lambda: (page.browser.execute_script(seconds) or 0) > 0.2, "the audio should come")
    first, second = [clip.find_element(By.CSS_SELECTOR, ".text").text for clip in page.all("#clips li")]
    page.one("#clips button").click()
    page.until(lambda: len(page.all("#clips li")) == 1, "the clip should be gone")
    assert page.text("#clips .text") == second != first
    assert giver.ask("GET", "/v1/consent")["clips"] == 1


def test_one_button_takes_all_clips_out_as_a_zip(open_page, giver, tmp_path):
    page = as_giver(open_page, giver)
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    page.browser.execute_cdp_cmd("Page.setDownloadBehavior", allowed)
    page.one("#takeout").click()
    taken = tmp_path / "my-clips.zip"
    page.until(lambda: zipfile.is_zipfile(taken), "the browser should have it")
    with zipfile.ZipFile(taken) as file:
        assert file.testzip() is None
        assert sum(name.endswith(".flac") for name in file.namelist()) == 2


def test_one_button_and_a_yes_delete_everything(open_page, giver):
    page = as_giver(open_page, giver)
    page.one("#withdraw").click()
    page.browser.switch_to.alert.dismiss()
    assert giver.ask("GET", "/v1/consent")["clips"] == 2
    page.one("#withdraw").click()
    page.browser.switch_to.alert.accept()
    page.until(lambda: page.text("#gone") == "2 clips are deleted.", "the page should say what went")
    assert page.text("#state") == "Nothing of what you say is kept"
    state = giver.ask("GET", "/v1/consent")
    assert (state["clips"], state["consent"]) == (0, None)


def test_the_page_says_when_the_server_keeps_nothing_whatever_is_agreed(open_page, url):
    assert "keeps nothing of anybody" in at_the_consent(open_page, url).text("#off")


def test_on_a_phone_in_the_dark_nothing_is_wider_than_the_screen(open_page, giver):
    page = as_giver(open_page, giver, dark=True, size=(360, 720))
    assert page.width <= 360
