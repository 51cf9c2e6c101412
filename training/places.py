"""Where a run finds what its recipe names, and where it keeps what it makes once for many runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stt_server.corpus.corpora import find_corpus
from stt_server.errors import NotFound

if TYPE_CHECKING:
    from stt_server.corpus.corpora import Corpus


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run finds and keeps things: corpora (or none) and a folder for what it makes once for many runs."""

    corpora: Path | None
    cache: Path
    recipe: Path | None = None

    def dataset(self, name: str) -> Corpus | Path:
        """A dataset's file or folder (written with a slash), beside the recipe or from here; else a corpus by name."""
        for path in (self.recipe / name, Path(name)) if self.recipe else (Path(name),):
            if path.is_file() or (path.is_dir() and "/" in name):
                return path
        if "/" in name and self.corpora is None:
            raise NotFound(f"{name}: there is no such file or folder; name a dataset's list or folder")
        return find_corpus(self.corpora, name)

    def text(self, name: str) -> Path:
        """A sentence file: by its whole path, beside the recipe, in the corpora folder, in a folder of it or beside."""
        if Path(name).is_file() and Path(name).is_absolute():
            return Path(name)
        beside = [self.recipe / name] if self.recipe else []
        root = self.corpora.absolute() if self.corpora else None
        under = [root / name, *sorted(root.glob(f"*/{name}")), *sorted(root.parent.glob(f"*/{name}"))] if root else []
        for path in [*beside, *under]:
            if path.is_file():
                return path
        where = f"under {root}" if root else "in a corpora folder, for EARLOOP_CORPORA names none"
        raise NotFound(f"there is no sentence file {name!r}, neither beside the recipe nor {where}")
