"""What is said of a recording by the served graph alone, and CTC's loss against all alignments one by one."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from tests.bundles import GOLDEN, spoken
from training.gate.acoustics import best_labels, ctc_loss, logprobs


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [label for at, label in enumerate(path) if label and (at == 0 or path[at - 1] != label)]


@pytest.mark.parametrize("labels", [[], [1], [1, 2], [1, 1], [2, 1, 2]])
def test_the_loss_is_that_of_all_alignments(labels: list[int]) -> None:
    dice = np.random.default_rng(0)
    said = np.log(dice.dirichlet([1, 1, 1], 5)).astype(np.float32)
    paths = (path for path in product(range(3), repeat=5) if collapsed(path) == labels)
    likely = sum(float(np.exp(sum(said[at, label] for at, label in enumerate(path)))) for path in paths)
    assert ctc_loss(said, labels) == pytest.approx(-np.log(likely), rel=1e-4)


def test_a_label_longer_than_the_recording_is_impossible() -> None:
    said = np.log(np.full((3, 3), 1 / 3, np.float32))
    assert ctc_loss(said, [1, 1]) < np.inf
    assert ctc_loss(said, [1, 1, 1]) == np.inf
    assert (ctc_loss(said[:0], []), ctc_loss(said[:0], [1])) == (0.0, np.inf)


def test_the_graph_alone_hears_the_golden_clip(tiny: Recognizer) -> None:
    manifest = tiny.bundle.manifest
    said = logprobs(manifest, tiny.model, read_audio(tiny.bundle.path(manifest.golden)))
    assert manifest.alphabet.decode(best_labels(said)) == GOLDEN
    assert np.exp(said).sum(1) == pytest.approx(1, abs=1e-4)


def test_the_own_label_is_likelier_than_another(tiny: Recognizer) -> None:
    manifest = tiny.bundle.manifest
    said = logprobs(manifest, tiny.model, spoken("stop", "yes"))
    own, other = (ctc_loss(said, manifest.alphabet.encode(text)) for text in ("stop yes", "light no"))
    assert own < 1 < other


def test_a_recording_too_short_for_a_frame_says_nothing(tiny: Recognizer, tmp_path: Path) -> None:
    assert logprobs(tiny.bundle.manifest, tiny.model, np.zeros(100, np.float32)).shape[0] == 0
