"""Every format by name, and reading a dataset in whichever it is."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stt_server.corpus.clip import Clip
from stt_server.corpus.findings import Finding, Kind
from stt_server.corpus.formats.audiofolder import AUDIOFOLDER_FORMAT
from stt_server.corpus.formats.common_voice import COMMON_VOICE_FORMAT
from stt_server.corpus.formats.librispeech import LIBRISPEECH_FORMAT
from stt_server.corpus.formats.manifests import DEEPSPEECH_FORMAT, EARLOOP_FORMAT, NEMO_FORMAT
from stt_server.corpus.formats.speech_commands import SPEECH_COMMANDS_FORMAT
from stt_server.corpus.formats.text_files import TEXT_FILES_FORMAT
from stt_server.corpus.layouts import detect_layout
from stt_server.corpus.rows import Fault
from stt_server.errors import BadInput, BadOption, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from stt_server.corpus.formats.format import Format

# In this order they are tried: a folder with a manifest is what the manifest says, whatever else lies there.
FORMATS: Final = (
    EARLOOP_FORMAT,
    COMMON_VOICE_FORMAT,
    NEMO_FORMAT,
    DEEPSPEECH_FORMAT,
    AUDIOFOLDER_FORMAT,
    LIBRISPEECH_FORMAT,
    SPEECH_COMMANDS_FORMAT,
    TEXT_FILES_FORMAT,
)
LOOKED_INTO = 50  # folders in which a dataset is looked for, to name it, when there is none where one was said to be


@dataclass(frozen=True, slots=True)
class Reading:
    """A dataset as it was read: its clips, and a finding for all that should have been a clip."""

    format: Format
    clips: list[Clip]
    findings: list[Finding]


def read_corpus(path: Path, name: str | None = None) -> Reading:
    """Read the dataset at `path`, a file or a folder, in the format called `name` or the one it is recognised as.

    Raises NotFound for a path that is not there, BadInput for one in no format we know or without a single clip.
    """
    if not path.exists():
        raise NotFound(f"{path}: there is no such file or folder; name a dataset's manifest or folder")
    chosen = find_format(name) if name else recognise(path)
    clips, findings = [], []
    for each in chosen.read(path):
        if isinstance(each, Fault):
            findings.append(_finding(each))
        else:
            clips.append(each)
    if not clips:
        first = f"; the first fault: {findings[0].sentence}" if findings else "; is it the right folder?"
        raise BadInput(f"{path}: no clip in it could be read as {chosen.name}{first}")
    return Reading(chosen, clips, findings)


def write_corpus(path: Path, clips: Sequence[Clip], name: str) -> list[Path]:
    """Write a dataset's lists in the format called `name`; audio stays where it is. Returns the files written.

    Raises BadOption for a format that is only read, BadInput where the format has no place for the splits.
    """
    chosen = find_format(name)
    if chosen.write is None:
        known = ", ".join(each.name for each in FORMATS if each.write)
        raise BadOption(f"the format {name} is read and not written; write one of {known}", field="format")
    return chosen.write(path, clips)


def find_format(name: str) -> Format:
    """The format called `name`. Raises BadOption with the nearest name."""
    names = [each.name for each in FORMATS]
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise BadOption(f"no format is called {name!r}; {hint}There are {', '.join(names)}", field="format")
    return FORMATS[names.index(name)]


def recognise(path: Path) -> Format:
    """The format of a dataset, by its files' names and first lines. Raises BadInput when it is none we know."""
    found = _recognise(path)
    if found is not None:
        return found
    if path.is_file():
        detect_layout(path)  # raises, and says more than we could
    raise BadInput(f"{path}: no dataset that we know. {_inside(path)}\n" + _known())


def _recognise(path: Path) -> Format | None:
    return next((each for each in FORMATS if each.recognise(path)), None)


def _inside(path: Path) -> str:
    """Somebody who unpacked an archive often names the folder above the dataset."""
    folders = sorted(each for each in path.iterdir() if each.is_dir())[:LOOKED_INTO] if path.is_dir() else []
    found = [each for each in folders if _recognise(each)]
    return f"Did you mean {' or '.join(map(str, found[:3]))}?" if found else "We read:"


def _known() -> str:
    return "\n".join(f"  {each.name:16} {each.what}" for each in FORMATS)


def _finding(fault: Fault) -> Finding:
    return Finding(Kind.FAULTY_ROW, Clip(fault.audio, "", fault.audio.absolute().parent.name), str(fault.error))
