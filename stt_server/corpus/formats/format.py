"""What a format is to those who read and write datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.rows import Fault

AUDIO = frozenset(".wav .flac .ogg .opus .mp3 .aiff .aif .m4a .webm".split())


def is_audio(path: Path) -> bool:
    """Whether a file is a recording by its name; what is in it, decoding tells."""
    return path.suffix.lower() in AUDIO


@dataclass(frozen=True, slots=True)
class Format:
    """One way to lay out a dataset on disk.

    `recognise` looks at names and first lines only. `read` gives a clip for each recording with its text, in an order
    that does not change, and a fault for whatever should be a clip and is none; it raises NotFound and BadInput where
    nothing can be read at all. `write` returns the files it wrote; None: we only read this format.
    """

    name: str
    what: str
    recognise: Callable[[Path], bool]
    read: Callable[[Path], Iterator[Clip | Fault]]
    write: Callable[[Path, Sequence[Clip]], list[Path]] | None = None
