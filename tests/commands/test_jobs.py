"""`earloop jobs` as it is typed, beside a worker that is another process."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from stt_server import cli
from stt_server.store import datasets, jobs
from stt_server.store.database import open_database
from stt_server.store.ring import now


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a dataset called kitchen."""
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    with closing(open_database(tmp_path / "data")) as database, database.write() as connection:
        datasets.create(connection, "kitchen", "test", now())
    return tmp_path / "data"


@pytest.fixture
def typed(capsys):
    """`typed("list")`: exit code, what it wrote, what it complained of."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.main(["jobs", *words])
        out, errors = capsys.readouterr()
        return int(ended.value.code or 0), out.strip(), errors.strip()

    return run


def test_a_job_is_submitted_shown_cancelled_and_begun_again(typed):
    code, job, _ = typed("submit", "kitchen", "--promote", "gated", "--set", "schedule.epochs=3", "--name", "better")
    assert code == 0
    told = json.loads(typed("show", job, "--json")[1])
    assert told["params"] | {"set": {"schedule.epochs": 3}, "promote": "gated", "name": "better"} == told["params"]
    assert (told["status"], told["created_by"]) == ("waiting", "command")
    assert job in typed("list")[1]
    assert typed("list", "--status", "done")[1] == "no job"
    assert typed("log", job)[1] == "nothing yet"
    assert typed("cancel", job)[1] == "cancelled"
    assert typed("cancel", job)[0] == 5
    assert typed("retry", job)[1] == "waiting"


def test_what_a_running_job_is_at_and_what_came_of_one_is_in_the_list(typed, data):
    _, job, _ = typed("submit", "kitchen")
    with closing(open_database(data)) as database, database.write() as connection:
        claimed = jobs.claim(connection, "ann", now(), 30)
        assert claimed is not None
        jobs.beat(connection, claimed, now(), 30, stage="fit", progress=0.25, log="step 1\nstep 2")
    assert "fit  25%" in typed("list")[1]
    assert typed("log", job)[1].splitlines() == ["step 1", "step 2"]
    assert "seconds" in typed("cancel", job)[1]
    with closing(open_database(data)) as database, database.write() as connection:
        jobs.finish(connection, claimed, {"verdict": "refused", "wer": 0.25}, now())
    assert "verdict refused wer 0.25" in typed("list")[1]
    assert '"verdict": "refused"' in typed("show", job)[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["submit", "nothing"], 3, "no dataset"),
        (["submit", "kitchen", "--set", "data.train=x"], 2, "set"),
        (["submit", "kitchen", "--set", "epochs"], 2, "key=value"),
        (["submit", "kitchen", "--base", "nobody"], 3, "no model"),
        (["show", "nothing"], 3, "no job"),
        (["cancel", "nothing"], 3, "no job"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(typed, words, code, said):
    ended, _, errors = typed(*words)
    assert ended == code
    assert said in errors
    assert len(errors.splitlines()) == 1
