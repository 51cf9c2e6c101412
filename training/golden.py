"""The golden clip of a bundle: a short utterance that every load of the model must write down exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.speech import bundle as bundles
from stt_server.speech.files import read_audio, write_flac
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.text import normalize
from training.synthetic import HELD_OUT, SAMPLE_RATE, draw_utterance, speak

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.sentences import SentenceSource

TRIES = 120
FEWEST_WORDS, MOST_WORDS = 2, 5
EDGE_S = 0.35
NAME = "golden.flac"
SILENCE = np.zeros(SAMPLE_RATE, np.float32)
SILENCES_S = (1.0, 0.5, 0.25, 0.1, 0.02)  # in the last one there is no whole step to hear anything in


def choose_golden(folder: Path, manifest: dict[str, Any], sentences: SentenceSource, seed: int) -> dict[str, str]:
    """Write the clip into the bundle's folder and return its entry in the manifest.

    It is spoken by a voice held out of training, and written down without a fault by the model in every precision,
    greedy and as the bundle decodes by default. A model too weak for any gets the longest silence in which they all
    hear the same: the clip proves that a load computes what was exported, not that the model is good.
    """
    judges = _judges(folder, manifest)
    for index in range(TRIES):
        utterance = draw_utterance(sentences, seed, index, HELD_OUT)
        text = normalize(utterance.text)
        if not FEWEST_WORDS <= len(text.split()) <= MOST_WORDS:
            continue
        samples = _recorded(folder, np.pad(0.5 * speak(utterance), int(EDGE_S * SAMPLE_RATE)))
        if all(judge.transcribe(samples).text == text for judge in judges):
            return _entry(folder, text)
    heard = {""}
    for seconds in SILENCES_S:
        silence = _recorded(folder, SILENCE[: int(seconds * SAMPLE_RATE)])
        heard = {judge.transcribe(silence).text for judge in judges}
        if len(heard) == 1:
            break
    return _entry(folder, min(heard))


def _judges(folder: Path, manifest: dict[str, Any]) -> list[Recognizer]:
    """The model in each precision, greedy and with the bundle's own decoder. Silence holds the golden clip's place."""
    _recorded(folder, SILENCE)
    bundles.write_bundle(folder, {**manifest, "golden": _entry(folder, "")})
    decoders = ("greedy", None) if "lm" in manifest else ("greedy",)
    return [
        Recognizer.load(folder, precision=precision, decoder=decoder)
        for precision in manifest["models"]
        for decoder in decoders
    ]


def _recorded(folder: Path, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Write the clip; the samples as they will be read."""
    write_flac(folder / NAME, samples)
    return read_audio(folder / NAME)


def _entry(folder: Path, text: str) -> dict[str, str]:
    return {**bundles.entry(folder, NAME), "text": text}
