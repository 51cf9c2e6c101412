"""The page of datasets on a real server: making one, its script, looking through clips, snapshots and exports."""

import csv
import io
import urllib.request
import zipfile
from collections.abc import Iterator

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.conftest import OpenPage, Serve
from tests.browser.giving import Giver
from tests.browser.page import Page
from tests.bundles import spoken

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[str]:
    with serve("--collect", "--clip-min-snr-db", "0", "--tag-people", "1") as url:
        yield url


@pytest.fixture(scope="module")
def giver(server: str, tmp_path_factory: pytest.TempPathFactory) -> Giver:
    """Has a dataset of two clips, of which somebody else has judged one."""
    folder, giver, judge = tmp_path_factory.mktemp("given"), Giver(server), Giver(server)
    giver.ask("POST", "/v1/datasets", json={"name": "lamps", "description": "Lamps at home", "licence": "CC0-1.0"})
    giver.give(spoken("stop", "light"), folder, dataset="lamps")
    lease = judge.ask("POST", "/v1/tagging/lease")
    judge.ask("POST", f"/v1/tagging/{lease['lease']}/vote", json={"verdict": "corrected", "text": "stop the light"})
    giver.give(spoken("yes"), folder, dataset="lamps")
    return giver


def at_the_datasets(open_page: OpenPage, giver: Giver, query: str = "?name=lamps", **looks) -> Page:
    page = open_page(giver.url, f"/datasets{query}", **looks)
    page.until(lambda: page.all("#clips li"), "clips should be there")
    return page


def texts(page: Page) -> list[str]:
    return [each.text for each in page.all("#clips .text")]


def test_clips_show_their_text_status_and_votes(open_page, giver):
    page = at_the_datasets(open_page, giver)
    assert page.text("#title") == "lamps"
    assert "Lamps at home" in page.text("#about")
    judged = next(each for each in page.all("#clips li.clip") if "stop" in each.text)
    assert judged.find_element(By.CSS_SELECTOR, ".text").text == "stop the light"
    assert judged.find_element(By.CSS_SELECTOR, ".pill").text == "corrected"
    assert "Heard: “stop light”" in judged.text
    judged.find_element(By.TAG_NAME, "summary").click()
    assert "stop the light" in judged.find_element(By.CSS_SELECTOR, "details li").text


def test_a_clip_is_heard_by_its_signed_link(open_page, giver):
    page = at_the_datasets(open_page, giver)
    page.browser.execute_script("document.querySelector('#clips audio').preload = 'auto'")
    seconds = "return document.querySelector('#clips audio').duration"
    page.until(lambda: (page.browser.execute_script(seconds) or 0) > 0.2, "the audio should come")


def test_clips_are_filtered_by_words_and_status(open_page, giver):
    page = at_the_datasets(open_page, giver)
    assert len(texts(page)) == 2
    page.one("#text-has").send_keys("light")
    page.until(lambda: texts(page) == ["stop the light"], "words should filter")
    Select(page.one("#status-is")).select_by_value("waiting")
    page.until(lambda: page.text("#found"), "nothing is both")
    page.one("#text-has").clear()
    page.one("#text-has").send_keys(Keys.ENTER)
    page.until(lambda: len(texts(page)) == 1, "one waits")
    assert texts(page) != ["stop the light"]


def test_a_dataset_is_made_with_a_script_by_keyboard(open_page, giver):
    page = at_the_datasets(open_page, giver, "")
    summary = page.one("#new summary")
    page.browser.execute_script("arguments[0].focus()", summary)
    page.press(Keys.ENTER, Keys.TAB, "kitchen", Keys.ENTER)
    page.until(lambda: page.text("#title") == "kitchen", "the new dataset should be shown")
    assert page.browser.current_url.endswith("?name=kitchen")
    page.one("#script").send_keys("50 × turn on the light\nstop")
    page.one("#script-form button").click()
    page.until(lambda: page.text("#script-state") == "0 of 51 said", "the script should be kept")
    assert giver.ask("GET", "/v1/datasets/kitchen")["script"] == [["turn on the light", 50], ["stop", 1]]
    assert (page.one("#record").get_attribute("href") or "").endswith("/record?dataset=kitchen")


def test_sentences_are_chosen_for_coverage(open_page, giver):
    giver.ask("POST", "/v1/datasets", json={"name": "covering", "description": "", "licence": ""})
    page = at_the_datasets(open_page, giver, "")
    page.until(lambda: page.all('[data-name="covering"]'), "it should be listed")
    page.one('[data-name="covering"]').click()
    page.until(lambda: page.text("#title") == "covering", "it should be shown")
    page.one("#cover-form").find_element(By.XPATH, "../summary").click()
    page.one("#candidates").send_keys("turn on the light\nturn on the the light\nplay some jazz")
    page.one("#count").clear()
    page.one("#count").send_keys("2")
    page.one("#cover-form button").click()
    page.until(lambda: page.text("#script-state") == "0 of 2 said", "two should be chosen")
    assert set(str(page.one("#script").get_property("value")).split("\n")) == {"turn on the light", "play some jazz"}


def test_a_snapshot_is_made_and_exported(open_page, giver):
    page = at_the_datasets(open_page, giver)
    page.one("#snapshot-form button").click()
    page.until(lambda: "Version 1" in page.text("#snapshots"), "the snapshot should be listed")
    link = next(each for each in page.all("#snapshots a") if "deepspeech" in (each.get_attribute("href") or ""))
    with urllib.request.urlopen(link.get_attribute("href") or "", timeout=60) as answer:
        exported = zipfile.ZipFile(io.BytesIO(answer.read()))
    rows = [
        row["transcript"]
        for name in exported.namelist()
        if name.endswith(".csv")
        for row in csv.DictReader(io.StringIO(exported.read(name).decode()))
    ]
    assert rows == ["stop the light"]


def test_what_is_refused_is_said(open_page, giver):
    page = at_the_datasets(open_page, giver, "")
    page.expected = ("409 (Conflict)",)
    page.one("#new summary").click()
    page.one("#new-name").send_keys("lamps", Keys.ENTER)
    page.until(lambda: "lamps" in page.text("#alert"), "a name that is taken should be said")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_narrow_screen(open_page, giver, dark):
    page = at_the_datasets(open_page, giver, size=(360, 740), dark=dark)
    assert page.width <= 360


def test_going_back_shows_the_last_dataset_again(open_page, giver):
    page = at_the_datasets(open_page, giver)
    page.one('[data-name=""]').click()
    page.until(lambda: page.text("#title") == "All clips", "all clips should be shown")
    page.browser.back()
    page.until(lambda: page.text("#title") == "lamps", "the dataset should be shown again")


def test_words_that_are_markup_stay_words(open_page, giver):
    giver.ask("POST", "/v1/datasets", json={"name": "markup", "description": "<img src=x onerror=alert(1)>"})
    page = at_the_datasets(open_page, giver, "")
    page.until(lambda: page.all('[data-name="markup"]'), "it should be listed")
    page.one('[data-name="markup"]').click()
    page.until(lambda: "<img" in page.text("#about"), "it should be shown as it was written")
    assert page.all("#about img") == []


@pytest.fixture(scope="module")
def disputed(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Giver]:
    """Has a clip of which three people said three things, and one that nobody has judged."""
    with serve("--collect", "--clip-min-snr-db", "0") as url:
        giver, folder = Giver(url), tmp_path_factory.mktemp("disputed")
        giver.give(spoken("stop", "light"), folder)
        for said in ("one", "two", "three"):
            judge = Giver(url)
            lease = judge.ask("POST", "/v1/tagging/lease")
            judge.ask("POST", f"/v1/tagging/{lease['lease']}/vote", json={"verdict": "corrected", "text": said})
        giver.give(spoken("yes"), folder)
        yield giver


def test_a_curator_decides_what_taggers_cannot_and_makes_it_gold_and_has_it_judged_anew(open_page, disputed):
    page = at_the_datasets(open_page, disputed, "", size=(360, 740))
    assert len(page.all("#clips li.clip")) == 2
    Select(page.one("#status-is")).select_by_value("disputed")
    page.until(lambda: len(page.all("#clips li.clip")) == 1, "one is in dispute")
    assert page.width <= 360
    assert page.text("#clips .pill") == "in dispute"

    def press(title: str) -> None:
        page.until(lambda: [each for each in page.all("#clips button") if each.text == title], title)[0].click()

    press("“two”")
    assert page.one("#clips input").get_property("value") == "two"
    page.one("#clips input").send_keys(" lights", Keys.ENTER)
    page.until(lambda: page.text("#clips .text") == "two lights", "the expert's word should stand")
    assert page.text("#clips .pill") == "corrected"
    assert page.focused.text == "Judge it anew"
    press("Measure taggers by it")
    page.until(lambda: "gold" in [each.text for each in page.all("#clips .pill")], "it should be gold")
    [row] = disputed.ask("GET", "/v1/clips?status=decided")["clips"]
    assert (row["text"], row["gold"], row["votes"][-1]["expert"]) == ("two lights", True, True)
    press("Judge it anew")
    page.until(lambda: page.text("#clips .pill") == "waiting", "it should wait again")
    assert page.focused.text == "Decide as an expert"
    row = next(each for each in disputed.ask("GET", "/v1/clips")["clips"] if each["id"] == row["id"])
    assert (row["status"], row["round"], row["gold"], row["votes"]) == ("waiting", 2, False, [])


def test_nobody_decides_about_their_own_clip_and_is_told_so(open_page, disputed):
    page = open_page(disputed.url, "/login")
    token = disputed.headers["X-Contributor"]
    page.browser.execute_script("localStorage.setItem('earloop-contributor', arguments[0])", token)
    page.browser.get(f"{disputed.url}/datasets")
    page.until(lambda: page.all("#clips li"), "clips should be there")
    page.expected = ("403 (Forbidden)",)
    waiting = next(each for each in page.all("#clips li") if "yes" in each.text)
    waiting.find_element(By.XPATH, ".//summary[text()='Decide as an expert']").click()
    waiting.find_element(By.XPATH, ".//button[text()='Noise']").click()
    page.until(lambda: "own" in page.text("#alert"), "the refusal should be said")
    assert waiting.find_element(By.CSS_SELECTOR, ".pill").text == "waiting"
