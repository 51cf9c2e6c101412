"""`earloop lm import`, `list` and `remove` as they are typed."""

from functools import partial
from pathlib import Path

import pytest

from stt_server.errors import BadBundle, NotFound
from stt_server.speech.decoder.library import library_path
from stt_server.store.language_models import PREFIX
from stt_server.store.objects import open_objects
from tests.commands import typed
from training.lm import estimate, write_model

pytestmark = pytest.mark.skipif(not library_path(), reason="the native decoder was not built here")

run = partial(typed.run, family="lm")
told = partial(typed.told, family="lm")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_model(estimate(["lamp on"], 2), tmp_path / "home.lm")
    return tmp_path / "home.lm"


def test_a_model_is_imported_listed_and_removed_and_its_history_stays(capsys, data, home):
    first = told(capsys, "import", home, "--name", "home", "--alpha", "0.8", "--reason", "the first")
    assert (first["version"], first["alpha"], first["lineage"]) == (1, 0.8, {"file": "home.lm", "order": 2})
    assert told(capsys, "import", home, "--name", "home", "--alpha", "0.8")["id"] == first["id"]
    assert run(capsys, "import", home, "--name", "home")[1].startswith("home@2  ")
    assert [each["version"] for each in told(capsys, "list")] == [2, 1]
    assert run(capsys, "remove", "home@2", "--yes", "--reason", "deaf") == (0, "home@2: removed\n", "")
    assert "alpha 0.8" in run(capsys, "list")[1]
    assert "home@2" in run(capsys, "list", "--removed")[1]
    assert [each["removed_by"] for each in told(capsys, "list", "--removed")] == ["command", None]
    assert len(list(open_objects(data).each(PREFIX))) == 1


def test_what_cannot_be_is_refused_by_what_is_wrong(capsys, home, tmp_path):
    (tmp_path / "bad.arpa").write_text("no model")
    assert run(capsys, "import", tmp_path / "bad.arpa", "--name", "home")[0] == BadBundle.exit_code
    assert run(capsys, "import", home, "--name", "no name")[0] == 2
    assert run(capsys, "remove", "home", "--yes")[0] == NotFound.exit_code
    assert told(capsys, "list") == []
