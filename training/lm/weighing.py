"""How much a language model should say: alpha and beta under which a decoder hears a manifest best.

The acoustic model is asked once; each trial decodes what it said. Trials are drawn by a tree-structured Parzen
estimator (Bergstra et al. 2011, as optuna has it), with a seed, so the same call finds the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stt_server.errors import BadInput, Unsupported
from stt_server.speech.wer import Score, count_errors, score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.decoder.interface import Decoder, LogProbs

    Weighed = Callable[[float, float], Decoder]

ALPHAS = (0.0, 2.5)
BETAS = (-2.0, 6.0)
SEED = 1
DECIMALS = 3  # as they are said and kept


@dataclass(frozen=True, slots=True)
class Trial:
    """What one pair of weights came to: (said, heard) of every clip in which something is said."""

    alpha: float
    beta: float
    pairs: tuple[tuple[str, str], ...]
    wer: float

    def score(self) -> Score:
        """The rates with their intervals."""
        return score(self.pairs)


@dataclass(frozen=True, slots=True)
class Tuned:
    """`first` are the weights that tuning began with, `best` the ones found; they may be the same."""

    first: Trial
    best: Trial
    trials: int


def tune(
    weighed: Weighed,
    heard: Sequence[Posteriors],
    first: tuple[float, float],
    trials: int,
    told: Callable[[Trial], None] = lambda trial: None,
) -> Tuned:
    """Try `first` and so many more weights on what was heard; of two that are as good the one tried first is taken.

    `weighed(alpha, beta)` gives the decoder with these weights. Raises BadInput where nothing is said in any clip,
    Unsupported where optuna is not installed.
    """
    if not any(each.said for each in heard):
        raise BadInput("nothing is said in any of the clips, so no weights are better than others")
    optuna = check_optuna()
    tried: list[Trial] = []

    def objective(trial: Any) -> float:
        alpha = round(trial.suggest_float("alpha", *ALPHAS), DECIMALS)
        beta = round(trial.suggest_float("beta", *BETAS), DECIMALS)
        tried.append(measure(weighed(alpha, beta), heard, alpha, beta))
        told(tried[-1])
        return tried[-1].wer

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial({"alpha": _within(first[0], ALPHAS), "beta": _within(first[1], BETAS)})
    study.optimize(objective, n_trials=trials + 1)
    return Tuned(tried[0], min(tried, key=lambda each: each.wer), len(tried))


def measure(decoder: Decoder, heard: Sequence[Posteriors], alpha: float, beta: float) -> Trial:
    """What a decoder with these weights makes of what was heard."""
    pairs = tuple((each.said, " ".join(_texts(decoder, each.utterances))) for each in heard if each.said)
    return Trial(alpha, beta, pairs, count_errors(pairs).rate)


def _texts(decoder: Decoder, utterances: Sequence[LogProbs]) -> list[str]:
    """What the decoder makes of each utterance, without those in which it finds nothing."""
    texts = []
    for logprobs_TV in utterances:
        decoding = decoder.open()
        decoding.step(logprobs_TV)
        texts.append(decoding.final().text)
    return [text for text in texts if text]


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def check_optuna() -> Any:
    """The package. Raises Unsupported where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise Unsupported("tuning needs optuna: pip install 'earloop[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
