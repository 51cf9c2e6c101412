"""`earloop lm build`: a language model from text files, by the trainer's own estimator (no torch needed)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.lm.place import Output, tell
from stt_server.commands.lm.sentences import Column, Normalized, Sentences, Texts
from stt_server.errors import BadOption

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDER_HELP = "Words in the longest n-gram, 1 to 5."
CUTOFF_HELP = 'Leave out n-grams seen so often or less, for each order: "0 0 1", 0,0,1, or one option each.'


def build(
    texts: Texts,
    output: Output,
    order: Annotated[int, typer.Option(help=ORDER_HELP)] = 3,
    cutoff: Annotated[list[str] | None, typer.Option(help=CUTOFF_HELP)] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Keep this many words, the most frequent.")] = None,
    column: Column = None,
    normalized: Normalized = True,
) -> None:
    """Estimate a back-off model by interpolated modified Kneser-Ney smoothing."""
    from training.lm import estimate, write_model

    started = time.monotonic()
    sentences = Sentences(column, normalized)
    try:
        model = estimate(sentences.read(texts), order, _cutoffs(cutoff or []), vocabulary, tell)
    finally:
        sentences.report()
    write_model(model, output)
    counts = ", ".join(f"{count} {n}-grams" for n, count in enumerate(model.counts, 1))
    tell(f"{output}: {counts} from {sentences.taken} sentences in {time.monotonic() - started:.1f} s")


def _cutoffs(given: Sequence[str]) -> list[int]:
    numbers = " ".join(given).replace(",", " ").split()
    try:
        return [int(number) for number in numbers]
    except ValueError as error:
        raise BadOption(f"--cutoff {' '.join(given)}: write whole numbers, as in 0,0,1", field="cutoff") from error
