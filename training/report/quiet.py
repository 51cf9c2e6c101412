"""Words heard where none is spoken, by the hour: in silence, in the kit's noise, in the noise that a recipe names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.clip import Clip
from stt_server.corpus.evaluation import evaluate
from stt_server.speech.recognizer import Recognizer
from training.report.schema import FalseAccepts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.evaluation import Heard
    from stt_server.corpus.noise import NoiseClip
    from training.report.figures import Ears

IN_TEST = "clips of test and kit in which nothing is said"
LEARNED = "noise that the model learned with"


def false_accepts(ears: Ears, bundle: Path, noise: Sequence[NoiseClip], minutes: float) -> list[FalseAccepts]:
    """A row for each decoder and material; of `noise`, about `minutes` spread over it are heard."""
    rows = []
    heard = {name: [each for each in all_ if not each.said] for name, all_ in ears.both.items()}
    rows += [_row(name, IN_TEST, quiet) for name, quiet in heard.items() if quiet]
    clips = some_noise(noise, minutes)
    if clips:
        recognizer = Recognizer.load(bundle)
        for name in ears.both:
            decoder = "greedy" if name == "greedy" else recognizer.default_decoder
            rows.append(_row(name, LEARNED, evaluate(recognizer, clips, decoder).heard))
    return rows


def some_noise(noise: Sequence[NoiseClip], minutes: float) -> list[Clip]:
    """Clips spread over the whole, about `minutes` in all."""
    listed = [each for each in noise if each.kind == "noise"]
    total = sum(each.duration_s for each in listed)
    if not listed or minutes <= 0:
        return []
    every = max(1, round(total / (60 * minutes)))
    return [Clip(each.path, "", "noise", duration_s=each.duration_s) for each in listed[::every]]


def _row(decoder: str, material: str, quiet: Sequence[Heard]) -> FalseAccepts:
    words, hours = sum(len(each.heard.split()) for each in quiet), sum(each.audio_s for each in quiet) / 3600
    return FalseAccepts(
        decoder=decoder,
        material=material,
        clips=len(quiet),
        with_words=sum(bool(each.heard) for each in quiet),
        words=words,
        hours=round(hours, 5),
        words_per_hour=words / hours if hours else None,
    )
