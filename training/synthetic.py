"""Synthetic speech as a corpus: sentences spoken by espeak-ng and flite in many voices, rates and pitches.

An utterance is a pure function of (seed, index), so a corpus can be stopped, resumed and made again elsewhere. Voices
named in `HELD_OUT` never speak in training: the evaluation kit of every bundle is made of them.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from stt_server.errors import BadInput, Unsupported
from stt_server.speech.resample import resample
from training.clips import at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from training.sentences import SentenceSource

SAMPLE_RATE = 16000
PROGRAMS = ("espeak-ng", "flite")
# `en` is British. espeak-ng 1.51 knows `en-gb` too, but speaks it without the variant behind it, and says nothing.
ACCENTS = ("en-us", "en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-029")
VARIANTS = (
    " +f1 +f2 +f3 +f4 +m1 +m2 +m3 +m4 +m5 +m6 +m7 +klatt +klatt2 +klatt3 +klatt4 +klatt6 +Andy +Annie +Alex +adam "
    "+steph +steph2 +Mario +Storm +Lee +linda +Denis +Gene +Gene2 +Jacky +john +max +norbert +travis +victor +zac "
    "+belinda +ed +Alicia +Andrea +antonio +aunty +benjamin +boris +caleb +david +edward +edward2 +grandpa +iven "
    "+iven2 +iven3 +marcelo +Marco +Mike +miguel +paul +pablo +pedro +quincy +RicishayMax +RicishayMax2 +robert "
    "+sandro +shelby +Henrique +Diogo +michel +kaukovalta +announcer"
).split(" ")
FLITE = ("slt", "slt", "rms", "rms", "kal16", "kal")
HELD_OUT = ("en-us+f5", "en-us+m8", "en+anika", "en-us+Michael", "en-gb-scotland+rob", "en-us+Hugo", "flite:awb")
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Utterance:
    """What is to be spoken and how. `rate` is words a minute, `pitch` 0–99 for espeak-ng and hertz for flite."""

    text: str
    voice: str
    rate: int
    pitch: int


def draw_utterance(sentences: SentenceSource, seed: int, index: int, voices: tuple[str, ...] = ()) -> Utterance:
    """Utterance `index` of corpus `seed`; `voices` restricts it to those, else any voice not held out."""
    dice = random.Random(f"{seed}/{index}")
    text = sentences.draw(dice)
    voice = dice.choice(voices) if voices else _draw_voice(dice)
    pitch = dice.randint(85, 220) if voice.startswith("flite:") else dice.randint(15, 85)
    return Utterance(text, voice, dice.randint(120, 215), pitch)


def _draw_voice(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return f"flite:{dice.choice(FLITE)}"
    return dice.choice(ACCENTS) + dice.choice(VARIANTS)


def as_spoken(text: str) -> str:
    """The letter "a" in a spelled run written "eigh": both programs say a lone "a" before a word as the article."""
    words = text.split()
    single = [False, *(len(word) == 1 for word in words), False]
    spelled = [single[i] and (single[i - 1] or single[i + 1]) for i in range(1, len(words) + 1)]
    return " ".join(
        "eigh" if word == "a" and is_spelled else word for word, is_spelled in zip(words, spelled, strict=True)
    )


def check_programs() -> None:
    """Raises Unsupported where a speech program is not installed, so that a run fails at its start."""
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Unsupported(f"{program} is not installed; synthetic speech needs it: apt-get install espeak-ng flite")


def speak(utterance: Utterance) -> NDArray[np.float32]:
    """The utterance as 16 kHz samples, shape (n,).

    Raises Unsupported where the speech program is not installed, BadInput where it knows no such voice or hangs.
    """
    command = _flite(utterance) if utterance.voice.startswith("flite:") else _espeak(utterance)
    try:
        wav = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S).stdout
    except FileNotFoundError as error:
        raise Unsupported(f"{command[0]} is not installed: apt-get install espeak-ng flite") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        complaint = (error.stderr or b"").decode(errors="replace").strip() or "no answer in time"
        told = f"{command[0]} cannot speak {utterance.text!r} as {utterance.voice!r}: {complaint}"
        raise BadInput(told, field="voices") from error
    samples, rate = soundfile.read(io.BytesIO(_unstreamed(wav)), dtype="float32")
    return resample(samples, rate, SAMPLE_RATE)


def _espeak(utterance: Utterance) -> list[str]:
    voice, rate, pitch = utterance.voice, str(utterance.rate), str(utterance.pitch)
    return ["espeak-ng", "--stdout", "-v", voice, "-s", rate, "-p", pitch, "--", as_spoken(utterance.text)]


def _flite(utterance: Utterance) -> list[str]:
    stretch = f"duration_stretch={170 / utterance.rate:.2f}"
    pitch = f"int_f0_target_mean={utterance.pitch}"
    voice, text = utterance.voice.removeprefix("flite:"), as_spoken(utterance.text)
    return ["flite", "-voice", voice, "--setf", stretch, "--setf", pitch, "-t", text, "-o", "/dev/stdout"]


def _unstreamed(wav: bytes) -> bytes:
    """espeak-ng writes a wav to a pipe with a made-up length; put the real one, which libsndfile insists on."""
    size = len(wav) - 44
    return wav[:4] + (size + 36).to_bytes(4, "little") + wav[8:40] + size.to_bytes(4, "little") + wav[44:]


@dataclass(frozen=True, slots=True)
class SyntheticCorpus:
    """`count` utterances of `seed`, kept as FLAC files and a manifest.csv in `folder`."""

    folder: Path
    sentences: SentenceSource
    count: int
    seed: int
    voices: tuple[str, ...] = ()
    split: str = "train"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.csv"

    def planned(self) -> Iterator[Utterance]:
        """What the corpus says, without speaking it."""
        return (draw_utterance(self.sentences, self.seed, index, self.voices) for index in range(self.count))

    def make(self, workers: int, progress: Callable[[int], None] = lambda done: None) -> Path:
        """Speak what is missing and write the manifest; a second call finds everything there. Returns the manifest."""
        if self.manifest.exists():
            return self.manifest
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.manifest.with_suffix(".part")
        try:
            with at_once(workers) as pool, part.open("w", encoding="utf-8", newline="") as file:
                rows = csv.writer(file, lineterminator="\n")
                rows.writerow(["source", "split", "speaker", "path", "duration_s", "transcript"])
                for done, row in enumerate(pool.map(self._make_one, range(self.count)), 1):
                    rows.writerow(row)
                    progress(done)
            part.replace(self.manifest)
        finally:
            part.unlink(missing_ok=True)
        return self.manifest

    def _make_one(self, index: int) -> tuple[str, str, str, str, str, str]:
        utterance = draw_utterance(self.sentences, self.seed, index, self.voices)
        path = self.folder / f"{index // 1000:03d}" / f"{index:06d}.flac"
        if not path.exists():
            _write(path, np.clip(speak(utterance), -1.0, 1.0))
        name, duration_s = path.relative_to(self.folder).as_posix(), soundfile.info(path).duration
        return ("synthetic", self.split, utterance.voice, name, f"{duration_s:.3f}", utterance.text)


def _write(path: Path, samples: NDArray[np.float32]) -> None:
    """Write beside `path`, then rename: a file that is there is whole, however the run before ended."""
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    soundfile.write(part, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    part.replace(path)
