"""gate.html: the verdict for people, in the look of the report of a run, one file with the new errors' audio in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.report.differences import Difference, differences
from training.report.page import TEMPLATES as REPORTS
from training.report.page import fill
from training.report.players import Player
from training.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.gate.doubts import Doubt
    from training.gate.schema import NewError, Report

TEMPLATES = Path(__file__).parent / "templates"
MEGABYTE = 1_000_000
MOST_SUSPECTS = 40
DOUBTFUL = 0.1  # below it a label is not shown as a suspect
SHARE_OF_SUSPECTS = 0.3  # of the page's audio


@dataclass(frozen=True, slots=True)
class ShownError:
    """A new error of the page. `audio` is a data URI; empty where there was no room or the clip cannot be read."""

    error: NewError
    differences: list[Difference]
    audio: str


def render(report: Report, suspects: Sequence[Doubt]) -> str:
    """The page, from templates/gate.html."""
    room = int(report.policy.audio_mb * MEGABYTE)
    for_suspects = Player(int(SHARE_OF_SUSPECTS * room))
    doubted = [each for each in suspects[:MOST_SUSPECTS] if each.suspect >= DOUBTFUL]
    shown = [(each, for_suspects(each.clip.path)) for each in doubted]
    player = Player(room - int(SHARE_OF_SUSPECTS * room) + for_suspects.room_bytes)
    return fill(
        "gate.html",
        (TEMPLATES, REPORTS),
        r=report,
        worst=[_shown(each, player) for each in report.worst],
        suspects=shown,
        in_all=len(suspects),
        policy=list(_keys(report.policy, "")),
    )


def _shown(error: NewError, player: Player) -> ShownError:
    return ShownError(error, differences(error.said, error.candidate), player(Path(error.path)))


def _keys(section: Section, prefix: str) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", ", ".join(value) if isinstance(value, tuple) else value
