"""The tagger on a real server with real clips: it plays, is judged by keyboard and by finger, and can be undone."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.conftest import OpenPage, Serve
from tests.browser.giving import Giver
from tests.browser.page import Page
from tests.bundles import spoken
from tests.voices import white_noise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = ("stopped", "listening", "answering")  # a short clip may have been heard before anybody looks
GIVEN = (("yes", "no"), ("stop", "light"), ("light", "yes", "no"))


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[str]:
    with serve("--collect", "--clip-min-snr-db", "0") as url:
        yield url


@pytest.fixture
def giver(server: str) -> Iterator[Giver]:
    """Somebody who withdraws at the end, with whom clips and votes go: each test has the queue for itself."""
    giver = Giver(server)
    yield giver
    giver.ask("DELETE", "/v1/consent")


@pytest.fixture
def three(giver: Giver, tmp_path: Path) -> Giver:
    """Has given a clip each of `GIVEN`."""
    for words in GIVEN:
        giver.give(spoken(*words), tmp_path)
    return giver


def judging(open_page: OpenPage, server: str, **looks) -> Page:
    """The tagger, having begun: a browser plays nothing before the first press."""
    page = open_page(server, "/tag", **looks)
    page.until(lambda: page.state in READY, "a clip should be there")
    if page.state == "stopped":
        page.press(Keys.SPACE)
    return page


def heard(page: Page) -> Page:
    page.until(lambda: page.state == "answering", "the clip should play to its end")
    return page


def enabled(page: Page) -> list[str]:
    buttons = page.all('[data-verdict]:not([aria-disabled="true"])')
    return [button.get_attribute("data-verdict") or "" for button in buttons]


def votes(giver: Giver) -> list[tuple[str, str | None]]:
    """What was said of the clips so far."""
    clips = giver.ask("GET", "/v1/clips")["clips"]
    return [(vote["verdict"], vote["text"]) for clip in clips for vote in clip["votes"]]


def text(page: Page) -> str:
    return str(page.one("#text").get_property("value"))


def another(page: Page, before: str) -> bool:
    """Whether another clip is there, or none any more."""
    return page.one("#done").is_displayed() or text(page) != before


def test_nothing_can_be_answered_before_the_clip_was_played(open_page, server, giver, tmp_path):
    giver.give(np.concatenate([spoken("stop", "light", "yes")] * 4), tmp_path)  # some seconds, to answer too early in
    page = open_page(server, "/tag")
    page.until(lambda: page.state == "stopped", "the browser wants a press first")
    assert enabled(page) == []
    page.press("y")
    page.one('[data-verdict="noise"]').click()
    assert page.state == "stopped"
    assert "Press Play" in page.text("#hint")
    page.one("#play").click()
    page.until(lambda: page.state == "listening", "it should play")
    page.press("y", "n")
    heard(page)
    assert votes(giver) == []
    assert "right" in enabled(page)


def test_a_jump_to_the_end_does_not_count_as_heard(open_page, server, three):
    page = open_page(server, "/tag")
    page.until(lambda: page.state == "stopped", "the browser wants a press first")
    last = page.all("#words button")[-1]
    last.click()
    page.until(lambda: not page.browser.execute_script("return document.body.hasAttribute('data-playing')"), "it ends")
    assert enabled(page) == []


def test_three_clips_are_judged_by_single_keys(open_page, server, three):
    page = judging(open_page, server)
    first = text(heard(page))
    assert [button.text for button in page.all("#words button")] == first.split()
    page.press("y")
    page.until(lambda: page.text("#today") == "1" and page.state != "sending", "the first should be counted")
    page.until(lambda: text(page) != first, "the next clip should come")
    heard(page)  # it plays by itself
    page.press("c")
    assert page.focused.get_attribute("id") == "text"
    page.press(" please", Keys.ENTER)
    page.until(lambda: page.text("#today") == "2", "the second should be counted")
    heard(page).press("u")
    page.until(lambda: page.one("#done").is_displayed(), "nothing should be left")
    assert page.focused.accessible_name == "Look again"
    said = votes(three)
    assert [verdict for verdict, _ in said].count("right") == 1
    assert [verdict for verdict, _ in said].count("unclear") == 1
    corrected = next(text for verdict, text in said if verdict == "corrected")
    assert (corrected or "").endswith("please")


def test_every_verdict_has_the_key_that_its_button_shows(open_page, server, three):
    page = open_page(server, "/tag")
    page.until(lambda: page.state == "stopped", "a clip should be there")
    shown = {
        button.get_attribute("data-verdict"): button.find_element(By.TAG_NAME, "kbd").text
        for button in page.all("[data-verdict]")
    }
    assert len(shown) == len(set(shown.values())) == 6
    for button in page.all("[data-verdict]"):
        assert button.get_attribute("aria-keyshortcuts") == shown[button.get_attribute("data-verdict")]


def test_the_last_answer_is_taken_back_and_its_clip_is_there_at_once(open_page, server, three):
    page = judging(open_page, server)
    slipped = text(heard(page))
    page.press("n")
    page.until(lambda: text(page) not in {slipped, ""} and page.state in READY, "the next clip should come")
    in_hand = text(heard(page))
    page.press("z")
    page.until(lambda: text(page) == slipped and page.text("#today") == "0", "the clip should be back")
    assert votes(three) == []
    heard(page).press("y")
    page.until(lambda: text(page) == in_hand, "the clip that was open should come after it")
    assert [verdict for verdict, _ in votes(three)] == ["right"]


def test_a_clip_that_is_skipped_does_not_come_back(open_page, server, three):
    page = judging(open_page, server)
    for _ in GIVEN:
        here = text(page)
        page.press("s")
        page.until(partial(another, page, here), "the next should come")
        page.until(lambda: page.state not in {"sending", "loading"}, "it should be there")
    assert page.one("#done").is_displayed()
    assert votes(three) == []


def test_who_cannot_skip_for_want_of_a_network_can_answer_still(open_page, server, three):
    page = judging(open_page, server)
    heard(page)
    page.expected = ("ERR_",)
    page.offline(yes=True)
    page.press("s")
    page.until(lambda: "cannot be reached" in page.text("#alert"), "it should be said")
    page.offline(yes=False)
    assert page.state == "answering"
    page.press("u")
    page.until(lambda: page.text("#today") == "1", "the answer should be counted")


def test_letters_in_the_text_are_letters(open_page, server, three):
    page = judging(open_page, server)
    heard(page)
    page.press("c", " u n y")
    assert text(page).endswith(" u n y")
    assert enabled(page)[0] == "corrected"
    page.press(Keys.ESCAPE, "]")
    assert page.one('[name="speed"]:checked').get_attribute("value") == "1.25"
    assert votes(three) == []


def test_single_keys_can_be_switched_off(open_page, server, three):
    page = judging(open_page, server)
    heard(page)
    page.one("#keys").click()
    page.browser.execute_script("document.getElementById('clip').focus()")
    page.press("u")
    assert page.state == "answering"
    page.browser.refresh()
    page.until(lambda: page.state in READY, "the same clip should be there again")
    assert not page.one("#keys").is_selected()


def test_doubtful_words_are_marked_and_lose_the_mark_when_they_are_corrected(open_page, server, giver, tmp_path):
    noisy = spoken("light", "stop")
    giver.give(noisy + white_noise(len(noisy) / 16000, -24)[: len(noisy)], tmp_path)
    page = judging(open_page, server)
    marks = page.all("#marks [data-trust]")
    assert [mark.get_attribute("textContent") for mark in marks] == text(page).split()
    assert {mark.get_attribute("data-trust") for mark in marks} <= {"high", "fair", "low"}
    heard(page).press("c", " extra")
    assert len(page.all("#marks [data-trust]")) == len(marks)


def test_the_second_pass_is_blind(open_page, server, giver, tmp_path):
    giver.give(spoken("stop"), tmp_path)
    first = judging(open_page, server)
    heard(first).press("y")
    first.until(lambda: first.one("#done").is_displayed(), "that was all")
    second = judging(open_page, server)
    assert second.one("#blind").is_displayed()
    assert text(second) == ""
    assert not second.one("#words").is_displayed()
    heard(second)
    assert "right" not in enabled(second)
    second.press("c", "stop", Keys.ENTER)
    second.until(lambda: second.one("#done").is_displayed(), "two of one mind should decide it")
    clip = giver.ask("GET", "/v1/clips")["clips"][0]
    assert (clip["status"], clip["text"]) == ("decided", "stop")


def test_the_lease_is_kept_alive_while_the_page_is_open_and_its_end_is_explained(open_page, serve, tmp_path):
    with serve("--collect", "--tag-lease-s", "5") as server:
        Giver(server).give(spoken("yes", "no"), tmp_path)
        page = judging(open_page, server)
        heard(page)
        beats = "return performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/beat')).length"
        page.until(lambda: page.browser.execute_script(beats) >= 4, "it should beat beyond the lease's first end")
        assert page.state == "answering"
        page.expected = ("409 (Conflict)", "404", "ERR_")
        page.offline(yes=True)
        page.until(lambda: page.one("#lost").is_displayed(), "a lease that ended should be said")
        page.offline(yes=False)
        page.press(Keys.ENTER)
        page.until(lambda: page.state in {"listening", "answering"}, "the next clip should come")


def test_a_finger_on_a_narrow_screen_does_all_of_it(open_page, server, three):
    page = open_page(server, "/tag", size=(360, 740))
    page.browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    page.until(lambda: page.state == "stopped", "a clip should be there")
    assert page.width <= 360
    assert page.text("#words").split() or page.text("#blind")
    assert not [key for key in page.all("kbd") if key.is_displayed()]
    for button in page.all("button, .speeds label"):
        assert not button.is_displayed() or button.size["height"] >= 34, button.accessible_name
    page.one("#play").click()
    heard(page)
    assert page.focused.get_attribute("id") != "text"  # no keyboard over the buttons
    page.one('[data-verdict="other_language"]').click()
    page.until(lambda: page.text("#today") == "1", "the answer should be counted")


def test_all_is_reached_by_the_tab_key_in_the_order_of_the_page(open_page, server, three):
    page = judging(open_page, server)
    heard(page)
    names = page.tabbed()
    wanted = [
        "Play again",
        "What was said",
        "Right as heard",
        "Corrected",
        "Unclear",
        "Noise",
        "Private",
        "Other language",
    ]
    places = [next(i for i, name in enumerate(names) if name.startswith(want)) for want in wanted]
    assert places == sorted(places)
    assert len([name for name in names if "seconds," in name]) == 1  # the words are one stop
