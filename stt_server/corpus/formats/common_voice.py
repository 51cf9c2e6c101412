"""Mozilla Common Voice: `train.tsv`, `dev.tsv`, `test.tsv` (or `validated.tsv`) beside a folder `clips`.

A language folder of the download (`cv-corpus-…/en`) is read by its three parts. Where they are empty or missing, as for
young languages and in takeouts of one's own clips, `validated.tsv` is read and has no split. `client_id` is the
speaker. Durations come from `clip_durations.tsv`, which newer releases have. Clips in `invalidated.tsv` and `other.tsv`
were voted down or not yet voted on; name such a file to read it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from stt_server.corpus.formats.format import Format
from stt_server.corpus.formats.manifests import has_layout, lists_of, write_lists
from stt_server.corpus.layouts import COMMON_VOICE
from stt_server.corpus.manifest import read_clips
from stt_server.corpus.rows import TABS, Fault, csv_rows
from stt_server.errors import BadInput, NotFound

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip

VALIDATED = "validated.tsv"
DURATIONS = "clip_durations.tsv"


def _recognise(path: Path) -> bool:
    return any(has_layout(each, COMMON_VOICE) for each in _lists(path))


def _read(path: Path) -> Iterator[Clip | Fault]:
    lists = _lists(path)
    if not lists:
        raise NotFound(f"{path}: there is no train.tsv, dev.tsv, test.tsv or {VALIDATED} in it")
    for each in lists:
        if not has_layout(each, COMMON_VOICE):
            raise BadInput(f"{each}, line 1: not of Common Voice; it has columns path and sentence with tabs between")
    durations_s = yield from _durations(lists[0].with_name(DURATIONS))
    count = 0
    for each in lists:
        for clip in read_clips(each, COMMON_VOICE):
            count += 1
            yield clip if isinstance(clip, Fault) else _complete(clip, durations_s)
    validated = lists[0].with_name(VALIDATED)
    if not count and path.is_dir() and validated not in lists and has_layout(validated, COMMON_VOICE):
        yield from _read(validated)


def _write(path: Path, clips: Sequence[Clip]) -> list[Path]:
    """Audio is not copied: a clip outside the folder `clips` keeps its absolute path."""
    return write_lists(path, clips, COMMON_VOICE)


def _lists(path: Path) -> list[Path]:
    found = lists_of(path, COMMON_VOICE)
    if not found and (path / VALIDATED).is_file():
        return [path / VALIDATED]
    return found


def _complete(clip: Clip, durations_s: dict[str, float]) -> Clip:
    """The early releases wrote paths without their ending."""
    path = clip.path if clip.path.suffix else clip.path.with_suffix(".mp3")
    return replace(clip, path=path, duration_s=durations_s.get(path.name))


def _durations(path: Path) -> Generator[Fault, None, dict[str, float]]:
    """Yields faults; returns {file name: seconds}. The column is `duration[ms]`."""
    found: dict[str, float] = {}
    if not path.is_file():
        return found
    for line, row in csv_rows(path, **TABS):
        if isinstance(row, Fault):
            yield row
            continue
        value = str(row.get("duration[ms]", ""))
        duration_s = float(value) / 1000 if value.replace(".", "", 1).isdecimal() else math.nan
        if duration_s > 0:
            found[str(row.get("clip", ""))] = duration_s
        else:
            told = f"{path}, line {line}: duration[ms] is {value!r}; mend it, or take the file away"
            yield Fault(BadInput(told), path)
    return found


COMMON_VOICE_FORMAT = Format(
    "common-voice",
    "Mozilla Common Voice: TSV with path, sentence and client_id, and a folder clips",
    _recognise,
    _read,
    _write,
)
