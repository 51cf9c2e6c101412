"""The parts of our documents that are made from the code, and their writer: `python -m tests.pages` rewrites them.

A part stands between `<!-- name -->` and `<!-- /name -->`; tests/test_readme.py compares each with what is made here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer.core import TyperArgument
from typer.main import get_command

from stt_server.cli import COMMANDS, program
from stt_server.metrics import Metrics
from stt_server.settings import readme_table
from stt_server.web.routes import readme_table as routes_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Part:
    """A made part of a document."""

    document: str
    name: str
    make: Callable[[], str]

    @property
    def path(self) -> Path:
        return ROOT / self.document

    def cut(self) -> tuple[str, str, str]:
        """The document before, in and behind the part. Fails where the marks are not there exactly once."""
        text = self.path.read_text(encoding="utf-8")
        start, end = f"<!-- {self.name} -->\n", f"<!-- /{self.name} -->"
        assert text.count(start) == text.count(end) == 1, f"{self.document} has not one {start.strip()}"
        before, rest = text.split(start)
        inside, behind = rest.split(end)
        return before + start, inside, end + behind

    def write(self) -> None:
        before, _, behind = self.cut()
        self.path.write_text(f"{before}{self.make()}\n{behind}", encoding="utf-8")


def commands_page() -> str:
    """Every command by its words, with what it says of itself, its arguments and its options."""
    return "\n\n".join(_sections())


def _sections() -> Iterator[str]:
    for command in COMMANDS:
        told = get_command(program(asked=command.name)).commands[command.name]  # type: ignore[attr-defined]
        inner = getattr(told, "commands", None)
        words = {f"{command.name} {name}": inner[name] for name in inner} if inner else {command.name: told}
        for name, each in words.items():
            yield f"## `earloop {name}`\n\n{_said(each, name)}"


def _said(command, name: str) -> str:
    text = " ".join((command.help or "").split())
    if name == "serve":
        return f"{text} Its options are the settings, in the table of the top README."
    rows = [_row(param) for param in command.params if param.name != "help"]
    return "\n".join([text, "", "| takes | default | what |", "| --- | --- | --- |", *rows]) if rows else text


def _row(param) -> str:
    if isinstance(param, TyperArgument):
        shown = (param.metavar or param.name or "").upper() + ("…" if param.nargs == -1 else "")
    else:
        shown = ", ".join([*param.opts, *param.secondary_opts])
    default = "required" if param.required else param.default
    told = "" if default in (None, (), [], "", False) or callable(default) else str(getattr(default, "value", default))
    return f"| `{shown}` | {told} | {' '.join((param.help or '').split())} |"


def metrics_page() -> str:
    """Every metric of `/metrics` that is ours."""
    families = [metric for metric in Metrics().registry.collect() if metric.name.startswith("earloop_")]
    head = ["| metric | kind | labels | what |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *map(_metric_row, sorted(families, key=lambda metric: metric.name))])


def _metric_row(metric) -> str:
    name = metric.name + ("_total" if metric.type == "counter" else "_info" if metric.type == "info" else "")
    return f"| `{name}` | {metric.type} | {', '.join(_labels(metric.name))} | {metric.documentation} |"


def _labels(name: str) -> tuple[str, ...]:
    """The labels of a metric, also of one that nothing was counted with yet, which the registry tells nobody."""
    for collector in Metrics().registry._collector_to_names:
        if getattr(collector, "_name", None) == name:
            return tuple(getattr(collector, "_labelnames", ()))
    return ()


PARTS = (
    Part("README.md", "settings", readme_table),
    Part("README.md", "routes", routes_table),
    Part("stt_server/commands/README.md", "commands", commands_page),
    Part("stt_server/web/README.md", "metrics", metrics_page),
)


if __name__ == "__main__":
    for part in PARTS:
        part.write()
        sys.stdout.write(f"{part.document}: {part.name}\n")
