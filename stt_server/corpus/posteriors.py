"""What a model hears in clips, kept as log-probabilities: decoders can be tried on it without asking the model again.

The recogniser that serves cuts the clips into utterances; what it hands to its decoder is what is kept.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import BadInput, Conflict
from stt_server.messages import Endpointing, Open
from stt_server.speech.decoder.greedy import GreedyDecoder, GreedyDecoding
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Decoder, LogProbs

    Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Posteriors:
    """A clip: what was said, normalised, and the log-probabilities (T, labels) of each utterance heard in it."""

    said: str
    utterances: tuple[LogProbs, ...]


def hear(
    recognizer: Recognizer, clips: Sequence[Clip], told: Told = lambda done: None, *, vad: bool = True
) -> list[Posteriors]:
    """The clips as they are served; `told` how many are done. Raises BadInput for none, and for one with bad audio."""
    if not clips:
        raise BadInput("there are no clips to tune on; the manifest is empty or has none of that split")
    keeper = _Keeper(recognizer.bundle.manifest.alphabet)
    decoders: dict[str, Decoder] = {keeper.name: keeper}
    ears = Recognizer(recognizer.bundle, recognizer.model, decoders, recognizer.settings)
    options = Open("offline", decoder=keeper.name, endpointing=Endpointing(enabled=vad))
    heard = []
    for done, clip in enumerate(clips, 1):
        ears.transcribe(read_audio(clip.path), options)
        heard.append(Posteriors(normalize(clip.text, drop_unspellable=True), keeper.taken()))
        told(done)
    return heard


class _Keeper(GreedyDecoder):
    """Decodes greedily, as the recogniser needs words to go on, and keeps what it was given."""

    def __init__(self, alphabet: Alphabet) -> None:
        super().__init__(alphabet)
        self._opened: list[_Kept] = []

    def open(self) -> GreedyDecoding:
        self._opened.append(_Kept(self.alphabet))
        return self._opened[-1]

    def taken(self) -> tuple[LogProbs, ...]:
        """Of every utterance since the last call in which there was something."""
        opened, self._opened = self._opened, []
        return tuple(np.concatenate(each.rows) for each in opened if each.rows)


class _Kept(GreedyDecoding):
    def __init__(self, alphabet: Alphabet) -> None:
        super().__init__(alphabet)
        self.rows: list[LogProbs] = []

    def step(self, logprobs_TV: LogProbs) -> None:
        super().step(logprobs_TV)
        if len(logprobs_TV):
            self.rows.append(logprobs_TV.copy())


def mark(model_sha256: str, clips: Sequence[Clip], *, vad: bool) -> str:
    """By what kept log-probabilities are known again: model, clips with their texts, and how they were cut."""
    facts = [model_sha256, vad, [(str(clip.path), clip.text) for clip in clips]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def save(heard: Sequence[Posteriors], path: Path, known_by: str) -> None:
    """Keep them as .npz."""
    rows = [rows for each in heard for rows in each.utterances]
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            np.savez(
                file,
                mark=np.array(known_by),
                said=np.array([each.said for each in heard]),
                utterances=np.array([len(each.utterances) for each in heard]),
                frames=np.array([len(each) for each in rows], np.int64),
                logprobs=np.concatenate(rows) if rows else np.zeros((0, 0), np.float32),
            )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, known_by: str) -> list[Posteriors] | None:
    """What `save` kept; None where nothing is there. Raises Conflict for other clips or another model, BadInput."""
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            if str(kept["mark"]) != known_by:
                raise Conflict(f"{path} holds the log-probabilities of another model or of other clips; remove it")
            utterances = iter(np.split(kept["logprobs"], np.cumsum(kept["frames"])[:-1]))
            return [
                Posteriors(str(said), tuple(next(utterances) for _ in range(count)))
                for said, count in zip(kept["said"], kept["utterances"].tolist(), strict=True)
            ]
    except (OSError, ValueError, KeyError, StopIteration, RuntimeError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput(f"{path} holds no log-probabilities; remove it", field="logprobs") from error
