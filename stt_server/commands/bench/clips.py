"""The speech of a load test: the bundle's own evaluation kit, or a corpus."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.commands.bench.script import RATE, Speech
from stt_server.corpus.corpora import MANIFEST, find_corpus
from stt_server.corpus.manifest import read_manifest
from stt_server.errors import BadInput, NotFound
from stt_server.speech.files import read_audio
from stt_server.speech.text import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.corpus.clip import Clip
    from stt_server.speech.bundle import Bundle

MOST = 400  # clips read: enough that no two streams say the same at the same time
LONGEST_S = 20.0


def from_corpus(name: str, corpora: Path | None) -> list[Speech]:
    """Clips of a manifest, of a folder with a `manifest.csv`, or of a corpus by its name under `corpora`; those of its
    test split where it has one. Raises NotFound, and BadInput where it holds no speech with text.
    """
    folder = Path(name)
    corpus = find_corpus(corpora, str(folder / MANIFEST) if folder.is_dir() else name)
    split = "test" if any(clip.split == "test" for clip in corpus.clips()) else None
    return _read(corpus.clips(split), name)


def from_kit(bundle: Bundle) -> list[Speech]:
    """The spoken clips of a bundle's evaluation kit. Raises NotFound for a bundle without one."""
    if bundle.manifest.kit is None:
        raise NotFound(f"The model {bundle.name} has no evaluation kit to speak with; give --corpus.")
    manifest = bundle.path(bundle.manifest.kit)
    return _read(read_manifest(manifest), str(manifest))


def _read(clips: Iterable[Clip], name: str) -> list[Speech]:
    """Every k-th spoken clip, so that about `MOST` are taken from all parts of a large corpus."""
    spoken = [clip for clip in clips if normalize(clip.text)]
    found = islice(spoken, 0, None, max(1, len(spoken) // MOST))
    speech = [Speech(normalize(clip.text), read_audio(clip.path, RATE)) for clip in found]
    speech = [each for each in speech if len(each.samples) < LONGEST_S * RATE]
    if not speech:
        raise BadInput(f"{name} holds no speech with its text; a load test needs both.")
    return speech
