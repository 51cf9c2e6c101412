"""Posteriors to decode: made up from text in three levels of noise, or what a bundle's model says of its own kit.

A made-up utterance is peaky, as CTC models are: most frames are blanks, a letter lasts one frame or two. Some letters
have rivals that sound like them, and of those some are wrong for certain: the true letter is then no candidate at all.
Some letters are all but missing, some stand where nothing was said. What sets levels apart for a decoder is how many
labels stay possible in a frame: about 1.3 above a log-probability of -5 in `clean`, 2.4 in `mid`, 9 in `noisy`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stt_server.messages import Endpointing, Open
from stt_server.speech.alphabet import BLANK
from stt_server.speech.decoder.greedy import GreedyDecoder, GreedyDecoding
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from stt_server.commands.bench.script import Speech
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import LogProbs

SECONDS = 10
LETTERS = (110, 135)  # of an utterance: as much as is said in 10 s, and fits into 250 frames
SOUNDS_LIKE = dict(
    pair.split("=")
    for pair in "a=oeu b=pdv c=ksg d=tbg e=iay f=vth g=kjd h=fa i=eya j=gzy k=cgt l=rwn m=nb n=ml o=uaw p=btk q=kc "
    "r=lw s=zcf t=dpk u=oae v=fbw w=rlv x=szc y=iej z=sjx '=hs".split()
)


@dataclass(frozen=True, slots=True)
class Noise:
    """Shares of letters that have rivals, of those that are wrong for certain, of missing ones, of frames with an
    extra letter; and the temperature, which flattens every frame.
    """

    name: str
    doubtful: float
    wrong: float
    missing: float
    extra: float
    temperature: float


LEVELS = (
    Noise("clean", 0.09, 0.25, 0.012, 0.004, 1.0),
    Noise("mid", 0.13, 0.30, 0.015, 0.006, 1.4),
    Noise("noisy", 0.20, 0.30, 0.020, 0.010, 1.9),
)


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said, and (frames, labels) of log-probabilities about it."""

    text: str
    logprobs: LogProbs


@dataclass(frozen=True, slots=True)
class Inputs:
    name: str
    frames_per_s: float
    utterances: tuple[Utterance, ...]

    @property
    def seconds(self) -> float:
        return sum(len(each.logprobs) for each in self.utterances) / self.frames_per_s

    @property
    def candidates(self) -> float:
        """Labels of a frame with a log-probability above -5, on average."""
        return float(np.mean([(each.logprobs > -5).sum(1).mean() for each in self.utterances]))


def glue(sentences: Iterable[str]) -> list[str]:
    """Sentences, one behind the other, as utterances of `LETTERS`; those that do not fit are left out."""
    glued, text = list[str](), ""
    for sentence in sentences:
        longer = f"{text} {sentence}".strip()
        text = longer if len(longer) <= LETTERS[1] else text
        if len(text) >= LETTERS[0]:
            glued.append(text)
            text = ""
    return glued


def make_up(texts: Sequence[str], alphabet: Alphabet, noise: Noise, frames_per_s: int, seed: int = 1) -> Inputs:
    """The same posteriors for the same arguments, on every machine."""
    dice = np.random.default_rng(seed)
    made = (Utterance(text, _posteriors(text, alphabet, noise, SECONDS * frames_per_s, dice)) for text in texts)
    return Inputs(f"{noise.name} {frames_per_s}/s", frames_per_s, tuple(made))


def _posteriors(text: str, alphabet: Alphabet, noise: Noise, frames: int, dice: np.random.Generator) -> LogProbs:
    scores = dice.normal(-3.0, 1.0, (frames, len(alphabet)))
    scores[:, BLANK] = dice.normal(7.0, 1.5, frames)
    at, lasts = _places(text, frames, dice)
    for letter, frame, frames_of in zip(text, at, lasts, strict=True):
        row = _letter(letter, alphabet, noise, dice)
        scores[frame : frame + frames_of] = row
        scores[frame + 1 : frame + frames_of, BLANK] += 3
    for frame in np.flatnonzero(dice.random(frames) < noise.extra):
        scores[frame, dice.integers(1, len(alphabet))] = dice.normal(6.0, 1.5)
    scores /= noise.temperature
    best = scores.max(1, keepdims=True)
    logprobs: LogProbs = (scores - best - np.log(np.exp(scores - best).sum(1, keepdims=True))).astype(np.float32)
    return logprobs


def _places(text: str, frames: int, dice: np.random.Generator) -> tuple[list[int], list[int]]:
    """The first frame of each letter, and how many it has. Between equal letters is a blank."""
    twins = [1 if before == letter else 0 for before, letter in zip(" " + text, text, strict=False)]
    rest = frames - len(text) - sum(twins)
    gaps = dice.multinomial(rest, np.ones(len(text) + 1) / (len(text) + 1))
    at, lasts, frame = list[int](), list[int](), 0
    for i, twin in enumerate(twins):
        frame += int(gaps[i]) + twin
        at.append(frame)
        lasts.append(2 if gaps[i + 1] and dice.random() < 0.35 else 1)
        frame += 1
    return at, lasts


def _letter(letter: str, alphabet: Alphabet, noise: Noise, dice: np.random.Generator) -> NDArray[np.float64]:
    row, label, fate = dice.normal(-3.0, 1.0, len(alphabet)), alphabet.letters.index(letter) + 1, dice.random()
    row[BLANK] = dice.normal(1.0, 1.0)
    if fate < noise.missing:
        row[BLANK], row[label] = 3.0, dice.normal(2.0, 1.0)
    elif fate < noise.missing + noise.doubtful:
        row[label] = dice.normal(-4.0, 1.0) if dice.random() < noise.wrong else dice.normal(3.2, 1.2)
        for i, rival in enumerate(SOUNDS_LIKE.get(letter, "'")):
            row[alphabet.letters.index(rival) + 1] = dice.normal(3.0 - 0.5 * i, 1.2)
    else:
        row[label] = dice.normal(7.5, 1.0)
    return row


class _Listening(GreedyDecoder):
    """Keeps what it is told."""

    def __init__(self, alphabet: Alphabet) -> None:
        super().__init__(alphabet)
        self.rows: list[LogProbs] = []

    def open(self) -> _Told:
        return _Told(self.alphabet, self.rows)


class _Told(GreedyDecoding):
    def __init__(self, alphabet: Alphabet, rows: list[LogProbs]) -> None:
        super().__init__(alphabet)
        self._rows = rows

    def step(self, logprobs_TV: LogProbs) -> None:
        self._rows.append(logprobs_TV.copy())
        super().step(logprobs_TV)


def listen(recognizer: Recognizer, speech: Sequence[Speech], name: str) -> Inputs:
    """What the bundle's model says of speech, each clip heard as one utterance."""
    manifest = recognizer.bundle.manifest
    told = _Listening(manifest.alphabet)
    settings = replace(recognizer.settings, decoder="greedy")
    alone = Recognizer(recognizer.bundle, recognizer.model, {"greedy": told}, settings)
    heard = []
    for each in speech:
        told.rows.clear()
        alone.transcribe(each.samples, Open("bench", endpointing=Endpointing(enabled=False)))
        if told.rows:
            heard.append(Utterance(each.text, np.concatenate(told.rows)))
    frames_per_s = 1000 / (manifest.features.hop_ms * manifest.subsampling)
    return Inputs(name, frames_per_s, tuple(heard))
