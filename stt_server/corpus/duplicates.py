"""Clips that come twice: a row, a recording, nearly a recording, or a sentence that both train and test have."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from stt_server.corpus.findings import Finding, Kind
from stt_server.corpus.listening import Heard
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.listening import Outcome

SHARED_SENTENCE_WORDS = 5  # "turn it off" recurs in every corpus; five words in a row are a prompt that was read twice
NEAR = 0.995  # correlation of two outlines
NEAR_DURATION_S = 0.02
BLOCK = 1 << 16  # bytes read at once for a hash


def find_duplicates(clips: Sequence[Clip], heard: Mapping[Path, Outcome]) -> Iterator[Finding]:
    """Every copy but the first; `heard` has what was decoded, and may be empty."""
    yield from _listed_twice(clips)
    yield from _same_recordings(clips, heard)
    yield from _near_recordings(clips, heard)
    yield from _shared_sentences(clips)


def _listed_twice(clips: Sequence[Clip]) -> Iterator[Finding]:
    """A path that returns in its own split weighs double; in another split it is a shared recording."""
    seen: set[tuple[Path, str | None]] = set()
    for clip in clips:
        if (clip.path, clip.split) in seen:
            yield Finding(Kind.LISTED_TWICE, clip, "the same file is listed before; take one row out")
        seen.add((clip.path, clip.split))


def _same_recordings(clips: Sequence[Clip], heard: Mapping[Path, Outcome]) -> Iterator[Finding]:
    """The same samples where the clips were decoded, else the same bytes in two splits."""
    first: dict[bytes, Clip] = {}
    for clip, content in _contents(clips, heard):
        other = first.setdefault(content, clip)
        if other.split != clip.split:
            where = f"{other.split or 'no split'} as {other.path}"
            yield Finding(Kind.SHARED_RECORDING, clip, f"the same recording is in {where}; keep it in one split")
        elif other.path != clip.path:
            yield Finding(Kind.LISTED_TWICE, clip, f"the same recording as {other.path}; take one of them out")


def _contents(clips: Sequence[Clip], heard: Mapping[Path, Outcome]) -> Iterator[tuple[Clip, bytes]]:
    """Only files that were not decoded are read, and of those only such as have the size of one in another split."""
    by_size = defaultdict(list)
    for clip in clips:
        outcome = heard.get(clip.path)
        if isinstance(outcome, Heard):
            yield clip, outcome.content
        elif outcome is None and clip.path.is_file():
            by_size[clip.path.stat().st_size].append(clip)
    for alike in by_size.values():
        if len({clip.split for clip in alike}) > 1:
            yield from ((clip, _hash(clip.path)) for clip in alike)


def _hash(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as data:
        while block := data.read(BLOCK):
            digest.update(block)
    return digest.digest()


def _near_recordings(clips: Sequence[Clip], heard: Mapping[Path, Outcome]) -> Iterator[Finding]:
    """The same take coded anew or at another level: same text, length and course of loudness, other samples."""
    by_text: dict[str, list[tuple[Clip, Heard]]] = defaultdict(list)
    for clip in clips:
        outcome = heard.get(clip.path)
        if isinstance(outcome, Heard):
            by_text[normalize(clip.text, drop_unspellable=True)].append((clip, outcome))
    for takes in by_text.values():
        if len(takes) > 1:
            yield from _near_takes(sorted(takes, key=lambda take: take[1].duration_s))


def _near_takes(takes: Sequence[tuple[Clip, Heard]]) -> Iterator[Finding]:
    outlines = np.array([np.frombuffer(told.outline, np.int8) for _, told in takes], np.float32)
    outlines /= np.maximum(np.linalg.norm(outlines, axis=1, keepdims=True), 1e-9)
    lengths_s = np.array([told.duration_s for _, told in takes])
    ends = np.searchsorted(lengths_s, lengths_s + NEAR_DURATION_S, side="right")
    told_of: set[int] = set()
    for at, end in enumerate(ends):
        alike = at + 1 + np.flatnonzero(outlines[at + 1 : end] @ outlines[at] > NEAR)
        for other in map(int, alike):
            if other not in told_of and takes[other][1].content != takes[at][1].content:
                told_of.add(other)
                sentence = f"sounds like {takes[at][0].path} coded anew; listen to both and keep one, in one split"
                yield Finding(Kind.NEAR_DUPLICATE, takes[other][0], sentence)


def _shared_sentences(clips: Sequence[Clip]) -> Iterator[Finding]:
    first: dict[str, Clip] = {}
    told: set[str] = set()
    for clip in clips:
        text = normalize(clip.text, drop_unspellable=True)
        other = first.setdefault(text, clip)
        if other.split != clip.split and text not in told and len(text.split()) >= SHARED_SENTENCE_WORDS:
            told.add(text)
            sentence = f"the same sentence is in {other.split or 'no split'} too; results on it flatter the model"
            yield Finding(Kind.SHARED_SENTENCE, clip, sentence)
