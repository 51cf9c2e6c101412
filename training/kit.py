"""The evaluation kit of a bundle: what a machine without any corpus can still measure a model with.

Short utterances of voices that never speak in training, half of them with noise, and clips of silence and noise in
which no word may be heard. All of it is made here, so it may be passed on freely.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from training.augmentation.noise import add_noise
from training.sentences import SentenceSource, read_sentences
from training.synthetic import HELD_OUT, SAMPLE_RATE, draw_utterance, speak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.random import Generator
    from numpy.typing import NDArray

    from training.recipe import Kit

    Samples = NDArray[np.float32]

QUIET_CLIPS = 20
QUIET_S = 3.0
SNR_DB = (8.0, 18.0)
EDGE_S = 0.3


def make_kit(recipe: Kit, sentences: Path | None, folder: Path) -> Path:
    """Write clips (Ogg Opus) and `manifest.csv` into `folder`; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["source", "split", "speaker", "path", "duration_s", "transcript"])
        for number, (source, voice, samples, text) in enumerate(_clips(recipe, sentences)):
            name = f"{number:03d}.opus"
            soundfile.write(folder / name, samples, SAMPLE_RATE, format="OGG", subtype="OPUS")
            rows.writerow([source, "test", voice, name, f"{len(samples) / SAMPLE_RATE:.3f}", text])
    return manifest


def _clips(recipe: Kit, sentences: Path | None) -> Iterator[tuple[str, str, Samples, str]]:
    lines = [line for line in read_sentences(sentences) if len(line.split()) <= 8] if sentences else []
    source = SentenceSource(lines, 0.4 if lines else 1.0)
    dice = np.random.default_rng(recipe.seed)
    edge = np.zeros(int(EDGE_S * SAMPLE_RATE), np.float32)
    for index in range(recipe.utterances):
        utterance = draw_utterance(source, recipe.seed, index, HELD_OUT)
        samples = np.concatenate([edge, 0.5 * speak(utterance), edge])
        if index % 2:
            noisy = add_noise(samples, steady_noise(len(samples), dice), float(dice.uniform(*SNR_DB)))
            yield "kit-noisy", utterance.voice, np.clip(noisy, -1, 1), utterance.text
        else:
            yield "kit-clean", utterance.voice, samples, utterance.text
    for index in range(QUIET_CLIPS if recipe.utterances else 0):
        length = int(QUIET_S * SAMPLE_RATE)
        level = 0.0 if index < 4 else float(10 ** dice.uniform(-2.5, -0.7))
        yield "kit-quiet", "", np.clip(level * steady_noise(length, dice), -1, 1), ""


def steady_noise(length: int, dice: Generator) -> Samples:
    """Noise of a random colour between white and brown, with a hum now and then, at an rms of one."""
    spectrum = np.fft.rfft(dice.standard_normal(length))
    spectrum *= np.maximum(1, np.arange(len(spectrum))) ** -float(dice.uniform(0, 1))
    noise = np.fft.irfft(spectrum, length)
    if dice.random() < 0.3:
        noise += noise.std() * np.sin(2 * np.pi * float(dice.uniform(50, 400)) / SAMPLE_RATE * np.arange(length))
    level: Samples = (noise / (noise.std() + 1e-9)).astype(np.float32)
    return level
