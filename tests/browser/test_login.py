"""Logging in with a key: a cookie that scripts cannot read, by which every page of the server works from then on."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from stt_server.store import consents, keys, people
from stt_server.store.database import open_database
from stt_server.store.rights import Scope
from tests.browser.conftest import OpenPage, Serve
from tests.browser.page import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("locked")


@pytest.fixture(scope="module")
def key(data: Path) -> str:
    with closing(open_database(data)) as database, database.write() as connection:
        return keys.create(connection, "anna", [Scope.STREAM, Scope.CONTRIBUTE, Scope.CURATE], datetime.now(UTC))


@pytest.fixture(scope="module")
def locked(serve: Serve, data: Path, key: str):
    with serve("--data", str(data)) as url:
        yield url


def at_the_login(open_page: OpenPage, url: str, path: str) -> Page:
    page = open_page(url, path)
    page.expected = ("401 (Unauthorized)", "403 (Forbidden)")
    page.until(lambda: "/login" in page.browser.current_url, "the page should send its visitor to the login")
    page.until(lambda: page.focused.get_attribute("id") == "key", "the field should have the focus")
    return page


def test_who_needs_a_key_is_asked_for_it_and_comes_back(open_page: OpenPage, locked: str, key: str) -> None:
    page = at_the_login(open_page, locked, "/datasets?name=kitchen")
    page.press(key, Keys.ENTER)
    page.until(lambda: page.browser.current_url == f"{locked}/datasets?name=kitchen", "it should come back")
    page.until(lambda: page.text("#account") == "anna", "the page should say who is logged in")
    assert page.browser.execute_script("return [localStorage.length, sessionStorage.length, document.cookie]") == [
        0,
        0,
        "",
    ]


def test_the_cookie_opens_the_page_that_listens_too(open_page: OpenPage, locked: str, key: str) -> None:
    page = at_the_login(open_page, locked, "/datasets")
    page.press(key, Keys.ENTER)
    page.until(lambda: page.browser.current_url == f"{locked}/datasets", "it should come back")
    page.browser.get(f"{locked}/")
    page.until(lambda: page.text("#model"), "the model's name should stand above")
    assert not page.one("#door").is_displayed()
    page.press(Keys.SPACE)
    page.until(lambda: page.state == "live", "the page should listen")


def test_logging_out_closes_the_pages_again(open_page: OpenPage, locked: str, key: str) -> None:
    page = at_the_login(open_page, locked, "/datasets")
    page.press(key, Keys.ENTER)
    page.until(lambda: page.browser.current_url == f"{locked}/datasets", "it should come back")
    page.browser.get(f"{locked}/login")
    page.until(lambda: page.text("#name") == "anna", "the page should say who is logged in")
    page.one("#out").click()
    page.until(lambda: page.one("#key").is_displayed(), "the page should ask for a key again")
    page.browser.get(f"{locked}/datasets")
    page.until(lambda: "/login" in page.browser.current_url, "nobody is logged in any more")


@pytest.mark.parametrize(("shown", "why"), [("", "Type the key"), ("el_0123456789abcdef_nope", "not valid")])
def test_a_wrong_key_is_explained(open_page: OpenPage, locked: str, shown: str, why: str) -> None:
    page = at_the_login(open_page, locked, "/tag")
    page.press(shown, Keys.ENTER) if shown else page.press(Keys.ENTER)
    page.until(lambda: why in page.text("#alert"), "the page should say what is wrong")
    assert page.one("#key").get_attribute("aria-invalid") == "true"
    assert page.focused.get_attribute("id") == "key"


def test_a_key_that_may_not_judge_is_told_so(open_page: OpenPage, locked: str, data: Path) -> None:
    with closing(open_database(data)) as database, database.write() as connection:
        giver = keys.create(connection, "giver", [Scope.CONTRIBUTE], datetime.now(UTC))
    page = at_the_login(open_page, locked, "/tag")
    page.press(giver, Keys.ENTER)
    page.until(lambda: "scope tag" in page.text("#alert"), "the page should name the scope")


@pytest.mark.parametrize("next_page", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "../../evil"])
def test_the_login_leads_to_no_other_place(open_page: OpenPage, locked: str, key: str, next_page: str) -> None:
    page = open_page(locked, f"/login?next={next_page}")
    page.until(lambda: page.focused.get_attribute("id") == "key", "the field should have the focus")
    page.press(key, Keys.ENTER)
    page.until(lambda: page.browser.current_url == f"{locked}/", "it should lead to the first page")


def test_an_open_server_needs_no_login(open_page: OpenPage) -> None:
    page = open_page(path="/login")
    page.until(lambda: page.one("#open").is_displayed(), "the page should say that the server is open")


def test_who_is_logged_in_is_not_taken_for_the_contributor_who_used_this_browser_before(
    open_page: OpenPage, locked: str, data: Path, key: str
) -> None:
    with closing(open_database(data)) as database, database.write() as connection:
        before, token = people.create(connection, datetime.now(UTC))
    page = at_the_login(open_page, locked, "/consent")
    page.browser.execute_script("localStorage.setItem('earloop-contributor', arguments[0])", token)
    page.press(key, Keys.ENTER)
    page.until(lambda: page.browser.current_url == f"{locked}/consent", "it should come back")
    page.until(lambda: page.one("#all").is_displayed(), "the page should be ready")
    page.browser.execute_script("document.querySelector('#training').focus()")
    page.press(Keys.SPACE, Keys.ENTER)
    page.until(lambda: page.text("#state") == "Clips of what you say are kept", "the page should say so")
    with closing(open_database(data)) as database, database.write() as connection:
        anna = people.of_key(connection, key.split("_")[1], datetime.now(UTC))
        assert set(consents.living(connection, datetime.now(UTC))) == {anna.id} != {before.id}
