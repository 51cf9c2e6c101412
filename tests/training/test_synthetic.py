"""A synthetic corpus follows from its seed, never uses a held-out voice, and can be stopped and taken up again."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from stt_server.errors import BadInput
from stt_server.speech.files import read_audio
from training.sentences import SentenceSource, read_sentences, spoken_form
from training.synthetic import (
    ACCENTS,
    FLITE,
    HELD_OUT,
    VARIANTS,
    SyntheticCorpus,
    Utterance,
    as_spoken,
    draw_utterance,
    speak,
)

BY_RULE = SentenceSource([], 1.0)


def corpus(folder: Path, count: int = 5, seed: int = 1) -> SyntheticCorpus:
    return SyntheticCorpus(folder, BY_RULE, count, seed, ("en-us", "en-us+f3", "flite:slt"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_number_of_the_same_seed_is_the_same_utterance() -> None:
    assert draw_utterance(BY_RULE, 1, 7) == draw_utterance(BY_RULE, 1, 7)
    assert draw_utterance(BY_RULE, 1, 7) != draw_utterance(BY_RULE, 1, 8)
    assert draw_utterance(BY_RULE, 1, 7) != draw_utterance(BY_RULE, 2, 7)


@pytest.mark.parametrize("voice", ["en-us+f3", "flite:slt"])
def test_the_same_utterance_is_the_same_audio(voice: str) -> None:
    utterance = Utterance("turn it on", voice, 160, 100 if voice.startswith("flite") else 50)
    once, again = speak(utterance), speak(utterance)
    assert np.array_equal(once, again)
    assert 0.4 < len(once) / 16000 < 3
    assert np.abs(once).max() > 0.05


def test_held_out_voices_are_never_drawn() -> None:
    drawn = {draw_utterance(BY_RULE, 1, index).voice for index in range(20_000)}
    assert len(drawn) > 200
    assert not drawn & set(HELD_OUT)


def test_no_voice_is_quietly_spoken_by_another() -> None:
    """Both programs fall back on a voice they know, without a word: then a held-out one may be one of training."""
    bases = {accent: spoken(accent) for accent in sorted({*ACCENTS, *(voice.split("+")[0] for voice in HELD_OUT)})}
    for voice in [*(f"{accent}+f3" for accent in ACCENTS), *(f"en-us{variant}" for variant in VARIANTS if variant)]:
        assert spoken(voice) != bases[voice.split("+")[0]], voice
    for voice in HELD_OUT[:-1]:
        assert spoken(voice) != bases[voice.split("+")[0]], voice
    flite = {*(f"flite:{name}" for name in FLITE), HELD_OUT[-1]}
    assert len({spoken(voice) for voice in flite}) == len(flite)


def spoken(voice: str) -> bytes:
    return speak(Utterance("seven lights", voice, 160, 120 if voice.startswith("flite:") else 50)).tobytes()


def test_a_voice_that_there_is_not_is_an_error_that_names_it() -> None:
    with pytest.raises(BadInput, match="cannot speak 'yes' as 'nobody'"):
        speak(Utterance("yes", "nobody", 160, 50))


def test_a_sentence_that_looks_like_an_option_is_spoken() -> None:
    assert len(speak(Utterance("-v minus seven", "en-us", 160, 50))) > 8000


@pytest.mark.parametrize(
    ("text", "spoken"),
    [("a b c", "eigh b c"), ("b a", "b eigh"), ("a light", "a light"), ("turn on a light", "turn on a light")],
)
def test_the_letter_a_is_spelled_and_the_article_is_not(text: str, spoken: str) -> None:
    assert as_spoken(text) == spoken


def test_a_corpus_has_a_row_and_a_clip_for_each_utterance(tmp_path: Path) -> None:
    made = corpus(tmp_path)
    with made.make(2).open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["transcript"], row["speaker"]) for row in rows] == [(u.text, u.voice) for u in made.planned()]
    for row in rows:
        assert len(read_audio(tmp_path / row["path"])) / 16000 == pytest.approx(float(row["duration_s"]), abs=0.001)


def test_an_interrupted_corpus_goes_on_where_it_stopped_and_becomes_the_same(tmp_path: Path) -> None:
    corpus(tmp_path / "at once").make(1)
    cut = corpus(tmp_path / "cut")

    def interrupt(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.make(1, interrupt)
    assert not cut.manifest.exists()
    (tmp_path / "cut" / "000" / "000004.part").write_bytes(b"fLaC of a run that was killed")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("*.flac")}
    assert before
    cut.make(1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert files(tmp_path / "cut") == files(tmp_path / "at once")


def test_a_finished_corpus_is_not_spoken_again(tmp_path: Path) -> None:
    made = corpus(tmp_path, count=2)
    made.make(1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    made.make(1, lambda done: pytest.fail("it spoke again"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_sentences_are_the_last_column_of_a_table_and_no_essays(tmp_path: Path) -> None:
    table = tmp_path / "sentences.tsv"
    table.write_text("lights\tTurn it on\n\nmusic\tPlay\nlong\t" + "word " * 20 + "\n", encoding="utf-8")
    assert list(read_sentences(table)) == ["Turn it on", "Play"]


def test_spoken_forms_are_spelled_with_letters_alone() -> None:
    dice = random.Random(1)
    forms = [spoken_form(dice) for _ in range(2000)]
    assert len(set(forms)) > 1000
    assert set("".join(forms)) <= set(" 'abcdefghijklmnopqrstuvwxyz")


def test_no_sentences_and_no_rules_is_an_error_with_a_remedy() -> None:
    with pytest.raises(BadInput, match="name a text file in the recipe or set `by_rule: 1`"):
        SentenceSource([], 0.5)
