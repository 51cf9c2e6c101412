"""A folder, or folders in it, of recordings each with a text file of the same name: `hello.wav` and `hello.txt`.

The format of those who record at home. A first folder called train, dev or test says the split; speakers are unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.clip import Clip
from stt_server.corpus.formats.format import Format, is_audio
from stt_server.corpus.manifest import SPLITS
from stt_server.corpus.rows import Fault, is_text
from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_TEXT = 1 << 16  # bytes; what is said in a clip fits many times
NO_TRANSCRIPT = frozenset("readme license licence copying sources changelog notes".split())


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return False
    return any(is_audio(each) and each.with_suffix(".txt").is_file() for each in path.rglob("*"))


def _read(path: Path) -> Iterator[Clip | Fault]:
    files = sorted(each for each in path.rglob("*") if each.is_file())
    recorded: dict[Path, Path] = {}
    for audio in (each for each in files if is_audio(each)):
        other = recorded.setdefault(audio.with_suffix(""), audio)
        yield _clip(path, audio) if other == audio else _twice(audio, other)
    for text in (each for each in files if each.suffix == ".txt"):
        if text.with_suffix("") not in recorded and text.stem.lower() not in NO_TRANSCRIPT:
            yield Fault(BadInput(f"{text}: there is no recording {text.stem} beside it; add it or remove this"), text)


def _clip(root: Path, audio: Path) -> Clip | Fault:
    path = audio.with_suffix(".txt")
    if not path.is_file():
        return Fault(BadInput(f"{audio}: there is no {path.name} beside it; write there what is said"), audio)
    if path.stat().st_size > LONGEST_TEXT:
        return Fault(
            BadInput(f"{path}: over {LONGEST_TEXT} bytes; write there only what is said in {audio.name}"), audio
        )
    text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    if not is_text(text):
        return Fault(BadInput(f"{path}: not UTF-8 text; save it as UTF-8"), audio)
    first = audio.relative_to(root).parts[0]
    return Clip(audio, " ".join(text.split()), root.absolute().name, split=first if first in SPLITS else None)


def _twice(audio: Path, other: Path) -> Fault:
    return Fault(BadInput(f"{audio}: {other.name} has the same text file; give each its own name"), audio)


TEXT_FILES_FORMAT = Format("text-files", "recordings, each with a .txt of the same name", _recognise, _read)
