"""`earloop dataset`, `backup` and `restore` as they are typed, and that training reads what comes out."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from stt_server import cli
from stt_server.corpus.formats.table import read_corpus
from stt_server.store import audit, snapshots
from stt_server.store.database import open_database
from stt_server.store.objects import open_objects
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver

ROOT = Path(__file__).parents[2]
TRAIN_S = 170
TOY = """\
extends: from-scratch
name: toy
model: {width: 32, depth: 2, kernel: 5, channels: 4, lookahead: [1, 1]}
schedule: {epochs: 1, batch_s: 8, workers: 0, threads: 1, precision: fp32}
report: {noise_minutes: 0.1}
"""
TEXTS = [f"{verb} the {thing}" for verb in ("open", "close", "lift") for thing in ("door", "box", "gate", "lid")]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def kitchen(data: Path) -> list[str]:
    """Ids of the clips of a dataset, of two people."""
    with closing(open_database(data)) as database:
        people = [giver(database)[1] for _ in range(2)]
        kept = [agreed(database, open_objects(data), people[n % 2], text) for n, text in enumerate(TEXTS)]
        gathered(database, "kitchen", *kept)
    return [each.id for each in kept]


def run(capsys, *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return int(ended.value.code or 0), *capsys.readouterr()


def test_a_dataset_is_made_filled_frozen_listed_and_compared(capsys, data: Path, kitchen: list[str]):
    assert run(capsys, "dataset", "create", "hall", "--licence", "CC0-1.0", "--description", "for the hall")[0] == 0
    assert run(capsys, "dataset", "add", "hall", *kitchen[:3], "gone")[1] == "3 clips put in\n"
    code, out, _ = run(capsys, "dataset", "list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [["hall", "3"], ["kitchen", "12"]]
    made = json.loads(run(capsys, "dataset", "snapshot", "hall", "--json")[1])
    assert (made["number"], made["purpose"], made["statistics"]["clips"]) == (1, "training", 3)
    run(capsys, "dataset", "add", "hall", kitchen[4])
    assert "hall 2  release" in run(capsys, "dataset", "snapshot", "hall", "--purpose", "release")[1]
    assert [line.split()[1] for line in run(capsys, "dataset", "list", "hall")[1].splitlines()] == ["1", "2"]
    told = json.loads(run(capsys, "dataset", "diff", "hall", "1", "2", "--json")[1])
    assert told["added"] == [kitchen[4]]
    assert f"added           1  {kitchen[4]}" in run(capsys, "dataset", "diff", "hall", "1", "2")[1]


@pytest.mark.parametrize("to", ["out", "out.zip", "out.tar"])
def test_an_export_is_a_folder_or_an_archive_by_its_name_and_is_written_down(
    capsys, data: Path, kitchen: list[str], tmp_path: Path, to: str
):
    run(capsys, "dataset", "snapshot", "kitchen")
    code, out, _ = run(capsys, "dataset", "export", "kitchen", tmp_path / to, "--format", "nemo")
    assert (code, out) == (0, f"{tmp_path / to}: kitchen 1 as nemo, 12 clips\n")
    assert (tmp_path / to).is_dir() == (to == "out")
    with closing(open_database(data)) as database, database.read() as connection:
        entries = audit.of(connection, snapshots.get(connection, "kitchen").id)
    assert [entry.action for entry in entries] == ["snapshot_made", "snapshot_exported"]
    assert run(capsys, "dataset", "export", "kitchen", tmp_path / to)[0] == 5


def test_what_is_not_there_or_cannot_be_is_said_in_a_sentence(capsys, kitchen: list[str], tmp_path: Path):
    for words, code in [
        (("snapshot", "cellar"), 3),
        (("create", "kitchen"), 5),
        (("create", "Kitchen"), 2),
        (("diff", "kitchen", "1", "2"), 3),
        (("export", "kitchen", tmp_path / "x", "--format", "nonsense"), 2),
    ]:
        ended, out, err = run(capsys, "dataset", *words)
        assert (ended, out, err.startswith("earloop: ")) == (code, "", True), words


def test_a_backup_is_restored_into_another_folder(
    capsys, kitchen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    code, out, _ = run(capsys, "backup", tmp_path / "backup.tar")
    assert code == 0
    assert "12 clips" in out
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "other"))
    code, out, _ = run(capsys, "restore", tmp_path / "backup.tar")
    assert code == 0
    assert out.startswith("12 clips of 20")
    assert "kitchen" in run(capsys, "dataset", "list")[1]
    assert run(capsys, "restore", tmp_path / "backup.tar")[0] == 5


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["earloop", "deepspeech"])
def test_training_reads_an_export_with_the_splits_of_the_snapshot(
    capsys, data: Path, kitchen: list[str], tmp_path: Path, format_: str
):
    """`--dry-run` gathers, decodes and checks all data as a training does, and learns nothing."""
    run(capsys, "dataset", "snapshot", "kitchen")
    run(capsys, "dataset", "export", "kitchen", tmp_path / "out", "--format", format_)
    splits = [clip.split for clip in read_corpus(tmp_path / "out").clips]
    (tmp_path / "toy.yaml").write_text(TOY, encoding="utf-8")
    words = ["train", "toy.yaml", "--train", "out", "--dry-run", "--output", "run", "--cache", "cache"]
    done = subprocess.run(
        [sys.executable, "-m", "stt_server.cli", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EARLOOP_CORPORA": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=TRAIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = ", ".join(f"{part} {splits.count(part)}" for part in ("train", "dev", "test"))
    assert f"split as the lists have it: {told}" in done.stdout + done.stderr
