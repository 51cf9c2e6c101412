"""The formats that are a list of clips in a file: ours, DeepSpeech's CSV, NeMo's JSON lines.

A file is one list. A folder is `manifest` in our own format, or one list per split: `train`, `dev`, `test`, and `clips`
for those of no split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.formats.format import Format
from stt_server.corpus.layouts import DEEPSPEECH, EARLOOP, LAYOUTS, NEMO, Layout, detect_layout
from stt_server.corpus.manifest import SPLITS, read_clips, write_manifest
from stt_server.errors import BadInput, EarloopError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.rows import Fault

WITHOUT_SPLIT = "clips"
FILES = frozenset({*(layout.suffix for layout in LAYOUTS), ".json"})


def manifest_format(layout: Layout, what: str) -> Format:
    """The format of a layout of rows."""

    def recognise(path: Path) -> bool:
        return any(has_layout(each, layout) for each in lists_of(path, layout))

    def read(path: Path) -> Iterator[Clip | Fault]:
        for each in _existing(path, layout):
            yield from read_clips(each, layout)

    def write(path: Path, clips: Sequence[Clip]) -> list[Path]:
        return write_lists(path, clips, layout)

    return Format(layout.name, what, recognise, read, write)


def lists_of(path: Path, layout: Layout) -> list[Path]:
    """The file itself, or the lists of a folder that may be of this layout."""
    if not path.is_dir():
        return [path]
    whole = path / f"manifest{layout.suffix}"
    if whole.is_file():
        return [whole]
    names = [path / f"{name}{layout.suffix}" for name in (*SPLITS, WITHOUT_SPLIT)]
    return [each for each in names if each.is_file()]


def has_layout(path: Path, layout: Layout) -> bool:
    """Whether a file begins as lists of this layout do."""
    try:
        return detect_layout(path) is layout
    except EarloopError:
        return False


def write_lists(path: Path, clips: Sequence[Clip], layout: Layout) -> list[Path]:
    """Write one file when `path` ends as lists do, a file per split into a folder otherwise.

    Raises BadInput for one file of several splits in a layout that would forget which clip was in which.
    """
    if path.suffix in FILES:
        splits = {clip.split for clip in clips if clip.split} - {path.stem}
        if splits and "split" not in layout.columns:
            told = ", ".join(sorted(splits))
            raise BadInput(f"{path}: {layout.name} has no column for the split ({told}); name a folder to write into")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_manifest(path, clips, layout)
        return [path]
    path.mkdir(parents=True, exist_ok=True)
    if "split" in layout.columns:
        return write_lists(path / f"manifest{layout.suffix}", clips, layout)
    parts = {split: [clip for clip in clips if clip.split == split] for split in (*SPLITS, None)}
    return [_write_part(path, split or WITHOUT_SPLIT, part, layout) for split, part in parts.items() if part]


def _write_part(folder: Path, name: str, clips: Sequence[Clip], layout: Layout) -> Path:
    path = folder / f"{name}{layout.suffix}"
    write_manifest(path, clips, layout)
    return path


def _existing(path: Path, layout: Layout) -> list[Path]:
    found = lists_of(path, layout)
    if not found:
        names = ", ".join(f"{name}{layout.suffix}" for name in (*SPLITS, WITHOUT_SPLIT))
        raise NotFound(f"{path}: there is no manifest{layout.suffix} in it, nor any of {names}")
    for each in found:
        seen = detect_layout(each)
        if seen is not layout:
            raise BadInput(f"{each}: this is a manifest of the format {seen.name}, not {layout.name}; name that one")
    return found


EARLOOP_FORMAT = manifest_format(EARLOOP, "our own manifest: CSV with source, split, speaker, duration and licence")
DEEPSPEECH_FORMAT = manifest_format(DEEPSPEECH, "DeepSpeech and Coqui STT: CSV with wav_filename and transcript")
NEMO_FORMAT = manifest_format(NEMO, "NVIDIA NeMo: a JSON object a line with audio_filepath, duration and text")
