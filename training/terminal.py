"""What a run shows while it learns: a line of progress, and "true / heard" after each validation."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from training.runlog import RunLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.progress import TaskID

    from training.checkpoints import Progress

SHOWN_PER_SOURCE = 2


class Terminal:
    """Shows a run on the terminal and keeps every line of it in `log`, if there is one, one JSON object a line."""

    def __init__(self, log: Path | None, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, highlight=False, markup=False, soft_wrap=True, quiet=quiet)
        self.log = RunLog(log)

    def step(self, progress: Progress, loss: float, rate: float, share: float, speed: float, waiting: float) -> None:
        left = progress.seconds * (1 - share) / share if share else 0.0
        self.console.print(
            f"{share:6.1%}  step {progress.step:6d}  epoch {progress.epoch:3d}  loss {loss:6.3f}  rate {rate:.2e}  "
            f"{speed:5.0f} x real time, {waiting:4.0%} waiting for data  {left / 60:5.0f} min left"
        )
        self.log.step(progress, loss, rate, share, speed, waiting)

    def validated(self, progress: Progress, wer: dict[str, float], pairs: Sequence[tuple[str, str, str]]) -> None:
        table = Table(title=f"step {progress.step}, greedy", title_justify="left", show_lines=False)
        for column in ("source", "WER %", "true", "heard"):
            table.add_column(column)
        for source, rate in wer.items():
            mine = [(true, heard) for name, true, heard in pairs if name == source]
            shown = mine[:: max(1, len(mine) // SHOWN_PER_SOURCE)][:SHOWN_PER_SOURCE]
            for row, (true, heard) in enumerate(shown):
                table.add_row(source if row == 0 else "", f"{100 * rate:.1f}" if row == 0 else "", true, heard)
        self.console.print(table)
        self.log.validated(progress, wer)

    def say(self, sentence: str) -> None:
        self.console.print(sentence)
        self.log.say(sentence)

    def show(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table for the eye alone; what it tells is also in a file of the run."""
        table = Table(*(Column(name, overflow="fold") for name in columns))  # paths are to be copied whole
        for row in rows:
            table.add_row(*map(Text, row))
        self.console.print(table)

    @contextmanager
    def bars(self, *names: str) -> Iterator[list[Callable[[int, int], None]]]:
        """For each name a function that is told how much of how much is done; its bar appears with the first call."""
        shown = self.console.is_terminal
        with Bars(console=self.console, transient=True, disable=not shown, redirect_stdout=False) as bars:
            yield [partial(_advance, bars, bars.add_task(name, total=None, visible=False)) for name in names]


def _advance(bars: Bars, task: TaskID, done: int, of: int) -> None:
    bars.update(task, completed=done, total=of, visible=done < of)
