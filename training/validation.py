"""A validation: what the model makes of clips it does not learn from, and what follows from it.

It may be the best so far, whose weights are kept; it feeds the early stop and the plateau; and it tells a collapse, the
end that a CTC model comes to which finds that writing nothing at all is not so wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.errors import BadOption
from stt_server.speech.wer import count_errors
from training.listening import listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.checkpoints import Progress
    from training.clips import ClipArray
    from training.distributed import Team
    from training.precision import Numerics
    from training.recipe import Schedule
    from training.streaming import StreamingModel

    Pair = tuple[str, str, str]  # source, true, heard

PLATEAU_PATIENCE = 2
COLLAPSED = 3  # validations in a row
ALL_EMPTY = 0.99
HAS_LEARNED_WER = 0.9  # an untrained model writes letters, too, but never right words
CALMER = "set schedule.learning_rate to a third, a longer schedule.warmup_share, or schedule.precision=fp32"
STUCK_SHARE, STUCK_AFTER, STUCK_LOSS = 0.5, 5, 0.99


@dataclass(frozen=True, slots=True)
class Validation:
    """WER and mean loss per letter of each set, and of what chooses the best; `blank` is the share of frames that are,
    `empty` the share of utterances with words in which none was heard.
    """

    wer: dict[str, float]
    loss: dict[str, float]
    chosen_wer: float
    chosen_loss: float
    blank: float
    empty: float
    pairs: list[Pair]


def check_best(best: str | None, dev: ClipArray) -> None:
    """Raises BadOption where `data.best` names none of the sets there are."""
    names = list(dict.fromkeys(said.source for said in dev.said))
    if best is not None and best not in names:
        told = f"`best` is {best!r}, but the validation sets are {', '.join(names) or 'none'}; name one of them"
        raise BadOption(told, field="data.best")


def validate(
    model: StreamingModel,
    dev: ClipArray,
    alphabet: Alphabet,
    mel: LogMel,
    numerics: Numerics,
    team: Team,
    best: str | None,
    batch_s: float,
) -> Validation:
    """Greedy error rates and losses of all clips and of each set; `best` names the set that chooses, None all."""
    heard = listen(model, dev, alphabet, mel, numerics, team, batch_s)
    pairs = [(said.source, said.text, text) for said, text in zip(dev.said, heard.texts, strict=True)]
    sources = np.array([source for source, _, _ in pairs])
    sets = {name: sources == name for name in dict.fromkeys(sources.tolist())}
    chosen = np.ones(len(pairs), bool) if best is None else sets[best]
    empty = [not text for _, true, text in pairs if true]
    return Validation(
        wer={name: _wer(pairs, rows) for name, rows in sets.items()},
        loss={name: _mean(heard.losses[rows]) for name, rows in sets.items()},
        chosen_wer=_wer(pairs, chosen),
        chosen_loss=_mean(heard.losses[chosen]),
        blank=float(heard.blanks.mean()),
        empty=float(np.mean(empty)) if empty else 0.0,
        pairs=pairs,
    )


def note(progress: Progress, validation: Validation, plan: Schedule, *, planned: bool) -> bool:
    """Enter a validation into the history; returns whether it is the best so far.

    One that was not planned, because the run was interrupted, moves neither early stop nor plateau: a run that goes on
    after it must learn what it would have without.
    """
    wer, loss = validation.chosen_wer, validation.chosen_loss
    entry: dict[str, Any] = {"step": progress.step, "epoch": progress.epoch, "seconds": progress.seconds}
    entry |= {name: getattr(validation, name) for name in Validation.__slots__ if name != "pairs"}
    progress.history = [*(each for each in progress.history if each["step"] != progress.step), entry]
    if planned:
        progress.patience.feel(wer, loss, plan.early_stop.min_delta if plan.early_stop else 0.0)
        progress.plateau.feel(wer, loss)
        if progress.plateau.stale >= PLATEAU_PATIENCE:
            progress.drops, progress.plateau.stale = progress.drops + 1, 0
    if progress.best and (wer, loss) >= (progress.best["wer"], progress.best["loss"]):
        return False
    progress.best = {"step": progress.step, "wer": wer, "loss": loss}
    return True


def told_of_collapse(history: Sequence[dict[str, Any]], share: float) -> str:
    """A sentence where the model has come to write nothing at all, "" where it has not."""
    last = history[-COLLAPSED:]
    if len(last) < COLLAPSED or any(entry.get("empty", 0.0) < ALL_EMPTY for entry in last):
        return ""
    blank = f"in {COLLAPSED} validations in a row nothing was heard ({last[-1]['blank']:.0%} of the frames are blank)"
    if has_learned(history):
        return f"the model has collapsed: {blank}, and it had heard words before; {CALMER}"
    if share < STUCK_SHARE or len(history) < STUCK_AFTER or _falls(history):
        return ""
    return f"the model does not learn: {blank}, and the loss falls no more; are the texts those of the clips? {CALMER}"


def has_learned(history: Sequence[dict[str, Any]]) -> bool:
    """Whether any validation heard right words."""
    return any(entry.get("chosen_wer", 1.0) < HAS_LEARNED_WER for entry in history)


def _falls(history: Sequence[dict[str, Any]]) -> bool:
    losses = [float(entry.get("chosen_loss", np.inf)) for entry in history]
    return min(losses[-COLLAPSED:]) < STUCK_LOSS * min(losses[:-COLLAPSED])


def _wer(pairs: Sequence[Pair], rows: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return count_errors([(true, heard) for (_, true, heard), chosen in zip(pairs, rows, strict=True) if chosen]).rate


def _mean(losses: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Over the clips whose text fits into them."""
    finite = losses[np.isfinite(losses)]
    return float(finite.mean()) if len(finite) else float("inf")
