"""Confidence is fitted to how often words are right."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from stt_server.corpus.posteriors import Posteriors
from stt_server.errors import BadInput, BadOption, Conflict
from stt_server.speech.bundle import load_bundle
from stt_server.speech.decoder.confidence import UNCALIBRATED, Calibration, Evidence
from tests.speech.decoder.posteriors import native, written
from training.lm.calibrating import Judged, fit, judge, keep, measure

TRUE = Calibration(bias=0.5, posterior=0.4, sound=1.5, letters=-0.3)


def words(count: int, seed: int) -> list[Judged]:
    """Words that are right as often as `TRUE` says."""
    dice = np.random.default_rng(seed)
    judged = []
    for _ in range(count):
        posterior = float(1 / (1 + np.exp(-dice.normal(3, 2.5))))
        evidence = Evidence(posterior, -float(dice.exponential(0.6)), int(dice.integers(1, 11)))
        judged.append(Judged(evidence, bool(dice.random() < TRUE.confidence(evidence))))
    return judged


def test_the_weights_that_made_words_right_are_found() -> None:
    fitted = fit(words(20_000, seed=1))
    assert fitted.weights == pytest.approx(TRUE.weights, abs=0.15)


def test_confidence_is_reliable_afterwards_on_words_it_was_not_fitted_on() -> None:
    fitted, others = fit(words(4000, seed=1)), words(4000, seed=2)
    before, after = measure(others, UNCALIBRATED), measure(others, fitted)
    assert before.ece > 0.1
    assert after.ece < 0.04
    assert after.nce > max(0.1, before.nce)
    assert sum(each.words for each in after.bins) == 4000


def test_the_expected_error_is_that_of_the_bins() -> None:
    """Counted by hand: four words with 0.95, of which three are right, and four with 0.15, all wrong."""
    sure = [Judged(Evidence(0.95, 0, 1), is_right) for is_right in (True, True, True, False)]
    unsure = [Judged(Evidence(0.15, 0, 1), is_right=False)] * 4
    found = measure(sure + unsure, UNCALIBRATED)
    assert found.ece == pytest.approx((0.2 + 0.15) / 2)
    assert [(each.right, each.words) for each in found.bins] == [(0.0, 4), (0.75, 4)]


def test_words_that_one_fact_tells_apart_have_finite_weights() -> None:
    judged = [Judged(Evidence(p, -0.1, 4), is_right=p > 0.5) for p in np.linspace(0.05, 0.95, 200).tolist()]
    assert all(abs(weight) < 100 for weight in fit(judged).weights)


@pytest.mark.parametrize(
    "judged", [words(50, seed=1), [Judged(Evidence(0.9, -0.1, 3), is_right=True)] * 200], ids=["few", "all right"]
)
def test_too_little_to_fit_on_is_refused(judged: list[Judged]) -> None:
    with pytest.raises(BadInput, match="right ones and wrong ones"):
        fit(judged)


def test_nothing_heard_cannot_be_measured() -> None:
    with pytest.raises(BadInput, match="no word was heard"):
        measure([], UNCALIBRATED)


def test_words_are_judged_by_what_was_said_and_by_nothing_where_nothing_was() -> None:
    logprobs = written("turn on the light", np.random.default_rng(1), 0.3)
    heard = [Posteriors("turn off the light", (logprobs,)), Posteriors("", (logprobs,))]
    judged = judge(native(None), heard)
    assert [each.is_right for each in judged] == [True, False, True, True, *[False] * 4]
    assert [each.evidence.letters for each in judged[:4]] == [4, 2, 3, 5]
    assert all(-2 < each.evidence.sound < 0 for each in judged)


def test_weights_go_into_a_copy_or_into_the_bundle_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    keep(tiny_bundle, TRUE, tmp_path / "copy")
    assert load_bundle(tmp_path / "copy").manifest.decoder.confidence.calibration() == TRUE
    assert load_bundle(tiny_bundle).manifest.decoder.confidence.calibration() == UNCALIBRATED
    keep(tmp_path / "copy", UNCALIBRATED, None)
    assert json.loads((tmp_path / "copy" / "bundle.json").read_text())["decoder"]["confidence"]["posterior"] == 1
    with pytest.raises(Conflict, match="there already"):
        keep(tiny_bundle, TRUE, tmp_path / "copy")
    zipped = Path(shutil.make_archive(str(tmp_path / "tiny"), "zip", tiny_bundle))
    with pytest.raises(BadOption, match="is a zip"):
        keep(zipped, TRUE, None)
