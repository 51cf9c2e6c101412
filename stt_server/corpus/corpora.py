"""Corpora by name, under the folder that EARLOOP_CORPORA names (the caller passes it in).

A corpus is a folder with a `manifest.csv`, or one source inside such a manifest. With the folder `corpora` given and a
manifest at `corpora/speech/manifest.csv`, `speech` is all of it, and `speech/an4` or `an4` its clips of source an4.
`corpora/speech` may be given as well; the same names are found. The path of a manifest is a name too.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.corpus.manifest import read_manifest
from stt_server.corpus.noise import is_noise_manifest
from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.corpus.clip import Clip

MANIFEST = "manifest.csv"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A manifest, or one source of it."""

    name: str
    manifest: Path
    source: str | None = None

    def clips(self, split: str | None = None) -> Iterator[Clip]:
        """Its clips in the manifest's order, or those of one split."""
        for clip in read_manifest(self.manifest):
            if self.source in (None, clip.source) and split in (None, clip.split):
                yield clip


def find_corpus(root: Path | None, name: str) -> Corpus:
    """The corpus called `name`. Raises NotFound naming those that are there, BadInput when the name fits two."""
    if Path(name).is_file():
        return Corpus(name, Path(name))
    if root is None:
        raise NotFound(f"no corpus {name!r}: set EARLOOP_CORPORA to the folder that holds the corpora")
    known = list_corpora(root)
    fitting = [each for each in known if name in (each.name, each.source)]
    if not fitting:
        raise NotFound(f"no corpus {name!r} under {root}; {_known_names(name, known)}")
    exact = [each for each in fitting if each.name == name] or fitting
    if len(exact) > 1:
        raise BadInput(f"the corpus {name!r} is in {len(exact)} manifests; write {' or '.join(c.name for c in exact)}")
    return exact[0]


def list_corpora(root: Path) -> list[Corpus]:
    """Every corpus under `root`: each manifest whole, then its sources when there are several."""
    if not root.is_dir():
        raise NotFound(f"there is no folder {root}; set EARLOOP_CORPORA to the folder that holds the corpora")
    found = []
    for manifest in [root / MANIFEST, *sorted(root.glob(f"*/{MANIFEST}"))]:
        if manifest.is_file() and not is_noise_manifest(manifest):
            found += _corpora_of(manifest)
    return found


def _corpora_of(manifest: Path) -> list[Corpus]:
    name = manifest.absolute().parent.name
    sources = _sources(manifest, manifest.stat().st_mtime_ns)
    return [Corpus(name, manifest), *(Corpus(f"{name}/{each}", manifest, each) for each in sources if each != name)]


@lru_cache(maxsize=64)
def _sources(manifest: Path, modified_ns: int) -> tuple[str, ...]:  # noqa: ARG001  a changed file is read again
    """Kept because a recipe looks up dozens of names in one manifest."""
    return tuple(dict.fromkeys(clip.source for clip in read_manifest(manifest)))


def _known_names(name: str, known: list[Corpus]) -> str:
    names = [each.name for each in known]
    if not names:
        return f"there is no {MANIFEST} in it nor in its folders"
    near = difflib.get_close_matches(name, [*names, *(each.source or "" for each in known)], 1)
    return (f"did you mean {near[0]!r}? " if near else "") + f"There are {', '.join(names)}"
