"""Measure a bundle as it is served: clips through the recogniser, with every decoder it has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stt_server.corpus.evaluation import ALL, evaluate
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip

    Row = dict[str, Any]
    Say = Callable[[str], None]

RATES = ("wer", "cer", "exact")
SHOWN_EVERY = 200  # clips


def measure(folder: Path, clips: Sequence[Clip], say: Say) -> list[Row]:
    """A row for each source, of `clips` and of the bundle's kit, and decoder: source, utterances, decoder, and `wer`,
    `cer` and `exact`, each with value, low and high (95 %). Sources in which nothing is said have no row.
    """
    spoken = [clip for clip in [*clips, *kit_clips(folder)] if clip.text]
    if not spoken:
        return []
    recognizer, rows = Recognizer.load(folder), []
    for decoder in _decoders(recognizer, say):
        measured = evaluate(recognizer, spoken, decoder, lambda done: _tell(done, len(spoken), say))
        for source, score in measured.scores.items():
            if source != ALL:
                rates = {name: asdict(getattr(score, name)) for name in RATES}
                rows.append({"source": source, "utterances": score.utterances, "decoder": decoder, **rates})
                say(f"{source}, {decoder}: WER {score.wer} in {score.utterances} utterances")
    sources = list(dict.fromkeys(row["source"] for row in rows))
    return sorted(rows, key=lambda row: sources.index(row["source"]))


def count_false_words(folder: Path) -> list[Row]:
    """For each decoder, in how many of the kit's clips without speech (`clips`) it heard a word (`with_words`)."""
    quiet = [clip for clip in kit_clips(folder) if not clip.text]
    if not quiet:
        return []
    recognizer, rows = Recognizer.load(folder), []
    for decoder in _decoders(recognizer):
        with_words, clips = evaluate(recognizer, quiet, decoder).false_words
        rows.append({"decoder": decoder, "clips": clips, "with_words": with_words})
    return rows


def kit_clips(folder: Path) -> list[Clip]:
    """The clips of the bundle's evaluation kit; [] where it has none."""
    bundle = load_bundle(folder)
    return list(read_manifest(bundle.path(bundle.manifest.kit))) if bundle.manifest.kit else []


def _decoders(recognizer: Recognizer, say: Say = lambda sentence: None) -> list[str]:
    """Greedy and, where the bundle has a language model, the decoder that uses it, if that is installed."""
    if recognizer.bundle.manifest.lm is None:
        return ["greedy"]
    if "reference" not in recognizer.decoders:
        say("nothing is measured with the language model: pip install 'earloop[reference,kenlm]'")
        return ["greedy"]
    return ["greedy", "reference"]


def _tell(done: int, of: int, say: Say) -> None:
    if done % SHOWN_EVERY == 0:
        say(f"{done} of {of} measured")
