"""LibriSpeech and what is laid out like it: `SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` beside its recordings.

A line of a transcript is an utterance's id, a space and its text. The split is the subset's first word
(`train-clean-100` is train); a folder of one subset, speaker or chapter is read as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.corpus.clip import Clip
from stt_server.corpus.formats.format import Format, is_audio
from stt_server.corpus.manifest import SPLITS
from stt_server.corpus.rows import Fault, is_text, open_text
from stt_server.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRANSCRIPTS = "*.trans.txt"


def _recognise(path: Path) -> bool:
    return path.is_dir() and next(path.rglob(TRANSCRIPTS), None) is not None


def _read(path: Path) -> Iterator[Clip | Fault]:
    transcripts = sorted(path.rglob(TRANSCRIPTS))
    for transcript in transcripts:
        yield from _chapter(transcript, path.absolute().name)
    yield from _chapters_without(path, {transcript.parent for transcript in transcripts})


def _chapter(transcript: Path, source: str) -> Iterator[Clip | Fault]:
    recordings = {each.stem: each for each in sorted(transcript.parent.iterdir()) if is_audio(each)}
    told: set[str] = set()
    with open_text(transcript) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _utterance(transcript, number, line, source, recordings, told)
    for name in recordings.keys() - told:
        error = BadInput(f"{recordings[name]}: {transcript.name} has no line that begins with {name}; add its text")
        yield Fault(error, recordings[name])


def _utterance(
    transcript: Path, number: int, line: str, source: str, recordings: dict[str, Path], told: set[str]
) -> Clip | Fault:
    name, _, text = line.strip().partition(" ")
    where, audio = f"{transcript}, line {number}", recordings.get(name, transcript.with_name(f"{name}.flac"))
    if not is_text(line):
        return Fault(BadInput(f"{where}: not UTF-8 text; save it as UTF-8"), transcript)
    if name in told:
        return Fault(BadInput(f"{where}: {name} has a line above already; take one of them out"), audio)
    if name not in recordings:
        return Fault(BadInput(f"{where}: there is no recording {name} beside it; take the line out"), audio)
    told.add(name)
    return Clip(audio, text.strip(), source, name.split("-")[0], split=_split(transcript))


def _split(transcript: Path) -> str | None:
    """By the nearest folder above that is called train, dev or test, alone or before a hyphen."""
    for folder in transcript.absolute().parents:
        split, _, _ = folder.name.partition("-")
        if split in SPLITS:
            return split
    return None


def _chapters_without(path: Path, known: set[Path]) -> Iterator[Fault]:
    folders = {each.parent for each in path.rglob("*") if is_audio(each)}
    for folder in sorted(folders - known):
        yield Fault(BadInput(f"{folder}: recordings but no {TRANSCRIPTS}; add one with a line for each"), folder)


LIBRISPEECH_FORMAT = Format(
    "librispeech", "LibriSpeech's folders: speaker/chapter with *.trans.txt beside the recordings", _recognise, _read
)
