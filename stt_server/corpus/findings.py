"""What is wrong with a clip, as one sentence with its remedy; many of them as a table and as a CSV."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stt_server.corpus.clip import Clip


class Severity(StrEnum):
    ERROR = "error"  # the clip cannot be learned from, or would make the test a lie
    WARNING = "warning"  # worth a look
    NOTICE = "notice"  # nothing to mend: what is done to the clip, and what that costs


class Kind(StrEnum):
    FAULTY_ROW = "faulty row"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY_AUDIO = "empty audio"
    EMPTY_TEXT = "empty text"
    UNSPELLABLE = "unspellable"
    NOT_IN_ALPHABET = "not in the alphabet"
    NO_DURATION = "no duration"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    TOO_MANY_CHARACTERS = "too many characters"
    NO_FINITE_LOSS = "no finite loss"
    LISTED_TWICE = "listed twice"
    SHARED_RECORDING = "shared recording"
    SHARED_SENTENCE = "shared sentence"
    NEAR_DUPLICATE = "near duplicate"
    NEAR_SILENCE = "near silence"
    NO_SPEECH = "no speech"
    CLIPPING = "clipping"
    WRONG_DURATION = "wrong duration"
    LOW_SAMPLE_RATE = "low sample rate"
    RESAMPLED = "resampled"
    MIXED_TO_MONO = "mixed to mono"


_SEVERITIES = {
    Kind.LISTED_TWICE: Severity.WARNING,
    Kind.SHARED_SENTENCE: Severity.WARNING,
    Kind.NEAR_DUPLICATE: Severity.WARNING,
    Kind.NO_FINITE_LOSS: Severity.WARNING,
    Kind.NEAR_SILENCE: Severity.WARNING,
    Kind.NO_SPEECH: Severity.WARNING,
    Kind.CLIPPING: Severity.WARNING,
    Kind.NO_DURATION: Severity.WARNING,
    Kind.LOW_SAMPLE_RATE: Severity.WARNING,
    Kind.RESAMPLED: Severity.NOTICE,
    Kind.MIXED_TO_MONO: Severity.NOTICE,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """For a row that gave no clip, `clip` has the row's audio file, or the list it is in, and no text."""

    kind: Kind
    clip: Clip
    sentence: str  # what is wrong and what to do

    @property
    def severity(self) -> Severity:
        return _SEVERITIES.get(self.kind, Severity.ERROR)

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


@dataclass(frozen=True, slots=True)
class Summary:
    """All findings of a kind: a line of the table on the terminal."""

    severity: Severity
    kind: Kind
    clips: int
    example: Finding


def summarise(findings: Iterable[Finding]) -> list[Summary]:
    """A line a kind, errors first, the most frequent first among them."""
    by_kind = defaultdict(list)
    for found in findings:
        by_kind[found.kind].append(found)
    lines = [Summary(each[0].severity, kind, len(each), each[0]) for kind, each in by_kind.items()]
    return sorted(lines, key=lambda line: (list(Severity).index(line.severity), -line.clips))


def write_findings_csv(path: Path, findings: Iterable[Finding]) -> None:
    """One row a finding: severity, kind, path, source, split, speaker, sentence."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["severity", "kind", "path", "source", "split", "speaker", "sentence"])
        for found in findings:
            clip = found.clip
            labels = [clip.source, clip.split or "", clip.speaker or ""]
            writer.writerow([found.severity, found.kind, clip.path, *labels, found.sentence])
