"""What a model makes of clips while it learns: greedy texts, CTC losses and how much of it is blank."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from stt_server.speech.alphabet import BLANK
from stt_server.speech.features import FeatureRecipe
from training.batches import BatchMaker, plan_epoch
from training.distributed import ALONE
from training.precision import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.features import LogMel
    from training.batches import Batch
    from training.clips import ClipArray
    from training.distributed import Team
    from training.precision import Numerics
    from training.streaming import StreamingModel

LISTENING_BATCH_S = 300.0
SILENCE = FeatureRecipe().silence


@dataclass(frozen=True, slots=True)
class Heard:
    """For clips in their order: what was heard, the CTC loss per letter and the share of frames that are blank.

    The loss is infinite where the text does not fit into the clip; a high one says that clip or text is hard or wrong.
    """

    texts: list[str]
    losses: NDArray[np.float64]
    blanks: NDArray[np.float64]


def logprobs_of(model: StreamingModel, batch: Batch, numerics: Numerics) -> Tensor:
    """Log-probabilities (B, T, labels) in float32, whatever the model ran in."""
    with numerics.autocast():
        logprobs: Tensor = model.whole(batch.features.to(numerics.device), SILENCE)
    return logprobs.float()


def losses_of(logprobs: Tensor, batch: Batch) -> Tensor:
    """CTC (Graves et al. 2006) of every utterance, shape (B,); 0 where its text does not fit into its frames."""
    targets = batch.targets.to(logprobs.device)
    lengths = batch.frames, batch.letters
    return F.ctc_loss(logprobs.transpose(0, 1), targets, *lengths, reduction="none", zero_infinity=True)


def fits(batch: Batch) -> list[bool]:
    """Whether every text fits into its frames: one a letter, and a blank between two of the same."""
    return [
        len(labels) + sum(left == right for left, right in pairwise(labels)) <= frames
        for labels, frames in zip(_targets(batch), batch.frames.tolist(), strict=True)
    ]


@torch.no_grad()
def listen(
    model: StreamingModel,
    clips: ClipArray,
    alphabet: Alphabet,
    mel: LogMel,
    numerics: Numerics = PLAIN,
    team: Team = ALONE,
    batch_s: float = LISTENING_BATCH_S,
) -> Heard:
    """Every clip heard once, without augmentation, by as many processes as there are."""
    model.eval()
    maker = BatchMaker(clips, alphabet, mel)
    maker.set_plan(plan_epoch(clips.seconds, np.ones(len(clips)), batch_s, np.random.default_rng(0)), 0, 0)
    mine = [row for number in team.mine(range(len(maker))) for row in _rows(model, maker[number], alphabet, numerics)]
    rows = sorted(row for each in team.gather(mine) for row in each)
    return Heard([row[1] for row in rows], np.array([row[2] for row in rows]), np.array([row[3] for row in rows]))


def _rows(
    model: StreamingModel, batch: Batch, alphabet: Alphabet, numerics: Numerics
) -> Iterator[tuple[int, str, float, float]]:
    """Clip, text, loss per letter and share of blank frames."""
    logprobs = logprobs_of(model, batch, numerics)
    losses = losses_of(logprobs, batch).tolist()
    best = logprobs.argmax(-1).cpu()
    for row, fit in enumerate(fits(batch)):
        labels = best[row, : int(batch.frames[row])]
        loss = losses[row] / max(1, int(batch.letters[row])) if fit else np.inf
        yield batch.takes[row][0], _collapsed(alphabet, labels), loss, float((labels == BLANK).float().mean())


def _collapsed(alphabet: Alphabet, labels: Tensor) -> str:
    return " ".join(alphabet.decode(torch.unique_consecutive(labels).tolist()).split())


def _targets(batch: Batch) -> list[list[int]]:
    return [labels.tolist() for labels in batch.targets.split(batch.letters.tolist())]
