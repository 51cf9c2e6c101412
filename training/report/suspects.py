"""Labels that may be wrong: the model finds them unlikely and is sure of another text.

Two ways to find them. With the weights at hand, every clip's CTC loss per letter says how unlikely its label is, and
the loss of what the model hears instead says how sure it is: `exp(-loss)` is the (geometric) mean probability of a
letter. With only a bundle at hand, its words' confidence says the latter, and the share of wrong characters stands for
the former. A model that has learned little is sure of nothing and suspects nobody.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.speech.wer import character_errors
from training.report.schema import Suspect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Heard

SURE = 0.7  # the mean probability of a letter
SURE_OF_WORDS = 0.9  # at 0.7 the first shipped model suspected 16 of 80 clips of accented speech, all of them wrongly
UNLIKELY = 1.0  # nats a letter that the label is less likely by than what is heard
OTHER = 0.5  # of the characters wrong: another text, not a slip
COLUMNS = ("path", "split", "text", "heard", "loss", "confidence", "reason")


@dataclass(frozen=True, slots=True)
class Weighed:
    """A clip, the model's loss per letter of its label, what is heard instead and the loss per letter of that."""

    clip: Clip
    loss: float
    heard: str
    heard_loss: float


def from_losses(weighed: Iterable[Weighed]) -> list[Suspect]:
    """Clips whose label is far less likely than what is heard, which is sure; the worst first."""
    chosen = [
        each
        for each in weighed
        if each.heard and math.exp(-each.heard_loss) >= SURE and each.loss - each.heard_loss >= UNLIKELY
    ]
    return [_weighed(each) for each in sorted(chosen, key=lambda each: each.heard_loss - each.loss)]


def from_evaluation(utterances: Sequence[Heard]) -> list[Suspect]:
    """Clips in which quite another text was heard with confidence; the worst first."""
    rated = [(character_errors(each.said, each.heard).rate, each) for each in utterances if each.said and each.heard]
    chosen = [(rate, each) for rate, each in rated if rate >= OTHER and each.confidence >= SURE_OF_WORDS]
    return [_heard(rate, each) for rate, each in sorted(chosen, key=lambda pair: -pair[0] * pair[1].confidence)]


def write_suspects_csv(path: Path, suspects: Iterable[Suspect]) -> None:
    """One row a suspect, as a tagging queue takes them: path, split, text, heard, loss, confidence, reason."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**suspect.model_dump(), "loss": _plain(suspect.loss)} for suspect in suspects)


def _weighed(each: Weighed) -> Suspect:
    sure = math.exp(-each.heard_loss)
    if math.isfinite(each.loss):
        reason = f"{each.loss:.1f} nats a letter of the label against {each.heard_loss:.1f} of what is heard"
    else:
        reason = "the label is longer than the clip can hold"
    return Suspect(
        path=str(each.clip.path),
        split=each.clip.split or "",
        text=each.clip.text,
        heard=each.heard,
        loss=round(each.loss, 3) if math.isfinite(each.loss) else None,
        confidence=round(sure, 3),
        reason=reason,
    )


def _heard(rate: float, each: Heard) -> Suspect:
    return Suspect(
        path=str(each.clip.path),
        split=each.clip.split or "",
        text=each.clip.text,
        heard=each.heard,
        loss=None,
        confidence=round(each.confidence, 3),
        reason=f"{100 * rate:.0f} % of the characters differ, {100 * each.confidence:.0f} % sure",
    )


def _plain(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.3f}"
