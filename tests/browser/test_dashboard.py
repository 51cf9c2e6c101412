"""The dashboard on a real server: what is live, how it came to be so, what waits, and the swap by its buttons."""

import json
import shutil
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from stt_server.catalog.importing import import_bundle
from stt_server.commands.bench.server import own_server
from stt_server.store import datasets, jobs, reports, shadow_days
from stt_server.store.database import open_database
from stt_server.store.ids import new_id
from stt_server.store.models import Model
from stt_server.store.objects import open_objects
from stt_server.store.reports import GateReport
from stt_server.store.ring import now
from tests.browser.conftest import OpenPage
from tests.browser.page import Page
from tests.store import giving

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def candidate(folder: Path, tiny_bundle: Path, version: str, wer: float) -> Path:
    """The tiny bundle under another version, as if it had been measured."""
    made = Path(shutil.copytree(tiny_bundle, folder / version))
    manifest = json.loads((made / "bundle.json").read_text(encoding="utf-8"))
    rates = [{"source": source, "utterances": 50, "decoder": "reference", **_rates(wer)} for source in ("words", "kit")]
    (made / "bundle.json").write_text(json.dumps(manifest | {"version": version, "error_rates": rates}), "utf-8")
    return made


def _rates(wer: float) -> dict[str, object]:
    interval = {"value": wer, "low": wer / 2, "high": min(1.0, 2 * wer)}
    return {"wer": interval, "cer": interval, "exact": interval}


@pytest.fixture
def data(tmp_path: Path, tiny_bundle: Path) -> Path:
    """Where two candidates wait, one of them with a passed gate; clips, people, a job, and a shadow were there."""
    folder = tmp_path / "data"
    with closing(open_database(folder)) as database:
        objects = open_objects(folder)
        made = [
            import_bundle(database, objects, candidate(tmp_path, tiny_bundle, version, wer), name=None, actor="test")
            for version, wer in (("second", 0.2), ("third", 0.1))
        ]
        _judged(database, made[0])
        _, consent = giving.giver(database)
        for age in (0, 0, 3):
            giving.clip(database, consent, created=now() - timedelta(days=age))
        with database.write() as connection:
            shadow_days.add(connection, shadow_days.Pair(now().date(), made[0].id, "tiny"), _figures())
            datasets.create(connection, "words", "test", now())
            jobs.submit(connection, "train", {"dataset": "words"}, "command", now())
    return folder


def _figures() -> shadow_days.Figures:
    return shadow_days.Figures(utterances=40, differing=10, words=80, edits=12)


def _judged(database, model: Model) -> None:
    told = {"reasons": ["The words of the target are heard better."], "sets": [], "worst": []}
    report = GateReport(
        id=new_id(),
        model_id=model.id,
        base_id=None,
        job_id=None,
        created=now(),
        verdict="passed",
        report=told,
        html_key=None,
    )
    with database.write() as connection:
        reports.insert_report(connection, report)


@pytest.fixture
def page(data: Path, tiny_bundle: Path, open_page: OpenPage):
    with own_server(["--data", str(data), "--model", str(tiny_bundle)], None) as url:
        opened = open_page(url, "/dashboard")
        opened.until(lambda: opened.text("#live") not in ("", "None"), "the live model should be named")
        yield opened
        leave(opened)


def leave(page: Page) -> None:
    """The page looks again every ten seconds, and would complain of a server that has gone."""
    page.check_console()
    page.browser.get("about:blank")


def choose(page: Page, version: str) -> None:
    page.until(lambda: any(version in each.text for each in page.all("#model option")), "it should be offered")
    next(each for each in page.all("#model option") if version in each.text).click()


def test_all_is_read_at_a_glance(page):
    assert page.text("#live").startswith("tiny@")
    assert page.text("#verdict") == "Passed"
    assert "heard better" in page.text("#reasons")
    assert sorted(page.text("#queue div").split()) == ["3", "waiting"]
    bars = [each.get_attribute("textContent") for each in page.all("#clips rect title")]
    assert len(bars) == 30
    assert bars[-1].endswith(": 2")
    assert bars[-4].endswith(": 1")
    assert "words" in page.text("#jobs tbody")
    assert "waiting" in page.text("#jobs tbody")
    assert page.one("#shadow circle title").get_attribute("textContent").endswith(": 25 %")
    assert page.width <= 1200


def test_a_model_that_passed_its_gate_is_swapped_in_and_rolled_back_with_a_button(page):
    before = page.text("#live")
    choose(page, "second")
    page.one("#promote button").click()
    page.until(lambda: "@second" in page.text("#live"), "it should be live")
    assert "its gate was passed" in page.text("#live-since")
    assert len(page.all("#wer circle")) >= 2
    page.until(lambda: page.one("#rollback").is_displayed(), "there is a model to go back to")
    page.one("#rollback").click()
    page.until(lambda: page.text("#live") == before, "the one before should be live again")
    assert [each.text.split(" · ")[1] for each in page.all("#changes li")[:2]] == ["rollback", "promote"]


def test_a_model_without_a_gate_is_refused_until_a_reason_is_written(page):
    page.expected = ("409",)
    choose(page, "third")
    page.one("#promote button").click()
    page.until(lambda: page.one("#alert").is_displayed(), "it should be refused")
    assert "reason" in page.text("#alert")
    page.one("#reason").send_keys("we need it")
    page.one("#promote button").click()
    page.until(lambda: "@third" in page.text("#live"), "it should be live")
    assert "no gate was passed" in page.text("#live-since")
    assert "we need it" in page.text("#changes")


def test_the_dashboard_fits_a_telephone_in_the_dark(data, tiny_bundle, open_page):
    with own_server(["--data", str(data), "--model", str(tiny_bundle)], None) as url:
        page = open_page(url, "/dashboard", dark=True, size=(390, 780))
        page.until(lambda: page.all("#clips rect"), "it should be drawn")
        assert page.width <= 390
        assert page.one("#jobs").find_element(By.TAG_NAME, "tbody").text
        leave(page)
