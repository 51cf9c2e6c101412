"""What all pages share: the way between them, names for everything, legible text, room on a narrow screen."""

import pytest
from selenium.webdriver.common.by import By

from stt_server.web.page import PAGES, TABLE
from tests.browser.conftest import OpenPage
from tests.browser.page import Page
from tests.browser.test_page import contrast, luminance

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OURS = ["/", "/tag", "/record", "/datasets", "/consent", "/login"]


def settled(page: Page) -> None:
    """Wait until the page knows who is there and says something."""
    page.until(lambda: page.browser.execute_script("return document.readyState") == "complete", "it should load")
    page.until(lambda: page.state != "loading", "it should know what to show")


@pytest.mark.parametrize("path", OURS)
def test_a_page_leads_to_the_others_and_says_which_one_it_is(path):
    html = (PAGES / TABLE[path]).read_text(encoding="utf-8")
    for link in ("./", "record", "tag", "datasets", "consent"):
        assert f'href="{link}"' in html
    assert html.count('aria-current="page"') == (path != "/login")


@pytest.mark.parametrize("path", OURS)
def test_a_page_runs_nothing_that_stands_in_it(path):
    html = (PAGES / TABLE[path]).read_text(encoding="utf-8")
    assert "style=" not in html
    assert "<style" not in html
    assert html.count("<script") == html.count('<script type="module" src="static/')
    assert "http" not in html  # nothing comes from elsewhere


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_every_page_fits_and_is_legible(open_page: OpenPage, url: str, width: int, dark: bool) -> None:
    page = open_page(dark=dark, size=(width, 780))
    for path in OURS:
        page.browser.get(url + path)
        settled(page)
        assert page.width <= width, path
        assert (luminance(page.one("body").value_of_css_property("background-color")) < 0.05) == dark
        assert contrast(page, ".pages a:not([aria-current])", "body") >= 4.5
        for control in page.all("button, a, input, select, textarea"):
            assert not control.is_displayed() or control.accessible_name, (path, control.get_attribute("outerHTML"))


def test_every_page_has_one_title_and_fields_with_labels(open_page: OpenPage, url: str) -> None:
    page = open_page()
    for path in OURS:
        page.browser.get(url + path)
        settled(page)
        assert len([title for title in page.all("h1") if title.is_displayed() or "unseen" in classes(title)]) == 1, path
        ids = [each.get_attribute("id") for each in page.all("[id]")]
        assert len(ids) == len(set(ids)), path
        for described in page.all("[aria-describedby]"):
            names = (described.get_attribute("aria-describedby") or "").split()
            assert set(names) <= set(ids), path


def classes(element) -> list[str]:
    return (element.get_attribute("class") or "").split()


def test_nothing_moves_for_who_asks_for_that(open_page: OpenPage, url: str) -> None:
    page = open_page()
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": still})
    for path in OURS:
        page.browser.get(url + path)
        moving = "return document.getAnimations().length"
        assert page.browser.execute_script(moving) == 0, path
        assert page.browser.find_element(By.TAG_NAME, "button").value_of_css_property("transition-duration") == "0s"


# ------------------------------------------------------------------------------------------------ what runs in the page


def run(page: Page, module: str, expression: str):
    """The value of an expression in which `it` is a module of ours."""
    script = f"const done = arguments[1]; import(`/static/${{arguments[0]}}`).then((it) => done({expression}))"
    return page.browser.execute_async_script(script, module)


def test_words_stay_marked_while_others_are_corrected(open_page: OpenPage) -> None:
    page = open_page()
    words = '[["turn", 0, 1, 0.9], ["the", 1, 2, 0.3], ["kitten", 2, 3, 0.7], ["light", 3, 4, 0.9]]'
    pieces = run(page, "marks.js", f'it.marked("Turn on the kitchen  light", {words})')
    assert "".join(piece for piece, _ in pieces) == "Turn on the kitchen  light"
    marks = [mark for piece, mark in pieces if piece.strip()]
    assert marks == ["high", None, "low", None, "high"]


def test_a_script_is_read_as_it_is_written(open_page: OpenPage) -> None:
    page = open_page()
    script = [["turn on the light", 50], ["stop", 1], ["two x four", 1], ["3 little pigs", 1]]
    assert run(page, "script.js", f"it.read(it.written({script}))") == script
    assert run(page, "script.js", 'it.read("5 x yes\\n\\n 2*no ")') == [["yes", 5], ["no", 2]]


def test_sentences_come_in_turn_until_each_was_said_as_often_as_wanted(open_page: OpenPage) -> None:
    page = open_page()
    script = '[["yes", 2], ["no", 1]]'
    assert run(page, "script.js", f"it.following({script}, {{}}, -1)") == 0
    assert run(page, "script.js", f"it.following({script}, {{yes: 1}}, 0)") == 1
    assert run(page, "script.js", f"it.following({script}, {{yes: 1, no: 1}}, 1)") == 0
    assert run(page, "script.js", f"it.following({script}, {{yes: 2, no: 1}}, 0)") is None
    assert run(page, "script.js", f"it.leftInAll({script}, {{yes: 3}})") == 1
