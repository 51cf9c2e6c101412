"""What was said against what was heard, word by word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.speech.wer import align
from training.report.schema import Confusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.corpus.evaluation import Heard

CONFUSIONS = 40


@dataclass(frozen=True, slots=True)
class Difference:
    """One place of an alignment. `kind` is right, substituted, deleted or inserted."""

    kind: str
    said: str
    heard: str


def differences(said: str, heard: str) -> list[Difference]:
    """Every word that was said or heard, in order."""
    return [Difference(_kind(one, other), one or "", other or "") for one, other in align(said, heard)]


def confusions(utterances: Sequence[Heard], most: int = CONFUSIONS) -> list[Confusion]:
    """The words most often confused, left out or put in."""
    counted = Counter(
        (each.said, each.heard)
        for utterance in utterances
        for each in differences(utterance.said, utterance.heard)
        if each.kind != "right"
    )
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return [Confusion(said=said, heard=heard, count=count) for (said, heard), count in ordered[:most]]


def _kind(said: str | None, heard: str | None) -> str:
    if said is None:
        return "inserted"
    if heard is None:
        return "deleted"
    return "right" if said == heard else "substituted"
