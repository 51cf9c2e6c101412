"""The short twin of `earloop bench decoder`: little of everything, so that every change can run it."""

import gzip

import numpy as np
import pytest

from stt_server.commands.bench.decoder import Plan, run_contest, table
from stt_server.commands.bench.posteriors import LETTERS, LEVELS, SECONDS, glue, make_up
from stt_server.commands.bench.script import Speech
from stt_server.errors import BadInput, NotFound
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.recognizer import Recognizer
from tests.bundles import WORDS, spoken

ALPHABET = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")
SAID = "the quick brown fox jumps over the lazy dog while seven old wizards box and a fat cat watches from its warm bed"


def heard(logprobs):
    decoding = GreedyDecoder(ALPHABET).open()
    decoding.step(logprobs)
    return decoding.final().text


@pytest.mark.parametrize("frames_per_s", [25, 50])
def test_more_noise_leaves_more_labels_possible_and_fewer_letters_right(frames_per_s):
    made = [make_up([SAID] * 4, ALPHABET, noise, frames_per_s) for noise in LEVELS]
    candidates = [each.candidates for each in made]
    assert candidates == sorted(candidates)
    assert candidates[0] < 2
    assert candidates[-1] > 4
    assert all(len(each.utterances[0].logprobs) == SECONDS * frames_per_s for each in made)
    assert np.allclose(np.exp(made[1].utterances[0].logprobs).sum(1), 1, atol=1e-4)


def test_without_noise_a_made_up_utterance_says_its_text():
    quiet = LEVELS[0].__class__("none", 0, 0, 0, 0, 1.0)
    assert heard(make_up([SAID], ALPHABET, quiet, 50).utterances[0].logprobs) == SAID


def test_the_same_arguments_make_the_same_posteriors():
    one, two = (make_up([SAID], ALPHABET, LEVELS[2], 25).utterances[0].logprobs for _ in range(2))
    assert (one == two).all()


def test_sentences_are_glued_to_utterances_of_about_ten_seconds():
    glued = glue(["turn on the light"] * 40)
    assert len(glued) > 3
    assert all(LETTERS[0] <= len(each) <= LETTERS[1] for each in glued)


@pytest.fixture(scope="module")
def speech():
    return [Speech(word, spoken(word)) for word in WORDS]


@pytest.fixture(scope="module")
def recognizer(tiny_bundle):
    return Recognizer.load(tiny_bundle, decoder="greedy")


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "said.txt"
    words = SAID.split()
    path.write_text("\n".join(" ".join(words[i:] + words[:i]) for i in range(6)) + "\n#!?\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def arpa(tmp_path_factory):
    words = sorted(set(SAID.split()))
    lines = [f"-1.5\t{word}\t0" for word in ("<unk>", "</s>", *words)] + ["-9\t<s>\t-0.3"]
    path = tmp_path_factory.mktemp("lm") / "lm.arpa.gz"
    head, pairs = f"\\data\\\nngram 1={len(lines)}\nngram 2=1\n\n\\1-grams:\n", "\n\n\\2-grams:\n-0.2\tlazy dog\n"
    text = head + "\n".join(lines) + pairs + "\n\\end\\\n"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_every_engine_that_is_there_is_measured_on_every_input(recognizer, speech, sentences, arpa):
    pytest.importorskip("kenlm")
    told: list[str] = []
    plan = Plan(utterances=1, tuning=1, beam=8, clips=2, clips_tuning=2, text=sentences)
    contest = run_contest(plan, recognizer, {"kit": speech, "again": speech}, arpa, told.append)
    names = {row.engine for row in contest.rows}
    assert {"greedy", "native", "native closed"} <= names
    everywhere = [name for name in names if not name.endswith("in steps")]
    assert len(contest.given) == 8
    assert len(contest.rows) == len(everywhere) * 8 + len(names) - len(everywhere)
    assert all(row.cpu_ms_per_audio_s > 0 for row in contest.rows)
    hotwords, grammar = contest.wished
    assert set(hotwords.ratios) == {"clean 50/s", "mid 50/s", "noisy 50/s"}
    assert all(ratio > 0.2 for ratio in hotwords.ratios.values())
    assert hotwords.ready_ms > 0
    assert grammar.ready_ms > 0
    steps = {row.engine for row in contest.rows if row.step_ms}
    assert {"greedy", "native", "native closed"} <= steps
    assert "native whole" not in steps
    rates = {row.engine: row.word_error_rate for row in contest.rows if row.inputs == "clean 50/s"}
    assert rates["native closed"] <= rates["greedy"]
    report = "\n".join(table(contest))
    assert all(name in report for name in ("machine", "noisy 25/s", *names))


def test_a_text_that_is_too_short_or_not_there_is_refused(recognizer, speech, arpa, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("turn on the light\n", encoding="utf-8")
    with pytest.raises(BadInput, match="0 utterances of 10 s"):
        run_contest(Plan(text=short), recognizer, {"kit": speech}, arpa, print)
    with pytest.raises(NotFound):
        run_contest(Plan(text=tmp_path / "none.txt"), recognizer, {"kit": speech}, arpa, print)
