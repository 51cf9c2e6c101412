"""The recorder: takes to clips, behind a queue with a bound, in a thread that nobody waits for."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from stt_server.collection.keeping import Basis, Heard, Rules
from stt_server.collection.recorder import MOST_BYTES, Recorder
from stt_server.collection.tap import Take
from stt_server.messages import Word
from stt_server.metrics import Metrics
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.store import clips, consents
from stt_server.store.clips import Allowance, ClipFilter, KeptClip
from stt_server.store.database import Database, open_database
from stt_server.store.objects import FolderObjects
from tests.store.giving import giver, now
from tests.voices import Samples, say, white_noise

PATIENCE_S = 60.0
PCM = AudioFormat()
ALL = Rules()


class Gate(FolderObjects):
    """A folder that keeps its writer waiting until it is opened."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.open, self.inside = threading.Event(), threading.Event()

    def put(self, key: str, data: bytes) -> None:
        self.inside.set()
        assert self.open.wait(PATIENCE_S)
        super().put(key, data)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that is closed keeps what waits, however long its thread gives way on a busy machine."""
    monkeypatch.setattr("stt_server.collection.recorder.CLOSE_S", PATIENCE_S)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "objects")


@pytest.fixture
def basis(database: Database) -> Basis:
    person, consent = giver(database)
    return Basis(frozenset(map(str, consent.purposes)), person.id, consent.id)


Record = Callable[..., tuple[list[KeptClip], Metrics]]


@pytest.fixture
def record(database: Database, objects: FolderObjects) -> Record:
    """Offer takes to a recorder with such rules and wait until it is done with them."""

    def record(*takes: Take, rules: Rules = ALL) -> tuple[list[KeptClip], Metrics]:
        metrics = Metrics()
        recorder = Recorder(database, objects, rules, metrics)
        recorder.start()
        for take in takes:
            assert recorder.offer(take)
        recorder.close()
        with database.read() as connection:
            return clips.listed(connection), metrics

    return record


def take(basis: Basis, samples: Samples, form: AudioFormat = PCM, text: str = "turn on the light") -> Take:
    data = encode_pcm(form, samples)
    heard = Heard(text, (Word("turn", 0.3, 0.5, 0.8), Word("on", 0.5, 0.6, 0.6)), "toy 1", "lm", "en", "turn in")
    return Take((data,), 0, len(data), form, basis, heard, "native", "kitchen", "session")


def dropped(metrics: Metrics, why: str) -> float:
    return metrics.registry.get_sample_value("earloop_clips_dropped_total", {"reason": why}) or 0.0


def test_a_take_becomes_a_clip_that_plays_what_was_said(record: Record, objects: FolderObjects, basis: Basis):
    spoken = say("turn on the light")
    [clip], metrics = record(take(basis, spoken), rules=Rules(expiry=timedelta(days=90)))
    played = read_audio(objects.get(clip.object_key))
    np.testing.assert_allclose(played, spoken, atol=1 / 16_000)
    assert clip.size == objects.size(clip.object_key)
    assert clip.duration_s == pytest.approx(len(spoken) / 16_000)
    assert (clip.person_id, clip.consent_id, clip.purposes) == (basis.person_id, basis.consent_id, basis.purposes)
    assert (clip.hypothesis, clip.model, clip.lm, clip.language) == ("turn on the light", "toy 1", "lm", "en")
    assert (clip.protocol, clip.device, clip.session, clip.origin) == ("native", "kitchen", "session", "stream")
    assert clip.words == (("turn", 0.3, 0.5, 0.8), ("on", 0.5, 0.6, 0.6))
    assert clip.confidence == pytest.approx(0.7)
    assert clip.greedy == "turn in"
    assert clip.status == "waiting"
    assert clip.expires is not None
    assert timedelta(days=89) < clip.expires - now() <= timedelta(days=90)
    assert metrics.registry.get_sample_value("earloop_clips_kept_total", {"origin": "stream"}) == 1


def test_audio_of_any_kind_is_kept_as_16_khz_mono(record: Record, objects: FolderObjects, basis: Basis):
    spoken = say("turn on the light", hz=48_000)
    [clip], _ = record(take(basis, spoken, AudioFormat("f32le", 48_000, 2)))
    assert read_audio(objects.get(clip.object_key)).shape == (-(-len(spoken) // 3),)


def test_the_same_recording_is_kept_once_and_another_take_of_the_same_sentence_is_kept_too(
    record: Record, basis: Basis
):
    spoken, again = say("turn on the light"), say("turn on the light", rate=140)
    found, metrics = record(take(basis, spoken), take(basis, spoken), take(basis, again))
    assert len(found) == 2
    assert {clip.duplicate_of for clip in found} == {None}
    assert dropped(metrics, "conflict") == 1


def test_the_same_recording_at_another_level_is_said_to_be_a_duplicate(record: Record, basis: Basis):
    spoken = say("turn on the light")
    found, _ = record(take(basis, spoken), take(basis, (spoken * 0.5).astype(np.float32)))
    newest, oldest = found
    assert (oldest.duplicate_of, newest.duplicate_of) == (None, oldest.id)


def test_what_is_not_worth_judging_is_dropped_by_its_reason(record: Record, basis: Basis):
    spoken = say("turn on the light")
    hiss = (spoken * 0.05 + white_noise(len(spoken) / 16_000, -30.0)[: len(spoken)]).astype(np.float32)
    rules = Rules(least_s=0.5, least_confidence=0.5, least_snr_db=6.0)
    unsure = replace(take(basis, spoken), heard=Heard("la"))
    found, metrics = record(take(basis, spoken), take(basis, spoken[:4000]), take(basis, hiss), unsure, rules=rules)
    assert len(found) == 1
    assert [dropped(metrics, why) for why in ("short", "noisy", "unsure")] == [1, 1, 1]


def test_of_one_person_no_more_is_kept_than_the_limits_allow(
    record: Record, database: Database, basis: Basis, objects: FolderObjects
):
    takes = [take(basis, say("turn on the light", rate=rate)) for rate in (120, 130, 140, 150)]
    found, metrics = record(*takes, rules=Rules(allowance=Allowance(clips_per_day=2)))
    assert len(found) == 2
    assert dropped(metrics, "limit_reached") == 2
    assert len(list(objects.each("clips/"))) == 2
    full = Rules(allowance=Allowance(hours=sum(clip.duration_s for clip in found) / 3600))
    found, metrics = record(takes[2], rules=full)
    assert (len(found), dropped(metrics, "limit_reached")) == (2, 1)


def test_who_withdraws_between_speech_and_writing_leaves_neither_row_nor_bytes(
    database: Database, tmp_path: Path, basis: Basis
):
    gate, metrics = Gate(tmp_path / "gated"), Metrics()
    recorder = Recorder(database, gate, Rules(), metrics)
    recorder.start()
    assert recorder.offer(take(basis, say("turn on the light")))
    assert gate.inside.wait(PATIENCE_S)  # it may be kept, by now
    with database.write() as connection:
        consents.end(connection, str(basis.person_id), now())
    gate.open.set()
    recorder.close()
    with database.read() as connection:
        assert clips.listed(connection, ClipFilter(person_id=basis.person_id)) == []
    assert list(gate.each("clips/")) == []
    assert dropped(metrics, "conflict") == 1


def test_a_full_queue_drops_and_counts_and_nobody_waits(database: Database, tmp_path: Path, basis: Basis):
    gate, metrics = Gate(tmp_path / "gated"), Metrics()
    recorder = Recorder(database, gate, Rules(), metrics, most_takes=4)
    recorder.start()
    takes = [take(basis, say("turn on the light", rate=rate)) for rate in range(120, 130)]
    assert recorder.offer(takes[0])
    assert gate.inside.wait(PATIENCE_S)  # the thread has one in hand
    taken = [recorder.offer(each) for each in takes[1:]]  # while the thread can do nothing
    assert taken == [True] * 4 + [False] * 5
    assert dropped(metrics, "full") == 5
    gate.open.set()
    recorder.close()
    with database.read() as connection:
        assert len(clips.listed(connection)) == 5


def test_what_a_take_keeps_in_memory_counts_and_not_what_of_it_was_said(
    database: Database, objects: FolderObjects, basis: Basis
):
    recorder = Recorder(database, objects, Rules(), Metrics())  # whose thread does not run: what is offered waits
    spoken = take(basis, say("turn on the light"))
    within = replace(spoken, pieces=(bytes(MOST_BYTES // 2 + 1),))
    assert [recorder.offer(each) for each in (within, within, spoken)] == [True, False, True]


def test_a_take_that_breaks_the_recorder_costs_that_take_alone(record: Record, basis: Basis):
    spoken = say("turn on the light")
    infinite = b"\x00\x00\x80\x7f" * 16_000
    odd = Take((infinite,), 0, 64_000, AudioFormat("f32le"), basis, Heard("la"), "", "", "")
    found, metrics = record(odd, take(basis, spoken))
    assert len(found) == 1
    assert dropped(metrics, "bad_audio") == 1
