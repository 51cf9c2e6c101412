"""How often are words right that the native search is so and so sure of? Measured, and the weights fitted that make its
confidence say so: logistic regression (Platt 1999) of the evidence that `decoder/confidence.py` names.

The expected calibration error (ECE, Guo et al. 2017) is how far confidence is from the share of right words, on average
over ten equal bins. The normalised cross entropy (NCE, Siu et al. 1997) is 1 where confidence knows all, 0 where it
knows no more than that share.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput, BadOption, Conflict
from stt_server.speech import bundle as bundles
from stt_server.speech.decoder.confidence import Calibration, Evidence
from stt_server.speech.wer import align
from training.lm.appearing import appearing
from training.lm.attaching import link

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.decoder.interface import Decoder, LogProbs

    Floats = NDArray[np.float64]

LEAST_WORDS = 100
BINS = 10
RIDGE = 0.01  # keeps the weights finite where right and wrong words are told apart by one fact
ROUNDS = 50
DECIMALS = 4  # as the manifest has them


@dataclass(frozen=True, slots=True)
class Judged:
    """A word that was heard, and whether it was said."""

    evidence: Evidence
    is_right: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """Words with about the same confidence: its mean, the share that is right, how many."""

    confidence: float
    right: float
    words: int


@dataclass(frozen=True, slots=True)
class Reliability:
    ece: float
    nce: float
    bins: tuple[Bin, ...]


def judge(decoder: Decoder, heard: Sequence[Posteriors]) -> list[Judged]:
    """Every word that a native decoder without calibration hears. What is heard where nothing is said is wrong."""
    judged = []
    for each in heard:
        words = [word for logprobs_TV in each.utterances for word in _words(decoder, logprobs_TV)]
        pairs = align(each.said, " ".join(text for text, _ in words))
        right = (said == one for said, one in pairs if one is not None)
        judged += [Judged(evidence, is_right) for (_, evidence), is_right in zip(words, right, strict=True)]
    return judged


def _words(decoder: Decoder, logprobs_TV: LogProbs) -> Iterator[tuple[str, Evidence]]:
    decoding = decoder.open()
    decoding.step(logprobs_TV)
    best = logprobs_TV.max(1)
    for word in decoding.final().words:
        yield word.text, Evidence(word.confidence, float(best[word.start : word.end].mean()), len(word.text))


def fit(judged: Sequence[Judged]) -> Calibration:
    """The likeliest weights, by Newton's method. Raises BadInput for too few words, or where all are right or wrong."""
    right = sum(each.is_right for each in judged)
    if len(judged) < LEAST_WORDS or right in (0, len(judged)):
        told = f"{len(judged)} words were heard, {right} of them right"
        raise BadInput(f"{told}; {LEAST_WORDS} are needed, right ones and wrong ones")
    facts = np.array([each.evidence.weighed() for each in judged])
    truth = np.array([each.is_right for each in judged], np.float64)
    weights, ridge = np.zeros(facts.shape[1]), RIDGE * np.eye(facts.shape[1])
    for _ in range(ROUNDS):
        said = 1 / (1 + np.exp(-facts @ weights))
        slope = facts.T @ (truth - said) - ridge @ weights
        step = np.linalg.solve((facts.T * (said * (1 - said))) @ facts + ridge, slope)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-6:
            break
    bias, posterior, sound, letters = (round(float(weight), DECIMALS) for weight in weights)
    return Calibration(bias, posterior, sound, letters)


def measure(judged: Sequence[Judged], calibration: Calibration) -> Reliability:
    """How reliable confidence is. Raises BadInput where nothing was heard."""
    if not judged:
        raise BadInput("no word was heard in these clips, so nothing can be said about confidence")
    said = np.array([calibration.confidence(each.evidence) for each in judged])
    truth = np.array([each.is_right for each in judged], np.float64)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    groups = [(said[place == number], truth[place == number]) for number in range(BINS)]
    bins = tuple(Bin(float(one.mean()), float(other.mean()), len(one)) for one, other in groups if len(one))
    ece = sum(each.words * abs(each.confidence - each.right) for each in bins) / len(judged)
    return Reliability(ece, _nce(said, truth), bins)


def _nce(said: Floats, truth: Floats) -> float:
    share = float(truth.mean())
    if share in (0.0, 1.0):
        return float("nan")
    bounded = np.clip(said, 1e-4, 1 - 1e-4)
    known = -np.mean(truth * np.log(bounded) + (1 - truth) * np.log(1 - bounded))
    return float(1 - known / -(share * np.log(share) + (1 - share) * np.log(1 - share)))


def keep(source: Path, calibration: Calibration, target: Path | None) -> None:
    """Write the weights into the bundle's manifest, or into that of a copy in the new folder `target`.

    Raises Conflict where `target` is there, BadOption for a zip that is to be changed in place.
    """
    bundle = bundles.load_bundle(source)
    if target is None and not source.is_dir():
        raise BadOption(f"{source} is a zip; name a new folder for the bundle with --output", field="in_place")
    if target is not None and target.exists():
        raise Conflict(f"{target} is there already; name another --output, or remove it")
    folder = target or source
    if target is not None:
        shutil.copytree(bundle.folder, target, copy_function=link)
    manifest = json.loads((folder / bundles.MANIFEST).read_text(encoding="utf-8"))
    manifest["decoder"] = manifest.get("decoder", {}) | {"confidence": asdict(calibration)}
    with appearing(folder / bundles.MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    bundles.load_bundle(folder)
