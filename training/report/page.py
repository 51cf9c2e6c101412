"""report.html: one file that opens anywhere, without a network and without scripts.

Whatever a person may have written, texts, names and paths, is escaped by the template's engine; only the charts, which
matplotlib wrote, go in as they are. The page's own policy forbids it to load or run anything, whatever gets into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from training.report.players import Shown
    from training.report.schema import Interval, Report, Suspect

TEMPLATES = Path(__file__).parent / "templates"
MOST_SPEAKERS = 30
MOST_SUSPECTS = 100


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the page shows beside the report's figures: charts as SVG, utterances, and suspects with a data URI each."""

    charts: Mapping[str, str]  # by title
    learning_chart: str
    utterances: Sequence[Shown]
    suspects: Sequence[tuple[Suspect, str]]
    repaired: Sequence[tuple[str, str, str]]  # said, greedy, with language model
    broken: Sequence[tuple[str, str, str]]


def render(report: Report, pictures: Pictures) -> str:
    """The page, from templates/report.html."""
    from markupsafe import Markup

    return fill(
        "report.html",
        (TEMPLATES,),
        r=report,
        charts=[(title, Markup(chart)) for title, chart in pictures.charts.items() if chart],  # noqa: S704  matplotlib escaped what is in it
        learning_chart=Markup(pictures.learning_chart),  # noqa: S704  the same
        utterances=_by_kind(pictures.utterances),
        suspects=list(pictures.suspects)[:MOST_SUSPECTS],
        repaired=pictures.repaired,
        broken=pictures.broken,
        groups=_groups(report),
    )


def fill(template: str, folders: Sequence[Path], **values: Any) -> str:
    """A page of this look from a template in one of the folders: `style` is ours, and so are the filters."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    engine = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters |= {"rate": rate, "number": number, "size": size, "points": points}
    style = Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))  # noqa: S704  our own file
    return engine.get_template(template).render(style=style, **values)


def rate(interval: Interval) -> str:
    """In per cent, with its interval."""
    return f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def points(change: float) -> str:
    """A change of a rate in points, signed; nothing has no sign."""
    told = f"{100 * change:+.1f}"
    return "0.0" if told in ("+0.0", "-0.0") else told


def number(value: float | None) -> str:
    """With commas, four digits where it is a fraction."""
    if value is None:
        return "unknown"
    return f"{value:,}" if value == int(value) else f"{value:,.4g}"


def size(count: int) -> str:
    """Bytes as kB or MB."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _by_kind(utterances: Sequence[Shown]) -> dict[str, list[Shown]]:
    return {kind: [each for each in utterances if each.kind == kind] for kind in ("worst", "median", "best")}


def _groups(report: Report) -> list[tuple[str, list[Any], int]]:
    """Way, groups and how many are not shown: of many speakers, those with the most errors."""
    ways = dict.fromkeys(group.by for group in report.groups)
    return [_shortened(way, [group for group in report.groups if group.by == way]) for way in ways]


def _shortened(way: str, groups: list[Any]) -> tuple[str, list[Any], int]:
    if len(groups) <= MOST_SPEAKERS:
        return way, groups, 0
    worst = sorted(groups, key=lambda group: -(group.lm or group.greedy).wer.value)
    return way, worst[:MOST_SPEAKERS], len(groups) - MOST_SPEAKERS
