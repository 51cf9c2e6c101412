"""Curves as SVG, drawn by matplotlib and made fit for a page: its ink and its lines take the page's colours.

Lines differ by dashes and marks as well as by colour, so that nobody needs to see colours. Text stays text.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from training.report.schema import LearningPoint, Point

    Points = Sequence[tuple[float, float]]

INK = "#010203"  # replaced by the page's colour of text
LINES = ("#010211", "#010212", "#010213", "#010214", "#010215", "#010216")  # replaced by its colours of lines
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
MARKS = "os^DvP"
SIZE = (7.2, 2.9)  # inches, of 72 points
SQUARE = (3.6, 3.4)
OWN_INK, OWN_LINES = "#777777", ("#d1741f", "#2f7fc1")  # readable on white and on black
MARKED = 40  # points of a line; more stand without marks
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}


def curve_chart(title: str, unit: str, lines: Mapping[str, Sequence[Point]], *, per_cent: bool = False) -> str:
    """SVG of values over steps; empty where no line has a point."""
    lines = {name: points for name, points in lines.items() if points}
    if not lines:
        return ""
    plot = _Plot(title)
    scale = 100 if per_cent else 1
    for number, (name, points) in enumerate(list(lines.items())):
        plot.line(number, name, [point.step for point in points], [scale * point.value for point in points])
    plot.axes.set_xlabel("step")
    plot.axes.set_ylabel(unit)
    plot.axes.set_ylim(bottom=0)
    return plot.svg(legend=len(lines) > 1)


def learning_chart(points: Sequence[LearningPoint]) -> str:
    """SVG of word error rates with their intervals over clips."""
    if not points:
        return ""
    plot = _Plot("Word error rate by number of clips")
    clips, rates = [point.clips for point in points], [100 * point.wer.value for point in points]
    below = [100 * (point.wer.value - point.wer.low) for point in points]
    above = [100 * (point.wer.high - point.wer.value) for point in points]
    plot.line(0, "", clips, rates)
    plot.axes.errorbar(clips, rates, (below, above), fmt="none", ecolor=LINES[0], capsize=3, linewidth=1)
    plot.axes.set_xlabel("clips")
    plot.axes.set_ylabel("WER, %")
    plot.axes.set_ylim(bottom=0)
    return plot.svg(legend=False)


def reliability_chart(before: Points, after: Points) -> str:
    """SVG, with colours of its own, of the share of right words over confidence, before and after calibration."""
    plot = _Plot("How many words are right of those with a confidence", SQUARE)
    plot.axes.plot([0, 100], [0, 100], color=INK, alpha=0.4, linewidth=0.8)
    for number, (name, points) in enumerate([("posterior", before), ("calibrated", after)]):
        plot.line(number, name, [100 * confidence for confidence, _ in points], [100 * right for _, right in points])
    plot.axes.set_xlabel("confidence, %")
    plot.axes.set_ylabel("right, %")
    plot.axes.set_xlim(0, 100)
    plot.axes.set_ylim(0, 100)
    svg = plot.svg(legend=True).replace("currentColor", OWN_INK)
    for number, colour in enumerate(OWN_LINES, 1):
        svg = svg.replace(f"var(--line-{number})", colour)
    return svg


class _Plot:
    """A figure of one chart. Importing matplotlib takes a second, so it waits until there is something to draw."""

    def __init__(self, title: str, size: tuple[float, float] = SIZE) -> None:
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        self.title, self._context = title, rc_context
        with self._style():
            self.figure: Figure = Figure(figsize=size, layout="constrained")
            self.axes: Axes = self.figure.add_subplot()
            self.axes.grid(visible=True, axis="y", color=INK, alpha=0.15, linewidth=0.6)

    def line(self, number: int, name: str, x: Sequence[float], y: Sequence[float]) -> None:
        look = number % len(LINES)
        mark = MARKS[look] if len(x) <= MARKED else ""
        self.axes.plot(x, y, color=LINES[look], linestyle=DASHES[look], marker=mark, markersize=4, label=_plain(name))

    def svg(self, *, legend: bool) -> str:
        with self._style():
            if legend:
                self.axes.legend(frameon=False, labelcolor=INK)
            file = io.StringIO()
            self.figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return _for_a_page(file.getvalue(), self.title)

    def _style(self) -> AbstractContextManager[None]:
        """The charts of a page are salted differently, so that no id is in two of them."""
        style: Any = {**STYLE, "svg.hashsalt": self.title}
        return self._context(style)


def _plain(name: str) -> str:
    """As it is written: matplotlib reads dollars as mathematics and leaves out what begins with an underscore."""
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def _for_a_page(svg: str, title: str) -> str:
    """The `svg` element alone, without the groups' ids, which other charts have too, with colours of the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    svg = svg.replace(INK, "currentColor")
    for number, colour in enumerate(LINES, 1):
        svg = svg.replace(colour, f"var(--line-{number})")
    return svg
