"""Exports, read back by whatever reads such a thing."""

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update

from stt_server.corpus.formats.table import read_corpus
from stt_server.corpus.noise import read_noise
from stt_server.datasets import export as module
from stt_server.datasets.archives import as_tar, as_zip, into_archive, into_folder
from stt_server.datasets.export import FORMATS, WEBDATASET, files, open_export
from stt_server.datasets.making import make_snapshot
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.speech.files import read_audio
from stt_server.store.database import Database
from stt_server.store.objects import ObjectStore
from stt_server.store.rights import Purpose
from stt_server.store.tables import CLIPS
from stt_server.store.withdrawal import Why, remove_clips
from tests.datasets.rows import agreed, gathered
from tests.store.giving import giver

TEXTS = ["turn on the light", 'say "no, thanks"', "größer, bitte", "stop", "go on", "louder"]
LISTED = [name for name in FORMATS if name != WEBDATASET]


@pytest.fixture
def kitchen(file: Database, objects: ObjectStore) -> dict[str, str]:
    """A dataset with a snapshot for training (1) and one for release (2): {clip id: text}."""
    people = [giver(file)[1] for _ in range(2)]
    kept = [agreed(file, objects, people[n % 2], text, seconds=0.5 + n / 8) for n, text in enumerate(TEXTS)]
    hum = agreed(file, objects, people[0], text="", verdict="noise")
    gathered(file, "kitchen", *kept, hum)
    make_snapshot(file, "kitchen", Purpose.TRAINING, "test")
    make_snapshot(file, "kitchen", Purpose.RELEASE, "test", strict=False)
    return {each.id: str(each.text) for each in (*kept, hum)}


def exported(database: Database, objects: ObjectStore, folder: Path, format_: str, number: int = 1) -> Path:
    chosen = open_export(database, "kitchen", number, format_)
    into_folder(files(chosen, objects), folder)
    return folder


@pytest.mark.parametrize("format_", LISTED)
def test_an_export_is_read_back_by_our_own_reader_with_every_clip(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str], format_: str
):
    reading = read_corpus(exported(file, objects, tmp_path / "out", format_))
    assert (reading.format.name, reading.findings) == (format_, [])
    assert sorted(clip.text for clip in reading.clips) == sorted(TEXTS)
    assert {clip.split for clip in reading.clips} == {"train", "dev", "test"}
    for clip in reading.clips:
        sound = objects.get(f"clips/{clip.path.stem[:2]}/{clip.path.stem}.flac")
        assert np.array_equal(read_audio(clip.path), read_audio(sound))
        assert kitchen[clip.path.stem] == clip.text


def test_deepspeech_gets_wav_with_its_true_size(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str]
):
    folder = exported(file, objects, tmp_path / "out", "deepspeech")
    with (folder / "train.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert rows
    for row in rows:
        path = folder / row["wav_filename"]
        assert path.read_bytes()[:4] == b"RIFF"
        assert path.stat().st_size == int(row["wav_filesize"])


def test_a_webdataset_has_a_sample_of_three_files_for_each_clip_in_shards_of_one_split(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str], monkeypatch
):
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    folder = exported(file, objects, tmp_path / "out", WEBDATASET)
    found = {}
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as archive:
            names = archive.getnames()
            assert [name.partition(".")[2] for name in names] == ["flac", "txt", "json"]
            parts = [archive.extractfile(name) for name in names]
            sound, text, told = [part.read() for part in parts if part is not None]
        assert len(read_audio(sound)) > 0
        assert json.loads(told)["text"] == text.decode()
        found[names[0].partition(".")[0]] = text.decode()
    assert found == {clip: text for clip, text in kitchen.items() if text}
    assert {shard.name.partition("-")[0] for shard in folder.glob("*.tar")} == {"train", "dev", "test"}
    assert (folder / "train-000001.tar").exists()


def test_clips_without_speech_lie_beside_as_noise_that_a_recipe_takes(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str]
):
    (noise,) = read_noise(exported(file, objects, tmp_path / "out", "earloop") / "noise" / "manifest.csv")
    assert (noise.kind, noise.duration_s) == ("noise", 1.0)
    assert kitchen[noise.path.stem] == ""


@pytest.mark.parametrize("format_", FORMATS)
def test_a_release_names_no_person_and_no_clip_that_the_server_knows(
    file: Database, objects: ObjectStore, kitchen: dict[str, str], format_: str
):
    whole = b"".join(as_zip(files(open_export(file, "kitchen", 2, format_), objects)))
    with file.read() as connection:
        rows = connection.execute(CLIPS.select()).all()
    for row in rows:
        for secret in (row.id, row.person_id, row.consent_id):
            assert secret.encode() not in whole
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        if format_ == "earloop":
            lines = archive.read("manifest.csv").decode().splitlines()
            assert {row["speaker"] for row in csv.DictReader(lines)} == {""}
        assert b"public release" in archive.read("LICENCE.txt")
        told = json.loads(archive.read("snapshot.json"))
    assert (told["purpose"], told["exported"], told["withdrawn"]) == ("release", 7, 0)


def test_for_training_a_speaker_has_a_name_that_is_not_the_persons_id(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str]
):
    clips = read_corpus(exported(file, objects, tmp_path / "out", "earloop")).clips
    with file.read() as connection:
        people = {row.person_id for row in connection.execute(CLIPS.select())}
    speakers = {clip.speaker for clip in clips}
    assert len(speakers) == 2
    assert not speakers & people


@pytest.mark.parametrize("format_", FORMATS)
def test_what_was_withdrawn_is_in_no_export_of_an_earlier_snapshot(
    file: Database, objects: ObjectStore, kitchen: dict[str, str], format_: str
):
    gone = next(clip for clip, text in kitchen.items() if text == "stop")
    with file.write() as connection:
        remove_clips(connection, [gone], "test", Why.WITHDRAWAL)
    whole = b"".join(as_tar(files(open_export(file, "kitchen", 1, format_), objects)))
    assert gone.encode() not in whole
    assert b"stop" not in whole
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        told = archive.extractfile("snapshot.json")
        assert told is not None
        assert json.load(told)["withdrawn"] == 1


def test_a_clip_whose_bytes_leave_while_it_is_exported_is_in_no_list(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str]
):
    chosen = open_export(file, "kitchen", 1, "earloop")
    objects.delete(chosen.lines[0].object_key)
    into_folder(files(chosen, objects), tmp_path / "out")
    assert len(read_corpus(tmp_path / "out").clips) == len(TEXTS) - (1 if chosen.lines[0].text else 0)


def test_a_row_that_is_not_what_it_was_is_not_given_away(file: Database, objects: ObjectStore, kitchen: dict[str, str]):
    with file.write() as connection:
        connection.execute(update(CLIPS).values(licence="another"))
    with pytest.raises(Conflict, match="is not what it was"):
        open_export(file, "kitchen", 1, "nemo")


def test_what_cannot_be_exported_is_refused_by_name(
    file: Database, objects: ObjectStore, tmp_path: Path, kitchen: dict[str, str]
):
    with pytest.raises(BadOption, match="exported as one of earloop, deepspeech"):
        open_export(file, "kitchen", 1, "librispeech")
    with pytest.raises(NotFound, match="no snapshot 9"):
        open_export(file, "kitchen", 9, "nemo")
    assert open_export(file, "kitchen", None, "nemo").snapshot.number == 2
    (tmp_path / "out").mkdir()
    with pytest.raises(Conflict, match="is there already"):
        exported(file, objects, tmp_path / "out", "nemo")


def test_a_folder_or_archive_that_breaks_off_is_not_there_at_all(tmp_path: Path):
    def broken():
        yield from ()
        raise Conflict("in the middle")

    with pytest.raises(Conflict):
        into_folder(broken(), tmp_path / "out")
    with pytest.raises(Conflict):
        into_archive(as_zip(broken()), tmp_path / "out.zip")
    assert list(tmp_path.iterdir()) == []
