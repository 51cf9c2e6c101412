"""Measure a bundle as it is served: clips through the recogniser, with every decoder it has."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from stt_server.corpus.evaluation import ALL, evaluate
from stt_server.corpus.manifest import read_manifest
from stt_server.speech.bundle import load_bundle
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation, Heard
    from stt_server.speech.wer import Score

    Row = dict[str, Any]
    Say = Callable[[str], None]

GREEDY = "greedy"
QUIET = "kit-quiet"  # the source of the kit's clips without speech
RATES = ("wer", "cer", "exact")
SHOWN_EVERY = 200  # clips


def hear(folder: Path, clips: Sequence[Clip], say: Say) -> list[Evaluation]:
    """What each decoder of the bundle hears in `clips` and in the bundle's kit; [] where there are none of either."""
    listed = [*clips, *kit_clips(folder)]
    if not listed:
        return []
    recognizer, evaluations = Recognizer.load(folder), []
    for decoder in _decoders(recognizer, say):
        measured = evaluate(recognizer, listed, decoder, lambda done: _tell(done, len(listed), say))
        for source, score in measured.scores.items():
            if source != ALL:
                say(f"{source}, {decoder}: WER {score.wer} in {score.utterances} utterances")
        evaluations.append(measured)
    return evaluations


def rates(evaluations: Sequence[Evaluation]) -> list[Row]:
    """A row for each source and decoder: source, utterances, decoder, and `wer`, `cer` and `exact`, each with value,
    low and high (95 %). Sources in which nothing is said have no row.
    """
    sources = list(dict.fromkeys(name for each in evaluations for name in each.scores if name != ALL))
    return [
        {"source": source, "utterances": score.utterances, "decoder": each.decoder, **_rates(score)}
        for source in sources
        for each in evaluations
        if (score := each.scores.get(source)) is not None
    ]


def false_words(evaluations: Sequence[Evaluation]) -> list[Row]:
    """For each decoder, in how many of the kit's clips without speech (`clips`) it heard a word (`with_words`)."""
    rows = []
    for each in evaluations:
        heard = [bool(one.heard) for one in each.heard if one.clip.source == QUIET and not one.said]
        if heard:
            rows.append({"decoder": each.decoder, "clips": len(heard), "with_words": sum(heard)})
    return rows


def moved(evaluations: Sequence[Evaluation], before: Path, now: Path) -> list[Evaluation]:
    """The same, where the folder `before` with the kit is called `now`."""
    return [replace(each, heard=tuple(_moved(one, before, now) for one in each.heard)) for each in evaluations]


def _moved(heard: Heard, before: Path, now: Path) -> Heard:
    path = heard.clip.path
    if not path.is_relative_to(before):
        return heard
    return replace(heard, clip=replace(heard.clip, path=now / path.relative_to(before)))


def kit_clips(folder: Path) -> list[Clip]:
    """The clips of the bundle's evaluation kit; [] where it has none."""
    bundle = load_bundle(folder)
    return list(read_manifest(bundle.path(bundle.manifest.kit))) if bundle.manifest.kit else []


def _decoders(recognizer: Recognizer, say: Say = lambda sentence: None) -> list[str]:
    """Greedy and, where the bundle has a language model, the search that serves with it, if there is one here."""
    if recognizer.bundle.manifest.lm is None:
        return [GREEDY]
    if recognizer.default_decoder == GREEDY:
        say("nothing is measured with the language model: no search was built or installed; see `earloop doctor`")
        return [GREEDY]
    return [GREEDY, recognizer.default_decoder]


def _rates(score: Score) -> dict[str, Row]:
    return {name: asdict(getattr(score, name)) for name in RATES}


def _tell(done: int, of: int, say: Say) -> None:
    if done % SHOWN_EVERY == 0:
        say(f"{done} of {of} measured")
