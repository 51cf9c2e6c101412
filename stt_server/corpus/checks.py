"""Pre-flight: every clip that would spoil a training, named before the training begins.

Errors are clips that cannot be trained on, or would make the test a lie; warnings are worth a look.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stt_server.errors import EarloopError
from stt_server.speech.files import open_audio
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from stt_server.corpus.clip import Clip

NEAR_SILENCE_PEAK = 0.003  # of full scale, -50 dB: quieter than the noise of a quiet room at usual gain
CLIPPED_SHARE = 0.01  # of the samples at full scale; a shout touches it, an overdriven recording stays there
DURATION_TOLERANCE_S = 0.1
SHARED_SENTENCE_WORDS = 5  # "turn it off" recurs in every corpus; five words in a row are a prompt that was read twice


class Kind(StrEnum):
    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY_TEXT = "empty text"
    UNSPELLABLE = "unspellable"
    NO_DURATION = "no duration"
    TOO_LONG = "too long"
    TOO_MANY_CHARACTERS = "too many characters"
    LISTED_TWICE = "listed twice"
    SHARED_RECORDING = "shared recording"
    SHARED_SENTENCE = "shared sentence"
    NEAR_SILENCE = "near silence"
    CLIPPING = "clipping"
    WRONG_DURATION = "wrong duration"


WARNINGS = frozenset({Kind.LISTED_TWICE, Kind.SHARED_SENTENCE, Kind.NEAR_SILENCE, Kind.CLIPPING, Kind.NO_DURATION})


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    clip: Clip
    sentence: str  # what is wrong and what to do

    @property
    def is_error(self) -> bool:
        return self.kind not in WARNINGS


@dataclass(frozen=True, slots=True)
class Heard:
    """What decoding a clip tells."""

    duration_s: float
    peak: float
    clipped_share: float


def check_clips(clips: Iterable[Clip], *, frame_ms: float, longest_s: float, decode: bool = False) -> list[Finding]:
    """Every fault of `clips`; [] when there is none.

    `frame_ms` is the step of the model's outputs, after subsampling; `longest_s` the longest clip a batch takes.
    `decode` also reads the audio, which takes a minute or two for ten hours of it.
    """
    listed = list(clips)
    findings = [finding for clip in listed for finding in _check_one(clip, frame_ms, longest_s, decode)]
    return [*findings, *_listed_twice(listed), *_shared_recordings(listed), *_shared_sentences(listed)]


def write_findings_csv(path: Path, findings: Iterable[Finding]) -> None:
    """One row a finding: severity, kind, path, source, split, speaker, sentence."""
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["severity", "kind", "path", "source", "split", "speaker", "sentence"])
        for found in findings:
            clip, severity = found.clip, "error" if found.is_error else "warning"
            labels = [clip.source, clip.split or "", clip.speaker or ""]
            writer.writerow([severity, found.kind, clip.path, *labels, found.sentence])


def frames_needed(text: str) -> int:
    """Output frames that CTC needs to write `text`: one a character, and a blank between two of the same."""
    return len(text) + sum(left == right for left, right in pairwise(text))


def _check_one(clip: Clip, frame_ms: float, longest_s: float, decode: bool) -> Iterator[Finding]:
    yield from _check_text(clip)
    if not clip.path.is_file():
        yield Finding(Kind.MISSING, clip, "there is no such file; mend the path or take the row out")
        return
    duration_s = clip.duration_s
    if decode:
        try:
            heard = listen(clip.path)
        except EarloopError as error:
            yield Finding(Kind.UNREADABLE, clip, str(error))
            return
        duration_s = heard.duration_s
        yield from _check_heard(clip, heard)
    yield from _check_duration(clip, duration_s, frame_ms, longest_s)


def _check_text(clip: Clip) -> Iterator[Finding]:
    unspellable = find_unspellable(clip.text)
    if unspellable:
        yield Finding(Kind.UNSPELLABLE, clip, f"{unspellable[:20]!r} cannot be spelled a-z; write it as it is said")
    elif not normalize(clip.text):
        yield Finding(Kind.EMPTY_TEXT, clip, "there are no words; write what is said or take the clip out")


def _check_duration(clip: Clip, duration_s: float | None, frame_ms: float, longest_s: float) -> Iterator[Finding]:
    if duration_s is None:
        yield Finding(Kind.NO_DURATION, clip, "the manifest has no duration, so its length was not checked; decode it")
        return
    if duration_s > longest_s:
        yield Finding(Kind.TOO_LONG, clip, f"{duration_s:.1f} s, longer than {longest_s:g} s; cut it at a pause")
    frames, needed = int(duration_s * 1000 / frame_ms), frames_needed(normalize(clip.text, drop_unspellable=True))
    if needed > frames:
        sentence = f"its text needs {needed} frames and {duration_s:.2f} s have {frames}; is this the text of the clip?"
        yield Finding(Kind.TOO_MANY_CHARACTERS, clip, sentence)


def listen(path: Path) -> Heard:
    """Decode a file in blocks. Raises NotFound, BadAudio, Unsupported."""
    samples = clipped = 0
    peak = 0.0
    with open_audio(path) as audio:
        for block in audio.blocks():
            level = np.abs(block)
            samples += len(block)
            peak = max(peak, float(level.max()))
            clipped += int(np.count_nonzero(level >= 0.999))
        return Heard(samples / audio.sample_rate, peak, clipped / samples)


def _check_heard(clip: Clip, heard: Heard) -> Iterator[Finding]:
    if heard.peak < NEAR_SILENCE_PEAK:
        yield Finding(Kind.NEAR_SILENCE, clip, f"its loudest sample is {heard.peak:.4f} of full scale; record it anew")
    if heard.clipped_share > CLIPPED_SHARE:
        sentence = f"{100 * heard.clipped_share:.0f} % of its samples are at full scale; record it with less gain"
        yield Finding(Kind.CLIPPING, clip, sentence)
    if clip.duration_s is not None and abs(clip.duration_s - heard.duration_s) > DURATION_TOLERANCE_S:
        sentence = f"the manifest says {clip.duration_s:.2f} s, the file has {heard.duration_s:.2f} s; is it cut?"
        yield Finding(Kind.WRONG_DURATION, clip, sentence)


def _listed_twice(clips: list[Clip]) -> Iterator[Finding]:
    """A path that returns in its own split weighs double; in another split it is a shared recording."""
    seen: set[tuple[Path, str | None]] = set()
    for clip in clips:
        if (clip.path, clip.split) in seen:
            yield Finding(Kind.LISTED_TWICE, clip, "the same file is listed before; take one row out")
        seen.add((clip.path, clip.split))


def _shared_recordings(clips: list[Clip]) -> Iterator[Finding]:
    """The same bytes in two splits. Only files of equal size are read."""
    by_size = defaultdict(list)
    for clip in clips:
        if clip.path.is_file():
            by_size[clip.path.stat().st_size].append(clip)
    for alike in by_size.values():
        if len({clip.split for clip in alike}) > 1:
            yield from _shared_bytes(alike)


def _shared_bytes(clips: list[Clip]) -> Iterator[Finding]:
    first: dict[bytes, Clip] = {}
    for clip in clips:
        other = first.setdefault(hashlib.sha256(clip.path.read_bytes()).digest(), clip)
        if other.split != clip.split:
            sentence = f"the same recording is in {other.split or 'no split'} as {other.path}; keep it in one split"
            yield Finding(Kind.SHARED_RECORDING, clip, sentence)


def _shared_sentences(clips: list[Clip]) -> Iterator[Finding]:
    first: dict[str, Clip] = {}
    told: set[str] = set()
    for clip in clips:
        text = normalize(clip.text, drop_unspellable=True)
        other = first.setdefault(text, clip)
        if other.split != clip.split and text not in told and len(text.split()) >= SHARED_SENTENCE_WORDS:
            told.add(text)
            sentence = f"the same sentence is in {other.split or 'no split'} too; results on it flatter the model"
            yield Finding(Kind.SHARED_SENTENCE, clip, sentence)
