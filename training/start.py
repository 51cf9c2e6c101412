"""Starting from a model there is: its weights, its sizes, its alphabet; a new head where the letters are others.

    base = find_base(recipe.start)          a bundle by name or path, or a checkpoint
    recipe = adopt(recipe, base)            what the base decides is in the recipe now, or the recipe is refused
    model = started(recipe, base)           ready to be tuned: head, frozen parameters

A bundle ships ONNX alone; its fp32 graph is read back into torch and both are run on random features, and a difference
of over 1e-3 in any log-probability is refused. A checkpoint gives its averaged weights, as are exported.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stt_server.errors import BadBundle, BadOption
from stt_server.speech.alphabet import BLANK
from stt_server.speech.bundle import find_bundle, load_bundle, sha256
from stt_server.speech.features import FeatureRecipe
from training import checkpoints
from training.architectures import RENAMED, build, describe
from training.recipe import Features, Model

if TYPE_CHECKING:
    from stt_server.speech.bundle import Bundle
    from training.recipe import LanguageModel, Recipe, Section, Start
    from training.streaming import StreamingModel

CHECKPOINT = ".pt"
PROVED_ON = (2, 96)  # random utterances and frames
NEAREST = 3
SIZES = frozenset(Model.model_fields)
HEAD = ("weight", "bias")
FREEZE = "start.freeze"


@dataclass(frozen=True, slots=True)
class Base:
    """A model to go on from. `name` is as the recipe has it; `bundle` is None where it came from a checkpoint.

    `sha256` is that of its weights when they were read: the checkpoint's file, the bundle's fp32 graph.
    """

    name: str
    model: StreamingModel
    letters: str
    bundle: Bundle | None = None
    sha256: str = ""

    @property
    def known_as(self) -> str:
        """Its name without where it lies: the bundle's own, or that of the checkpoint's file."""
        return self.bundle.name if self.bundle else Path(self.name).name


def find_base(start: Start) -> Base:
    """Raises NotFound, BadBundle or BadInput where there is no such model or it cannot be read back."""
    if start.model.endswith(CHECKPOINT):
        return _from_checkpoint(start.model)
    return _from_bundle(start.model)


def _from_checkpoint(name: str) -> Base:
    kept = checkpoints.load(Path(name))
    model = build(kept.shape)
    model.load_state_dict(kept.averaged)
    if kept.features:
        _check_features(name, FeatureRecipe(**kept.features))
    return Base(name, model, kept.letters, sha256=sha256(Path(name)))


def _from_bundle(name: str) -> Base:
    from training.export import PARITY, parity  # onnx, which a machine that starts from a checkpoint need not have
    from training.weights import restore

    bundle = load_bundle(find_bundle(name))
    manifest, graph = bundle.manifest, bundle.model_path("fp32")
    features = manifest.features.recipe()
    _check_features(name, features)
    model = restore(graph, manifest)
    heard = np.random.default_rng(0).normal(-6, 3, (*PROVED_ON, features.n_mels)).astype(np.float32)
    worst = parity(model, graph, heard, features.silence)
    if not worst <= PARITY:
        told = f"read back into torch it differs from its own graph by {worst:.2g} in log-probability, over {PARITY}"
        raise BadBundle(f"{name}: {told}; start from its checkpoint", field="models")
    return Base(name, model, manifest.labels, bundle, manifest.models["fp32"].sha256)


def _check_features(name: str, features: FeatureRecipe) -> None:
    ours = asdict(FeatureRecipe(n_mels=features.n_mels))
    for key, value in asdict(features).items():
        if value != ours[key]:
            told = f"its features have {key} {value:g}, and this trainer computes them with {ours[key]:g}"
            raise BadBundle(f"{name}: {told}; start from another model", field=f"features.{key}")


def adopt(recipe: Recipe, base: Base) -> Recipe:
    """The recipe with the base's sizes, features and, where it names no other, alphabet.

    Raises BadOption naming a key of the recipe that says otherwise.
    """
    told = describe(base.model)
    sizes = {RENAMED.get(name, name): size for name, size in told.items() if name in SIZES or name in RENAMED}
    sizes["dropout"] = recipe.model.dropout
    features = Features(n_mels=told["n_mels"])
    _refuse_contradictions("model", recipe.model, sizes, base)
    _refuse_contradictions("features", recipe.features, features.model_dump(), base)
    named = recipe.alphabet if "alphabet" in recipe.model_fields_set else "auto"
    letters = base.letters if named == "auto" else named
    if recipe.start and recipe.start.head == "keep" and letters != base.letters:
        told_head = f"`start.head` is keep, and {base.name} has another alphabet: {base.letters!r}"
        raise BadOption(f"{told_head}; leave `alphabet` out, or let the head be new", field="alphabet")
    changes = {"model": Model(**sizes), "features": features, "alphabet": letters, "lm": _decoding(recipe.lm, base)}
    if base.bundle and "language" not in recipe.model_fields_set:
        changes["language"] = base.bundle.manifest.language
    return recipe.model_copy(update=changes)


def _decoding(lm: LanguageModel | None, base: Base) -> LanguageModel | None:
    """Weights and beam of the base's decoder, where the recipe does not set them."""
    if lm is None or base.bundle is None or base.bundle.manifest.lm is None:
        return lm
    decoder = base.bundle.manifest.decoder
    told = {"alpha": decoder.alpha, "beta": decoder.beta, "beam": decoder.beam}
    return lm.model_copy(update={key: value for key, value in told.items() if key not in lm.model_fields_set})


def _refuse_contradictions(name: str, section: Section, of_base: dict[str, Any], base: Base) -> None:
    for key in sorted(section.model_fields_set & of_base.keys()):
        asked = getattr(section, key)
        if asked != of_base[key]:
            told = f"`{name}.{key}` is {asked}, and {base.name} has {of_base[key]}"
            raise BadOption(f"{told}; leave the key out, or start from another model", field=f"{name}.{key}")
    for key in sorted(section.model_fields_set - of_base.keys()):
        if getattr(section, key) != type(section).model_fields[key].default:
            told = f"`{name}.{key}` is no size of {base.name}, which is `{of_base['architecture']}`"
            raise BadOption(f"{told}; leave the key out", field=f"{name}.{key}")


def started(recipe: Recipe, base: Base) -> StreamingModel:
    """A model of its own with the base's weights, the head the recipe asks for and its frozen parameters.

    `recipe` was adopted. Rows of new letters are drawn from the schedule's seed.
    """
    if recipe.start is None:
        raise ValueError("the recipe has no section `start`")
    torch.manual_seed(recipe.schedule.seed)
    sizes = {"labels": len(recipe.alphabet) + 1, "dropout": recipe.model.dropout}
    model = build({**describe(base.model), **sizes})
    kept = base.model.state_dict()
    if recipe.start.head == "new" or recipe.alphabet != base.letters:
        shared = {} if recipe.start.head == "new" else _shared_rows(base.letters, recipe.alphabet)
        kept |= {f"out.{name}": _rows_of(kept[f"out.{name}"], getattr(model.out, name), shared) for name in HEAD}
    model.load_state_dict(kept)
    freeze(model, recipe.start.freeze)
    return model


def _shared_rows(before: str, after: str) -> dict[int, int]:
    """Row of the new head: row of the old one, for the blank and each letter that both have."""
    return {BLANK: BLANK} | {row: before.index(letter) + 1 for row, letter in enumerate(after, 1) if letter in before}


@torch.no_grad()
def _rows_of(old: torch.Tensor, drawn: torch.Tensor, shared: dict[int, int]) -> torch.Tensor:
    rows = drawn.detach().clone()
    for row, before in shared.items():
        rows[row] = old[before]
    return rows


def freeze(model: StreamingModel, patterns: tuple[str, ...]) -> None:
    """Parameters whose names fit a pattern learn no more. Raises BadOption naming what a pattern may have meant."""
    named = dict(model.named_parameters())
    for pattern in patterns:
        fitting = [name for name in named if fnmatchcase(name, pattern)]
        if not fitting:
            raise BadOption(
                f"no parameter fits {pattern!r} of `start.freeze`; {_nearest(pattern, named)}", field=FREEZE
            )
        for name in fitting:
            named[name].requires_grad_(False)
    if not any(weight.requires_grad for weight in named.values()):
        raise BadOption(f"`{FREEZE}` freezes every parameter, and nothing is left to learn", field=FREEZE)


def _nearest(pattern: str, names: dict[str, Any]) -> str:
    """Parameters and, with a star, what they are part of."""
    parts = {".".join(name.split(".")[:depth]) + ".*" for name in names for depth in range(1, name.count(".") + 1)}
    near = difflib.get_close_matches(pattern, sorted(parts) + list(names), NEAREST, cutoff=0.3)
    return f"near it are {', '.join(near)}" if near else f"there are {', '.join(sorted(parts)[:NEAREST])} and more"
