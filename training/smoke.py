"""`earloop train smoke`: is everything here that a training needs? One clip is learned by heart, in seconds.

The clip goes the whole way: spoken, decoded, made into batches, learned, exported in both precisions and compared with
torch. Where no voice is installed it is three tones, so that the rest is checked all the same.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import Internal, Unsupported
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from training.architectures import new_model
from training.batches import Surroundings, frames_of
from training.clips import SAMPLE_RATE, ClipArray, Spoken
from training.export import check_int8, check_parity, export_onnx, rounded
from training.fit import fit
from training.listening import listen
from training.recipe import load_recipe
from training.synthetic import Utterance, speak

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.terminal import Terminal

RECIPE = "smoke"
SAID = "this works"
TONES = "abc"
TONE_S, FIRST_HZ = 0.25, 400


def check_install(terminal: Terminal) -> None:
    """Say OK, or raise Internal with what went wrong."""
    begun, recipe = perf_counter(), load_recipe(RECIPE)
    samples, text = _clip(terminal)
    clip = _one_clip(samples, text)
    none = ClipArray(np.zeros(0, np.int16), np.zeros(0, np.int64), [])
    alphabet, mel = Alphabet(recipe.alphabet), LogMel(FeatureRecipe(n_mels=recipe.features.n_mels))
    with tempfile.TemporaryDirectory() as folder:
        model = fit(recipe, new_model(recipe), clip, none, alphabet, mel, Surroundings(), Path(folder), terminal)
        heard = listen(model.cpu(), clip, alphabet, mel).texts[0]
        if heard != text:
            told = f"not OK: of {text!r} it learned {heard!r}"
            raise Internal(
                f"{told}; a newer or older torch may help, or report this with the output of `earloop doctor`"
            )
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        exported, frames = rounded(model), frames_of(mel, samples)[None]
        export_onnx(exported, fp32, int8)
        worst = check_parity(exported, fp32, frames, mel.recipe.silence)
        check_int8(exported, int8, frames, mel.recipe.silence)
    seconds = perf_counter() - begun
    terminal.say(f"OK: learned {text!r}, exported it and found it unchanged (by {worst:.0e}) in {seconds:.0f} s")


def _clip(terminal: Terminal) -> tuple[NDArray[np.float32], str]:
    try:
        return speak(Utterance(SAID, "en-us", 160, 50)), SAID
    except Unsupported as error:
        terminal.say(f"{error}; until then three tones stand for speech, and synthetic speech cannot be made")
        return np.concatenate([_tone(number) for number in range(len(TONES))]), TONES


def _tone(number: int) -> NDArray[np.float32]:
    time = np.arange(int(TONE_S * SAMPLE_RATE)) / SAMPLE_RATE
    tone: NDArray[np.float32] = (0.3 * np.sin(2 * np.pi * FIRST_HZ * 2**number * time)).astype(np.float32)
    return tone


def _one_clip(samples: NDArray[np.float32], text: str) -> ClipArray:
    pcm = np.round(np.clip(samples, -1, 1 - 2**-15) * 32768).astype(np.int16)
    return ClipArray(pcm, np.array([len(pcm)]), [Spoken(text, "smoke", "")])
