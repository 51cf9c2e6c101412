"""`earloop clips` beside no server: import, list and remove over a real database and folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stt_server.commands.clips import app
from stt_server.speech.files import read_audio, write_wav
from stt_server.store.objects import open_objects
from tests.voices import say

SENTENCES = ("turn on the light", "turn it off")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARLOOP_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def deepspeech(tmp_path: Path) -> Path:
    """A CSV of two recordings and one that is not there."""
    rows = ["wav_filename,wav_filesize,transcript"]
    for number, sentence in enumerate(SENTENCES):
        write_wav(tmp_path / f"{number}.wav", say(sentence))
        rows.append(f"{number}.wav,{(tmp_path / f'{number}.wav').stat().st_size},{sentence}")
    path = tmp_path / "clips.csv"
    path.write_text("\n".join([*rows, "missing.wav,100,not there"]) + "\n", encoding="utf-8")
    return path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def told(*words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output.splitlines()[-1])


def test_a_csv_of_deepspeech_is_imported_once_with_its_basis(data: Path, deepspeech: Path):
    words = ("import", str(deepspeech), "--statement", "We recorded these.", "--licence", "CC0-1.0", "--checked")
    first = told(*words)
    assert (first["kept"], first["known"], first["failed"]) == (2, 0, 1)
    assert "missing.wav" in first["faults"][0][0]
    again = told(*words)
    assert (again["kept"], again["known"]) == (0, 2)
    found = told("list")
    assert {clip["text"] for clip in found} == set(SENTENCES)
    assert {(clip["origin"], clip["status"], clip["licence"]) for clip in found} == {("import", "decided", "CC0-1.0")}
    objects = open_objects(data)
    assert all(len(read_audio(objects.get(key))) > 8000 for key, _ in objects.each("clips/"))


def test_what_was_not_checked_waits_to_be_judged_with_its_text_as_what_was_heard(data: Path, deepspeech: Path):
    told("import", str(deepspeech), "--statement", "We recorded these.")
    assert {(clip["status"], clip["text"]) for clip in told("list")} == {("waiting", None)}
    assert {clip["hypothesis"] for clip in told("list")} == set(SENTENCES)
    assert len(told("list", "--text", "OFF")) == 1


def test_an_import_needs_a_statement(data: Path, deepspeech: Path):
    assert run("import", str(deepspeech)).exit_code == 2
    assert run("import", str(deepspeech), "--statement", " ").exit_code != 0
    assert told("list") == []


def test_removing_takes_row_and_bytes_and_an_unknown_id_removes_nothing(data: Path, deepspeech: Path):
    told("import", str(deepspeech), "--statement", "We recorded these.")
    ids = [clip["id"] for clip in told("list")]
    assert run("remove", ids[0], "0" * 32).exit_code != 0
    assert len(told("list")) == 2
    assert told("remove", ids[0])["clips"] == 1
    assert [clip["id"] for clip in told("list")] == ids[1:]
    assert len(list(open_objects(data).each("clips/"))) == 1
