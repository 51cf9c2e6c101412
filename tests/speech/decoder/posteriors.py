"""Posteriors, language models and decoders that the tests of decoders share."""

from pathlib import Path

import numpy as np

from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.native import NativeDecoder, Search

ALPHABET = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")
WORDS = "stop light lights see sea the on turn a at".split()
ARPA = """\\data\\
ngram 1=13
ngram 2=6
ngram 3=2

\\1-grams:
-2.5\t<unk>\t0
-99\t<s>\t-0.4
-1.2\t</s>\t0
-1.1\tstop\t-0.3
-1.3\tlight\t-0.2
-1.9\tlights\t-0.1
-1.4\tsee\t-0.3
-1.6\tsea\t-0.25
-0.8\tthe\t-0.5
-1.2\ton\t-0.3
-1.5\tturn\t-0.35
-1.0\ta\t-0.2
-1.7\tat\t-0.1

\\2-grams:
-0.4\t<s> turn\t-0.2
-0.3\tturn on\t-0.3
-0.5\ton the\t-0.1
-0.7\tthe light
-0.9\tthe sea\t-0.05
-0.3\tlight </s>

\\3-grams:
-0.2\tturn on the
-0.4\ton the light

\\end\\
"""


def write_arpa(folder: Path) -> Path:
    path = folder / "lm.arpa"
    path.write_text(ARPA, encoding="utf-8")
    return path


def native(lm: Path | None, *, beam: int = 64, alpha: float = 0.7, beta: float = 1.0, **search) -> NativeDecoder:
    return NativeDecoder(ALPHABET, lm, alpha=alpha, beta=beta, beam=beam, search=Search(**search))


def normal(logits: np.ndarray) -> np.ndarray:
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def written(text: str, rng: np.random.Generator, hardness: float = 1.5) -> np.ndarray:
    """Log-probabilities (T, 29) of a text that is spelled frame by frame, here and there misheard."""
    rows = []
    previous = ""
    for letter in text:
        rows += [""] * int(rng.integers(1 if letter == previous else 0, 3))
        rows += [letter] * int(rng.integers(1, 3))
        previous = letter
    logits = rng.normal(0, hardness, (len(rows) + 1, len(ALPHABET)))
    for frame, letter in enumerate([*rows, ""]):
        logits[frame, ALPHABET.letters.find(letter) + 1 if letter else 0] += 6
    return normal(logits)


def sentence(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words))


def flat(frames: int, seed: int = 0) -> np.ndarray:
    """Posteriors of noise: every label about as likely as any other."""
    return normal(np.random.default_rng(seed).normal(0, 0.3, (frames, len(ALPHABET))))
