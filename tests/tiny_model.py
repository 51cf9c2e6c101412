"""The model behind `tests.bundles.tiny_bundle`: fitted with CTC on the spot, exported as any other. Needs torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.bundle import entry, write_bundle
from stt_server.speech.features import FeatureRecipe, LogMel
from stt_server.speech.files import write_flac
from stt_server.speech.resample import resample
from tests.bundles import GOLDEN, VOICES, WORDS, spoken
from training.export import STEP_FRAMES, export_onnx, rounded
from training.lm.arpa import write_arpa
from training.lm.kneser_ney import estimate
from training.model import SUBSAMPLING, ConvModel, ConvShape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.voices import Samples

LETTERS = " 'abcdefghijklmnopqrstuvwxyz"
RECIPE = FeatureRecipe()
SHAPE = ConvShape(
    labels=len(LETTERS) + 1, width=32, depth=2, kernel=7, channels=8, expansion=1.0, right=(1, 1), dropout=0.0
)


def make_tiny_bundle(folder: Path) -> Path:
    """Fit, export and describe the model; `folder` is made."""
    folder.mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two that wait for each other on a busy machine take minutes
    try:
        model = rounded(_fitted())
    finally:
        torch.set_num_threads(threads)
    export_onnx(model, folder / "model.fp32.onnx", folder / "model.int8.onnx")
    write_arpa(estimate([*WORDS, GOLDEN, GOLDEN, "stop", "yes yes", "no no"], 2), folder / "lm.arpa.gz")
    write_flac(folder / "golden.flac", spoken(*GOLDEN.split()))
    write_bundle(folder, _manifest(folder, model))
    return folder


def _manifest(folder: Path, model: ConvModel) -> dict[str, object]:
    lag = model.shape.lag_frames
    return {
        "format": 1,
        "kind": "streaming",
        "name": "tiny",
        "version": "1",
        "language": "en",
        "licence": "none; made by the tests",
        "features": {name: getattr(RECIPE, name) for name in RECIPE.__slots__},
        "labels": LETTERS,
        "blank": 0,
        "subsampling": SUBSAMPLING,
        "step_frames": STEP_FRAMES,
        "lag_frames": lag,
        "right_context_ms": lag * RECIPE.hop_ms * SUBSAMPLING + RECIPE.window_ms - RECIPE.hop_ms,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "states": {name: list(shape[1:]) for name, shape in model.state_shapes(1).items()},
        "models": {name: entry(folder, f"model.{name}.onnx") for name in ("fp32", "int8")},
        "lm": entry(folder, "lm.arpa.gz"),
        "decoder": {"engine": "reference", "alpha": 0.5, "beta": 1.0, "beam": 16},
        "golden": {**entry(folder, "golden.flac"), "text": GOLDEN},
    }


def _fitted(steps: int = 200, batch: int = 16) -> ConvModel:
    """CTC on random strings of the words; the same weights on every run of a machine."""
    dice = np.random.default_rng(0)
    mel, alphabet = LogMel(RECIPE), Alphabet(LETTERS)
    texts = [[WORDS[i] for i in dice.integers(0, len(WORDS), dice.integers(1, 4))] for _ in range(200)]
    frames = [mel.whole(_draw(words, dice)) for words in texts]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvModel(SHAPE)
        everything = np.concatenate(frames)
        model.set_normalisation(everything.mean(0).tolist(), everything.std(0).tolist())
        optimizer = torch.optim.AdamW(model.parameters(), 0.005)
        for _ in range(steps):
            chosen = dice.integers(0, len(texts), batch)
            targets = [alphabet.encode(" ".join(texts[i])) for i in chosen]
            optimizer.zero_grad()
            _loss(model, _padded([frames[i] for i in chosen]), targets).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
    return model.eval()


def _draw(words: list[str], dice: np.random.Generator) -> Samples:
    voice = VOICES[int(dice.integers(0, len(VOICES)))]
    level, noise = dice.uniform(0.3, 1.4), 10 ** dice.uniform(-4, -2.5)
    samples = level * spoken(*words, voice=voice, gap_s=float(dice.uniform(0.12, 0.5)), noise=float(noise))
    return resample(resample(samples, 16_000, 8_000), 8_000) if dice.random() < 0.3 else samples


def _padded(frames: list[Samples]) -> torch.Tensor:
    longest = -(-max(map(len, frames)) // SUBSAMPLING) * SUBSAMPLING
    stack = np.full((len(frames), longest, RECIPE.n_mels), RECIPE.silence, np.float32)
    for row, each in zip(stack, frames, strict=True):
        row[: len(each)] = each
    return torch.from_numpy(stack)


def _loss(model: ConvModel, features: torch.Tensor, targets: list[list[int]]) -> torch.Tensor:
    logprobs = model.whole(features, RECIPE.silence)
    frames = torch.full((len(targets),), logprobs.shape[1])
    letters = torch.tensor([label for labels in targets for label in labels])
    return F.ctc_loss(logprobs.transpose(0, 1), letters, frames, torch.tensor([len(labels) for labels in targets]))
