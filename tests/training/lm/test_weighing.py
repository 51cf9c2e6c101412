"""Alpha and beta are found by decoding what was heard, the same ones each time."""

import sys
from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.posteriors import Posteriors
from stt_server.errors import BadInput, Unsupported
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.interface import Decoder
from stt_server.speech.decoder.reference import ReferenceDecoder
from training.lm import estimate, write_arpa
from training.lm.weighing import tune

LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
ALPHABET = Alphabet(LETTERS)
SAID = ["turn on the light", "turn off the light", "stop the light", "what time is it"]


def posterior(text: str, seed: int, sure: float) -> Posteriors:
    """A frame of each letter with a blank behind; one letter in four is doubtful, as if misheard."""
    dice = np.random.default_rng(seed)
    rows = []
    for label in ALPHABET.encode(text):
        row = np.full(len(ALPHABET), 1e-4)
        row[label] = sure
        if dice.random() < 0.25:
            row[int(dice.integers(3, len(ALPHABET)))] = 1.5 * sure
        blank = np.full(len(ALPHABET), 1e-4)
        blank[0] = 1.0
        rows += [row, blank]
    probabilities = np.array(rows)
    return Posteriors(text, (np.log(probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32),))


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    write_arpa(estimate(SAID * 3, 3), path)
    return path


HEARD = [posterior(text, seed, 0.3) for seed in range(2) for text in SAID]


def test_better_weights_are_found_from_bad_ones_and_the_same_each_time(lm: Path) -> None:
    def weighed(alpha: float, beta: float) -> Decoder:
        return ReferenceDecoder(ALPHABET, lm, alpha=alpha, beta=beta, beam=16)

    tuned = [tune(weighed, HEARD, (0.0, -2.0), 8) for _ in range(2)]
    assert tuned[0].best.wer < 0.7 * tuned[0].first.wer
    assert (tuned[0].best.alpha, tuned[0].best.beta) == (tuned[1].best.alpha, tuned[1].best.beta)
    assert (tuned[0].first.alpha, tuned[0].first.beta, tuned[0].trials) == (0.0, -2.0, 9)
    assert tuned[0].best.score().wer.value == tuned[0].best.wer


def test_weights_that_nothing_beats_are_kept(lm: Path) -> None:
    clear = [posterior(text, 0, 0.999) for text in SAID]
    for each in clear:
        each.utterances[0][::2] = np.where(each.utterances[0][::2] < -1, -12, 0)

    tuned = tune(lambda alpha, beta: ReferenceDecoder(ALPHABET, lm, alpha=0.1, beta=0.1, beam=8), clear, (9, -9), 2)
    assert (tuned.best.alpha, tuned.best.beta) == (2.5, -2.0), "weights beyond what is searched count as its edge"


def test_clips_in_which_nothing_is_said_are_refused(lm: Path) -> None:
    with pytest.raises(BadInput, match="nothing is said"):
        tune(
            lambda alpha, beta: ReferenceDecoder(ALPHABET, lm, alpha=alpha, beta=beta, beam=8),
            [Posteriors("", ())],
            (1, 1),
            1,
        )


def test_without_optuna_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(Unsupported, match=r"pip install 'earloop\[tune\]'"):
        tune(lambda alpha, beta: ReferenceDecoder(ALPHABET, None, alpha=alpha, beta=beta, beam=8), HEARD, (1, 1), 1)
