"""The page at a server that asks for a key: typed by keyboard, kept for the tab, used by microphone and uploads."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from stt_server.speech.files import write_flac
from stt_server.store import keys
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Scope
from tests.browser.page import Page
from tests.browser.test_page import contrast, speak
from tests.bundles import spoken

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locked")


@pytest.fixture(scope="module")
def database(data: Path):
    with closing(open_database(data)) as opened:
        yield opened


@pytest.fixture(scope="module")
def key(database: Database) -> str:
    return make(database, Scope.STREAM)


@pytest.fixture(scope="module")
def locked(serve, data: Path, key: str):
    with serve("--data", str(data)) as url:
        yield url


def make(database: Database, scope: Scope) -> str:
    with database.write() as connection:
        return keys.create(connection, "browser", [scope], datetime.now(UTC))


def at_the_door(open_page, url: str, **looks) -> Page:
    page = open_page(url, **looks)
    page.expected = ("401 (Unauthorized)", "403 (Forbidden)")
    page.until(lambda: page.one("#door").is_displayed(), "the page should ask for a key")
    return page


def enter(page: Page, key: str) -> None:
    assert page.focused.get_attribute("id") == "key"
    page.press(key, Keys.ENTER)


def test_with_its_key_the_page_listens_and_reads_files(open_page, locked, key, tmp_path):
    page = at_the_door(open_page, locked)
    enter(page, key)
    page.until(lambda: not page.one("#door").is_displayed(), "the key should be taken")
    assert page.text("#status") == "Key accepted"
    speak(page)
    page.until(lambda: page.all(".utterance"), "a final should come")
    page.press(Keys.ENTER)
    page.until(lambda: page.state == "idle", "the stream should end")
    heard = len(page.all(".utterance"))
    write_flac(tmp_path / "spoken.flac", spoken("stop"))
    page.one("#file").send_keys(str(tmp_path / "spoken.flac"))
    page.until(lambda: len(page.all(".utterance")) == heard + 1, "the file should be written down")
    assert not page.text("#alert")


def test_the_key_lasts_for_the_tab_and_no_longer(open_page, locked, key):
    page = at_the_door(open_page, locked)
    enter(page, key)
    page.until(lambda: not page.one("#door").is_displayed(), "the key should be taken")
    page.browser.refresh()
    speak(page)
    page.press(Keys.ENTER)
    assert page.browser.execute_script("return [localStorage.length, document.cookie]") == [0, ""]
    assert key not in page.browser.current_url
    page.browser.switch_to.new_window("tab")
    page.browser.get(f"{locked}/")
    page.until(lambda: page.one("#door").is_displayed(), "another tab should ask again")


@pytest.mark.parametrize(("wrong", "why"), [("el_0123456789abcdef_nope", "not valid"), ("monitor", "scope stream")])
def test_a_key_that_does_not_fit_is_explained_and_asked_for_again(open_page, locked, key, database, wrong, why):
    page = at_the_door(open_page, locked)
    enter(page, make(database, Scope.MONITOR) if wrong == "monitor" else wrong)
    page.until(lambda: why in page.text("#key-alert"), "the page should say what is wrong")
    assert page.one("#key").get_attribute("aria-invalid") == "true"
    enter(page, key)  # what was typed is selected, and so replaced
    page.until(lambda: not page.one("#door").is_displayed(), "the other key should be taken")
    assert page.focused.get_attribute("id") == "mic"


def test_a_key_that_is_revoked_while_speaking_ends_the_stream_and_is_asked_for_again(open_page, locked, database):
    page = at_the_door(open_page, locked)
    key = make(database, Scope.STREAM)
    enter(page, key)
    page.until(lambda: not page.one("#door").is_displayed(), "the key should be taken")
    speak(page)
    with database.write() as connection:
        keys.revoke(connection, key, datetime.now(UTC))
    page.until(lambda: "revoked" in page.text("#alert"), "the page should say why it stopped")
    page.until(lambda: page.one("#door").is_displayed(), "the page should ask for another key")


def test_the_field_is_named_hidden_from_neighbours_and_described(open_page, locked):
    page = at_the_door(open_page, locked)
    field = page.one("#key")
    assert field.accessible_name == "This server asks for an API key"
    assert field.get_attribute("type") == "password"
    for described in (field.get_attribute("aria-describedby") or "").split():
        assert len(page.all(f"#{described}")) == 1
    assert page.one("#key-alert").get_attribute("role") == "alert"
    page.press(Keys.TAB)
    assert page.focused.accessible_name == "Use it"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [(1200, 820), (390, 780)], ids=["desk", "phone"])
def test_the_door_is_legible_and_fits(open_page, locked, dark, size):
    page = at_the_door(open_page, locked, dark=dark, size=size)
    page.press(Keys.ENTER)
    page.until(lambda: page.text("#key-alert"), "an empty key should be refused")
    for selector, behind in (("label[for=key]", "#door"), ("#key-note", "#door"), ("#key", "#key")):
        assert contrast(page, selector, behind) >= 4.5, selector
    button = page.one("#door").find_element(By.TAG_NAME, "button")
    assert contrast(page, "#door button", "#door button") >= 4.5
    assert button.rect["x"] + button.rect["width"] <= size[0]
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= size[0]


def test_a_server_that_asks_for_no_key_does_not_show_the_field(open_page):
    page = open_page()
    page.until(lambda: page.text("#model"), "the model's name should stand above")
    assert not page.one("#door").is_displayed()
