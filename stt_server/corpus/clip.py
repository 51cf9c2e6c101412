"""One recording and what is said in it, as every manifest layout is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clip:
    """`text` is as the manifest has it, not normalised. None: the manifest does not say."""

    path: Path
    text: str
    source: str = ""  # the corpus it came from
    speaker: str | None = None
    duration_s: float | None = None
    split: str | None = None  # train, dev, test
    licence: str | None = None
    size: int | None = None  # bytes of the file
