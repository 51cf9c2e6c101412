"""Guard sets of corpora that were fetched; the gate itself adds the kit that comes with the base's bundle."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Final

from stt_server.corpus.corpora import list_corpora
from stt_server.corpus.manifest import write_manifest
from stt_server.errors import EarloopError
from stt_server.logs import EventLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.corpora import Corpus

MOST_CLIPS: Final = 150  # of one corpus: they are heard twice, and a server has little time for it
MOST_CORPORA: Final = 16
LOOKED_AT: Final = 100_000  # rows of a manifest

log = EventLog("worker")


def corpus_guards(corpora: Path | None, folder: Path) -> dict[str, Path]:
    """A sample of the test clips of every corpus that was fetched. One that cannot be read is left out and logged."""
    guards = {}
    for corpus in _leaves(corpora)[:MOST_CORPORA]:
        try:
            clips = _sample(corpus)
        except EarloopError as error:
            log.warning("corpus_left_out", corpus=corpus.name, why=error.message)
            continue
        if clips:
            name = corpus.name.replace("/", "-")
            guards[name] = _write(folder, name, clips)
    return guards


def _leaves(corpora: Path | None) -> list[Corpus]:
    """Every corpus once: those that are a part of a manifest, and manifests that have no parts."""
    if corpora is None or not corpora.is_dir():
        return []
    every = list_corpora(corpora)
    divided = {each.manifest for each in every if each.source is not None}
    return [each for each in every if each.source is not None or each.manifest not in divided]


def _sample(corpus: Corpus) -> list[Clip]:
    """The same ones every time, whatever the order of the manifest: those of the smallest hashes."""
    spoken = [clip for clip in islice(corpus.clips("test"), LOOKED_AT) if clip.text]
    return sorted(spoken, key=lambda clip: hashlib.sha256(clip.path.name.encode()).digest())[:MOST_CLIPS]


def _write(folder: Path, name: str, clips: Sequence[Clip]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    write_manifest(path, clips)
    return path
