"""The one table of architectures: what `model.architecture` of a recipe and of a checkpoint may say."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import torch

from stt_server.errors import BadInput
from stt_server.speech.alphabet import Alphabet
from training.deepspeech import DeepSpeech, DeepSpeechShape
from training.model import ConvModel, ConvShape

if TYPE_CHECKING:
    from training.recipe import Recipe
    from training.streaming import StreamingModel

ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "conv": (ConvModel, ConvShape),
    "deepspeech": (DeepSpeech, DeepSpeechShape),
}
FIRST = "conv"  # what a checkpoint holds that names none
RENAMED = {"right": "lookahead"}  # a shape's size: its key in the recipe's section `model`


def architecture_of(model: StreamingModel) -> str:
    """The name of a model's architecture."""
    return next(name for name, (kind, _) in ARCHITECTURES.items() if type(model) is kind)


def describe(model: StreamingModel) -> dict[str, Any]:
    """Architecture and sizes, as a checkpoint and a bundle's lineage keep them."""
    return {"architecture": architecture_of(model), **asdict(model.shape)}


def build(described: dict[str, Any]) -> StreamingModel:
    """A model as `describe` told it, its weights drawn by torch's own generator.

    Raises BadInput for an architecture that is not known here, or sizes that are not its own.
    """
    sizes = {name: tuple(size) if isinstance(size, list) else size for name, size in described.items()}
    name = sizes.pop("architecture", FIRST)
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise BadInput(f"there is no architecture {name!r}; this version knows {known}", field="architecture")
    kind, shape = ARCHITECTURES[name]
    try:
        model: StreamingModel = kind(shape(**sizes))
    except TypeError as error:
        raise BadInput(f"these are not the sizes of a {name} model: {error}", field="architecture") from error
    return model


def shape_from(recipe: Recipe, labels: int) -> dict[str, Any]:
    """Architecture and sizes that a recipe asks for."""
    shape = ARCHITECTURES[recipe.model.architecture][1]
    sizes: dict[str, Any] = {"n_mels": recipe.features.n_mels, "labels": labels}
    for size in fields(shape):
        if size.name not in sizes:
            sizes[size.name] = getattr(recipe.model, RENAMED.get(size.name, size.name))
    return {"architecture": recipe.model.architecture, **sizes}


def new_model(recipe: Recipe) -> StreamingModel:
    """A model of the recipe's sizes, its weights drawn from the schedule's seed."""
    torch.manual_seed(recipe.schedule.seed)
    return build(shape_from(recipe, len(Alphabet(recipe.alphabet))))
