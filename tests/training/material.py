"""What the trainer's tests learn from: a few spoken clips in memory, a toy model, a recipe without chance."""

from __future__ import annotations

import shutil
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from tests.voices import Samples, say
from training.architectures import new_model
from training.clips import ClipArray, Spoken
from training.recipe import Augmentation, Recipe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from training.checkpoints import Progress
    from training.streaming import StreamingModel

LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
ALPHABET = Alphabet(LETTERS)
MEL = LogMel(FeatureRecipe())
UNCHANGED = Augmentation(
    speed=0, reverb=0, noise=0, gain_db=(0, 0), telephone=0, lead=0, join=0, empty=0, band_masks=0, time_masks=0
)
SENTENCES = ("yes", "stop", "lights on", "seven nine", "what time is it", "play")
TOY = {"width": 32, "depth": 2, "kernel": 5, "channels": 4, "lookahead": [1, 1], "dropout": 0.1}


def clip_array(spoken: Sequence[tuple[Samples, str]]) -> ClipArray:
    """Clips in memory, as `load_clips` maps them from disk."""
    samples = [np.round(np.clip(each, -1, 1 - 2**-15) * 32768).astype(np.int16) for each, _ in spoken]
    ends = np.cumsum([len(each) for each in samples])
    return ClipArray(np.concatenate(samples), ends, [Spoken(text, "test", "") for _, text in spoken])


@lru_cache
def six_clips() -> ClipArray:
    """Six short commands by one voice."""
    return clip_array([(say(text), text) for text in SENTENCES])


def recipe(**sections: Any) -> Recipe:
    """A toy recipe; `schedule`, `model`, `augmentation`, … set keys of these sections."""
    tree: dict[str, Any] = {
        "name": "test",
        "data": {"train": [{"synthetic": {"by_rule": 1.0}}]},
        "model": TOY,
        "schedule": {"epochs": 2, "batch_s": 4, "workers": 0, "threads": 1, "device": "cpu", "precision": "fp32"},
    }
    for name, keys in sections.items():
        tree[name] = {**tree.get(name, {}), **keys} if isinstance(keys, dict) else keys
    return Recipe.model_validate(tree)


def toy_model(**sizes: Any) -> StreamingModel:
    return new_model(recipe(model=sizes))


def with_graphs_of(bundle: Path, patch: pytest.MonkeyPatch) -> None:
    """Exports take the graphs of a bundle of the same weights, which torch's exporter would make again in ten seconds.

    All else is real: they are compared with torch, and refused where they are not what was trained.
    """

    def copied(_model: StreamingModel, fp32: Path, int8: Path) -> None:
        for graph in (fp32, int8):
            shutil.copy(bundle / graph.name, graph)

    patch.setattr("training.bundling.export_onnx", copied)


class Listener:
    """Keeps what `fit` tells."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[dict[str, float]] = []
        self.waits: list[float] = []
        self.said: list[str] = []

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        self.losses.append(loss)
        self.waits.append(waiting)

    def say(self, sentence: str) -> None:
        self.said.append(sentence)

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        self.rates.append(wer)
