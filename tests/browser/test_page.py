import asyncio
import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from stt_server.client import connect
from stt_server.speech.files import write_flac
from stt_server.speech.wer import word_errors
from tests.browser.conftest import SPOKEN
from tests.browser.page import Page
from tests.bundles import spoken

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def speak(page: Page) -> None:
    """Press the focused microphone button by keyboard and wait until the page listens."""
    assert page.focused.get_attribute("id") == "mic"
    page.press(Keys.SPACE)
    page.until(lambda: page.state == "live", "the page should listen")


def stop(page: Page) -> None:
    assert page.focused.get_attribute("id") == "mic"
    page.press(Keys.ENTER)
    page.until(lambda: page.state == "idle", "the last final should come after the stop")


def contrast(page: Page, selector: str, ground: str) -> float:
    """The WCAG contrast ratio of an element's text against the background of `ground`."""
    ink = luminance(page.one(selector).value_of_css_property("color"))
    paper = luminance(page.one(ground).value_of_css_property("background-color"))
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)


def luminance(colour: str) -> float:
    """Of a colour such as `rgb(27, 35, 38)`: black 0, white 1."""
    rgb = [float(part) for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_speech_is_a_grey_partial_while_it_is_spoken_and_then_a_final_with_timed_words(open_page):
    page = open_page()
    page.until(lambda: page.text("#model"), "the model's name should stand above")
    speak(page)
    assert page.one("#mic").accessible_name == "Stop the microphone"
    page.until(lambda: page.text("#partial"), "a partial should appear")
    page.until(lambda: len(page.all(".utterance")) >= len(SPOKEN), "finals should follow")
    stop(page)
    said = " ".join(word for words in SPOKEN for word in words)
    heard = " ".join(word.text for word in page.all(".said .word"))
    assert word_errors(said, heard).total <= 1, heard  # a small model; the page is what is tested
    assert not page.one("#partial").is_displayed()
    for number in ("#final-latency", "#partial-lag"):
        assert re.fullmatch(r"\d+ ms|\d\.\d s", page.text(number)), number
    assert not page.text("#alert")


def test_words_show_their_times_by_arrow_keys_and_in_a_table(open_page):
    page = open_page()
    speak(page)
    page.until(lambda: len(page.all(".utterance")) >= len(SPOKEN), "finals should follow")
    stop(page)
    spoken = max(page.all(".utterance"), key=lambda each: len(each.text))
    words = spoken.find_elements(By.CSS_SELECTOR, ".word")
    page.browser.execute_script("arguments[0].focus()", words[0])
    for word in words[1:]:
        page.press(Keys.ARROW_RIGHT)
        assert page.focused == word
    times = r"\d+\.\d\d – \d+\.\d\d s · \d+ %"
    shown = page.browser.execute_script("return getComputedStyle(arguments[0], '::after').content", page.focused)
    assert re.fullmatch(times, shown.strip('"'))
    page.press(Keys.TAB)
    assert page.focused.tag_name == "summary"
    page.press(Keys.ENTER)
    rows = [row.text for row in spoken.find_elements(By.CSS_SELECTOR, "tbody tr")]
    assert len(rows) == len(words)
    for row, word in zip(rows, words, strict=True):
        assert re.fullmatch(re.escape(word.text) + r" \d+\.\d\d s \d+\.\d\d s \d+ %", row)


def test_the_level_is_drawn_while_somebody_speaks(open_page):
    page = open_page()
    speak(page)
    level = "return Number(document.getElementById('mic').style.getPropertyValue('--level'))"
    page.until(lambda: page.browser.execute_script(level) > 0.3, "the level should rise")
    stop(page)


def test_files_are_written_down_one_after_the_other_and_a_bad_one_is_explained(open_page, tmp_path):
    page = open_page()
    one, other, bad = tmp_path / "one.flac", tmp_path / "other.flac", tmp_path / "no-audio.wav"
    write_flac(one, spoken("yes", "light"))
    write_flac(other, spoken("stop"))
    bad.write_bytes(b"this is no audio at all")
    page.one("#file").send_keys(f"{one}\n{other}")
    page.until(lambda: len(page.all(".utterance")) == 2, "both files should be written down")
    assert [stamp.text for stamp in page.all(".stamp")] == [one.name, other.name]
    assert [said.text for said in page.all(".said")] == ["yes light", "stop"]
    page.expected = ("400 (Bad Request)", "415")
    page.one("#file").send_keys(str(bad))
    sentence = page.until(lambda: page.text("#alert"), "the page should say why")
    assert bad.name in sentence
    assert len(page.all(".utterance")) == 2


def test_a_file_dropped_on_the_page_is_written_down(open_page):
    page = open_page()
    drop = """
        const carried = new DataTransfer();
        carried.items.add(new File(["not audio"], "dropped.wav"));
        for (const kind of ["dragover", "drop"]) {
          document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: carried, bubbles: true, cancelable: true }));
          if (kind === "dragover" && document.getElementById("drop").hidden) throw new Error("no sign where to drop");
        }"""
    page.expected = ("400 (Bad Request)", "415")
    page.browser.execute_script(drop)
    assert "dropped.wav" in page.until(lambda: page.text("#alert"), "what is dropped should be posted")
    assert not page.one("#drop").is_displayed()


def test_what_was_said_can_be_cleared_by_keyboard(open_page, tmp_path):
    page = open_page()
    write_flac(tmp_path / "spoken.flac", spoken("yes"))
    page.one("#file").send_keys(str(tmp_path / "spoken.flac"))
    page.until(lambda: page.all(".utterance"), "the file should be written down")
    page.browser.execute_script("document.getElementById('copy').focus()")
    page.press(Keys.TAB, Keys.ENTER)
    assert page.all(".utterance") == []
    assert page.one("#welcome").is_displayed()
    assert page.focused.get_attribute("id") == "mic"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1200, 820), (390, 780)], ids=["desk", "phone"])
def test_text_is_legible_and_nothing_runs_out_of_the_window(open_page, tmp_path, dark, size):
    page = open_page(dark=dark, size=size)
    write_flac(tmp_path / "a file with quite a long name of which the page has to make the best.flac", spoken("yes"))
    page.one("#file").send_keys(str(next(tmp_path.glob("*.flac"))))
    page.until(lambda: page.all(".utterance"), "the file should be written down")
    ground = page.one("body").value_of_css_property("background-color")
    assert (luminance(ground) < 0.05) == dark
    for selector, behind in ((".said", "body"), (".stamp", "body"), ("#status", ".dock"), ("#mic", "#mic")):
        assert contrast(page, selector, behind) >= 4.5, selector
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    assert page.one("#mic").rect["y"] + page.one("#mic").rect["height"] < size[1]


def test_every_control_is_reached_and_named_by_keyboard(open_page):
    page = open_page()
    names = []
    for _ in range(2):
        names.append(page.focused.accessible_name)
        page.press(Keys.TAB)
    assert names == ["Start the microphone", "Choose a file"]


def test_a_denied_microphone_is_explained(open_page):
    page = open_page(allowed=False)
    page.press(Keys.ENTER)
    assert "allow it for this page" in page.until(lambda: page.text("#alert"), "the page should say what to do")
    assert page.state == "idle"


def test_a_full_server_is_explained(open_page, serve):
    with serve("--max-streams", "1") as url, occupied(url):
        page = open_page(url)
        page.expected = ("503",)
        page.press(Keys.ENTER)
        assert "busy" in page.until(lambda: page.text("#alert"), "the page should say that the server is full")
        assert page.state == "idle"


def test_a_server_that_goes_away_is_explained(open_page, serve):
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(serve("--drain-s", "0"))
        page = open_page(url)
        page.expected = ("ERR_CONNECTION_REFUSED", "Failed to load worklet")
        speak(page)
        stack.close()
        page.until(lambda: page.text("#alert"), "the page should say that the server left")
        assert page.state == "idle"
        page.press(Keys.ENTER)
        page.until(lambda: "still running?" in page.text("#alert"), "the page should say that nobody answers")


@contextmanager
def occupied(url: str) -> Iterator[None]:
    """A stream is open at the server."""
    with asyncio.Runner() as runner:
        stream = runner.run(connect(url))
        try:
            yield
        finally:
            runner.run(stream.close())
