"""The page of a training's report in a real browser, from disk and without a network."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from stt_server.corpus.clip import Clip
from stt_server.speech.files import write_flac
from tests.browser.page import Page, start_chromium
from tests.browser.test_page import contrast
from tests.bundles import spoken
from training.evaluate import hear
from training.report import LearningPoint, Material, write_report
from training.report.schema import Interval

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVIL = '<script>document.title = "owned"</script>'
OpenReport = Callable[..., Page]


@pytest.fixture(scope="module")
def report(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    test = []
    for number, (words, text) in enumerate(
        [(("yes",), "yes"), (("no",), EVIL), (("stop", "light"), "stop the light on")]
    ):
        write_flac(folder / f"{number}.flac", spoken(*words))
        test.append(Clip(folder / f"{number}.flac", text, EVIL, f"speaker {number}", 1.0, "test"))
    events = [{"event": "step", "step": 50 * n, "loss": 2 / n} for n in range(1, 9)]
    events += [{"event": "validated", "step": 100 * n, "wer": {"a": 0.9 / n, EVIL: 0.7 / n}} for n in range(1, 5)]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, events)), encoding="utf-8")
    learning = [LearningPoint(share=s, clips=int(8 * s), wer=Interval(value=0.3, low=0.2, high=0.4)) for s in (0.5, 1)]
    heard = hear(tiny_bundle, test, lambda sentence: None)
    material = Material(
        "shown", tiny_bundle, heard, train=test[:1], test=test, log=folder / "log.jsonl", learning=learning
    )
    write_report(material, folder)
    return folder / "report.html"


@pytest.fixture
def open_report(report: Path, wav: Path, tmp_path: Path) -> Iterator[OpenReport]:
    pages: list[Page] = []

    def open_one(**looks: Any) -> Page:
        page = Page(start_chromium(tmp_path / f"profile{len(pages)}", wav, **looks))
        pages.append(page)
        page.browser.execute_cdp_cmd("Network.enable", {})
        page.browser.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        page.browser.get(report.as_uri())
        return page

    try:
        yield open_one
        for page in pages:
            page.check_console()
    finally:
        for page in pages:
            page.browser.quit()


def wait(page: Page, script: str) -> Any:
    """The first true value of a script's answer; a page of a report has no dock to tell of."""
    return WebDriverWait(page.browser, 30, poll_frequency=0.05).until(lambda browser: browser.execute_script(script))


def test_it_opens_from_disk_and_asks_nobody_for_anything(open_report: OpenReport) -> None:
    page = open_report()
    assert page.browser.title == "shown: report"
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert EVIL in page.text("#test")
    assert page.all("script") == []


def test_an_utterance_plays_by_keyboard(open_report: OpenReport) -> None:
    page = open_report()
    players = page.all("#utterances audio")
    assert len(players) == 3
    assert all(player.accessible_name for player in players)
    page.browser.execute_script("document.querySelector('#utterances audio').focus()")
    page.press(Keys.SPACE)
    seconds = wait(page, "const a = document.querySelector('#utterances audio'); return a.currentTime && a.duration")
    assert seconds > 0.5


def test_the_curves_are_drawn_in_the_pages_ink(open_report: OpenReport) -> None:
    page = open_report(dark=True)
    charts = page.all("figure svg")
    assert len(charts) == 3
    for chart in charts:
        assert chart.size["height"] > 100
        assert chart.accessible_name
    assert EVIL in page.text("#curves")  # a line of that name
    ink = page.browser.execute_script("return getComputedStyle(document.querySelector('figure svg text')).fill")
    assert ink == page.one("body").value_of_css_property("color").replace("rgba", "rgb").replace(", 1)", ")")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("part", ["body", ".soft", ".tile", ".other", ".words del", ".words ins", "small", "nav a"])
def test_every_text_stands_out_from_its_ground(dark: bool, part: str, shared_page: dict[bool, Page]) -> None:
    page = shared_page[dark]
    own = page.one(part).value_of_css_property("background-color")
    ground = part if not own.endswith(", 0)") else "body"
    assert contrast(page, part, ground) >= 4.5


@pytest.fixture(scope="module")
def shared_page(report: Path, wav: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Page]]:
    folder = tmp_path_factory.mktemp("shared")
    pages = {dark: Page(start_chromium(folder / str(dark), wav, dark=dark)) for dark in (False, True)}
    try:
        for page in pages.values():
            page.browser.get(report.as_uri())
        yield pages
    finally:
        for page in pages.values():
            page.browser.quit()


def test_it_is_read_by_keyboard_alone(open_report: OpenReport) -> None:
    page = open_report()
    page.press(Keys.TAB)
    assert page.focused.text == "Skip to the results"
    page.press(Keys.ENTER)
    assert page.browser.current_url.endswith("#test")
    reached = set()
    for _ in range(60):
        page.press(Keys.TAB)
        reached.add(page.focused.tag_name)
        if "audio" in reached:
            break
    assert {"div", "audio"} <= reached  # tables that may be wider than the screen, and players


def test_on_a_telephone_only_tables_are_wider_than_the_screen(open_report: OpenReport) -> None:
    page = open_report(size=(390, 780))
    width = page.browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= 390
