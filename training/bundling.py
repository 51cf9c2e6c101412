"""A trained checkpoint made into a bundle: graphs, language model, kit, golden clip, rates, card, manifest."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.speech import bundle as bundles
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from stt_server.speech.files import read_audio
from training import checkpoints
from training.agreement import check_texts
from training.architectures import build, describe
from training.batches import frames_of
from training.card import write_card
from training.evaluate import false_words, hear, moved, rates
from training.export import STEP_FRAMES, check_int8, check_parity, export_onnx, rounded
from training.golden import choose_golden
from training.kit import make_kit
from training.origin import code_version
from training.sentences import SentenceSource, read_sentences
from training.streaming import SUBSAMPLING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.evaluation import Evaluation
    from training.recipe import Recipe
    from training.streaming import StreamingModel

    Say = Callable[[str], None]
    Listen = Callable[[Sequence[Evaluation]], None]
    Entries = dict[str, Any]

PARITY_CLIPS = 3
GOLDEN_BY_RULE = 0.3
VERSION_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a bundle is made of. `lm` is an ARPA file; `sentences` what the kit's and the golden clip's voices read.

    `start` is what the lineage tells of the model that learning went on from; `kit` the folder of its evaluation kit,
    which the bundle takes over where the recipe asks for none.
    """

    recipe: Recipe
    checkpoint: Path
    train: Sequence[Clip]
    test: Sequence[Clip]
    lm: Path | None = None
    sentences: Path | None = None
    start: Mapping[str, Any] = field(default_factory=dict)
    kit: Path | None = None

    @property
    def mel(self) -> LogMel:
        return LogMel(FeatureRecipe(n_mels=self.recipe.features.n_mels))


def make_bundle(made_of: Ingredients, folder: Path, say: Say, listen: Listen = lambda heard: None) -> bundles.Bundle:
    """Write the bundle into `folder`. One that is there is replaced when the new one is whole.

    `listen` gets what each decoder heard in the test and in the bundle's kit, for a report.

    Ctrl-C while it is measured keeps the bundle, without error rates; before, it leaves nothing.

    Raises Internal where ONNX and torch disagree.
    """
    with _aside(folder) as part:
        model = rounded(load_model(made_of.checkpoint))
        manifest = _described(made_of.recipe, made_of.mel.recipe, model)
        manifest |= _graphs(made_of, model, part, say)
        manifest |= _language_model(made_of, part)
        manifest["version"] = version_of(manifest)
        manifest |= _kit(made_of, part)
        manifest["golden"] = _golden(made_of, manifest, part)
        manifest["lineage"] |= _lineage(made_of) | {"model": describe(model)}
        bundles.write_bundle(part, manifest)
        heard = _heard(part, made_of, say)
        manifest["error_rates"] = rates(heard)
        write_card(part / "card.md", manifest, made_of.train, made_of.recipe, false_words(heard))
        manifest["card"] = bundles.entry(part, "card.md")
        bundles.write_bundle(part, manifest)
    listen(moved(heard, part, folder))
    return bundles.load_bundle(folder)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `folder` when all went well, and is no more when not."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _heard(folder: Path, made_of: Ingredients, say: Say) -> list[Evaluation]:
    try:
        return hear(folder, made_of.test, say)
    except KeyboardInterrupt:
        say("stopped while measuring: the bundle is kept, without error rates; `earloop evaluate` measures it")
        return []


def load_model(checkpoint: Path) -> StreamingModel:
    """The averaged weights of a checkpoint, in the shape they were trained in."""
    kept = checkpoints.load(checkpoint)
    model = build(kept.shape)
    model.load_state_dict(kept.averaged)
    return model


def _described(recipe: Recipe, features: FeatureRecipe, model: StreamingModel) -> Entries:
    """The manifest as far as recipe and model decide it."""
    frame_ms, lag = features.hop_ms * SUBSAMPLING, model.shape.lag_frames
    return {
        "format": 1,
        "kind": "streaming",
        "name": recipe.name,
        "language": recipe.language,
        "licence": recipe.licence,
        "features": {name: getattr(features, name) for name in bundles.Features.model_fields},
        "labels": recipe.alphabet,
        "blank": 0,
        "subsampling": SUBSAMPLING,
        "step_frames": STEP_FRAMES,
        "lag_frames": lag,
        "right_context_ms": lag * frame_ms + features.window_ms - features.hop_ms,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "states": {name: list(shape[1:]) for name, shape in model.state_shapes(1).items()},
    }


def _graphs(made_of: Ingredients, model: StreamingModel, folder: Path, say: Say) -> Entries:
    """Both graphs, how far they are from torch on training clips, and whether they write the same of the test's."""
    fp32, int8 = folder / "model.fp32.onnx", folder / "model.int8.onnx"
    export_onnx(model, fp32, int8)
    mel, clips = made_of.mel, made_of.train
    chosen = clips[:: max(1, len(clips) // PARITY_CLIPS)][:PARITY_CLIPS]
    frames = [frames_of(mel, read_audio(clip.path)) for clip in chosen]
    stack = np.stack([each[: min(map(len, frames))] for each in frames])
    worst = check_parity(model, fp32, stack, mel.recipe.silence)
    moved = check_int8(model, int8, stack, mel.recipe.silence)
    say(f"against torch: fp32 differs by {worst:.1e} in log-probability, int8 moves {moved:.2%} of the probability")
    texts = check_texts(model, fp32, made_of.test, Alphabet(made_of.recipe.alphabet), mel)
    if texts.clips:
        say(str(texts))
    parity = {
        "fp32_logprob": max(worst, texts.worst),
        "int8_probability": moved,
        "test_clips": texts.clips,
        "different_texts": texts.different,
    }
    files = {name: bundles.entry(folder, f"model.{name}.onnx") for name in ("fp32", "int8")}
    return {"models": files, "lineage": {"parity": parity}}


def _language_model(made_of: Ingredients, folder: Path) -> Entries:
    lm = made_of.recipe.lm
    if made_of.lm is None or lm is None:
        return {}
    shutil.copyfile(made_of.lm, folder / "lm.arpa.gz")
    decoder = {"engine": "native", "alpha": lm.alpha, "beta": lm.beta, "beam": lm.beam}
    return {"lm": bundles.entry(folder, "lm.arpa.gz"), "decoder": decoder}


def _kit(made_of: Ingredients, folder: Path) -> Entries:
    if made_of.recipe.kit.utterances:
        make_kit(made_of.recipe.kit, made_of.sentences, folder / "kit")
    elif made_of.kit:
        shutil.copytree(made_of.kit, folder / "kit")
    else:
        return {}
    return {"kit": bundles.entry(folder, "kit/manifest.csv")}


def version_of(manifest: Entries) -> str:
    """The day and eight digits of what the model hears by: two models of one day are told apart, and the same weights
    and language model, exported again, have the same digits.
    """
    files = [*manifest["models"].values(), *([manifest["lm"]] if "lm" in manifest else [])]
    digest = hashlib.sha256("".join(file["sha256"] for file in files).encode()).hexdigest()
    return f"{datetime.now(UTC):%Y%m%d}.{digest[:VERSION_DIGITS]}"


def _golden(made_of: Ingredients, manifest: Entries, folder: Path) -> dict[str, str]:
    """Of the text that was spoken for the training, or else of what the training clips say."""
    said = made_of.sentences
    lines = list(read_sentences(said)) if said else sorted({clip.text for clip in made_of.train})
    source = SentenceSource(lines, GOLDEN_BY_RULE if said else 0.0)
    return choose_golden(folder, manifest, source, made_of.recipe.kit.seed + 1)


def _lineage(made_of: Ingredients) -> Entries:
    """What the weights came from: the model before them, recipe, code, how long they learned."""
    progress = checkpoints.load(made_of.checkpoint).progress
    before = {"start": dict(made_of.start)} if made_of.start else {}
    return before | {
        "recipe": made_of.recipe.name,
        "code": code_version(),
        "steps": progress.step,
        "epochs": progress.epoch,
        "training_minutes": round(progress.seconds / 60, 1),
        "clips": len(made_of.train),
        "hours": round(sum(clip.duration_s or 0.0 for clip in made_of.train) / 3600, 2),
    }
