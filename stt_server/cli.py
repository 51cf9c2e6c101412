"""`earloop …`: one table of commands, each imported only when it is the one asked for.

A command is a module of `stt_server.commands`. Its module holds either a function of the command's name, whose
parameters typer turns into options, or, for a family such as `earloop models list`, a `typer.Typer` called `app`.
Errors raised on purpose end the program here: their sentence on standard error, their exit code.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stt_server.errors import EarloopError

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the table: the word after `earloop`, its line in the help, whether it has words of its own."""

    name: str
    help: str
    family: bool = False

    @property
    def module(self) -> str:
        return f"stt_server.commands.{self.name}"

    @property
    def installed(self) -> bool:
        """Whether this copy of Earloop has the command. Looks for the module without running it."""
        return find_spec(self.module) is not None

    def mount(self, app: typer.Typer) -> None:
        """Import the command and hang it into `app`."""
        module = import_module(self.module)
        if self.family:
            app.add_typer(module.app, name=self.name, help=self.help, no_args_is_help=True)
        else:
            app.command(self.name, help=self.help)(getattr(module, self.name))

    def announce(self, app: typer.Typer) -> None:
        """Let the help of `app` name the command, without importing it."""
        app.command(self.name, help=self.help)(lambda: None)


# numpy's own threads burn a core between our small products: a server of eight streams took 99 % of a core with them,
# 16 % without. Read by OpenBLAS when numpy is imported, which is later; who sets it knows better.
ONE_BLAS_THREAD: Final = ("OPENBLAS_NUM_THREADS", "1")

COMMANDS: Final = (
    Command("serve", "Run the server."),
    Command("transcribe", "Write down what is said in audio files or a folder of them."),
    Command("mic", "Write down what is said into the microphone."),
    Command("evaluate", "Measure a model bundle on the clips of a manifest."),
    Command("doctor", "Say what is installed and what is missing."),
    Command("models", "List, import, promote and trace models.", family=True),
    Command("lm", "Build, tune, measure and change language models.", family=True),
    Command("corpora", "Fetch, check and convert recorded speech.", family=True),
    Command("keys", "Make, list and revoke API keys.", family=True),
    Command("vocabularies", "Names and sentences of assistants: put, list, show, delete.", family=True),
    Command("clips", "Clips that are kept: list, import, remove.", family=True),
    Command("consent", "Show who agreed to what, note it, withdraw it.", family=True),
    Command("db", "Look after the database.", family=True),
    Command("dataset", "Gather clips, make snapshots of them, export those.", family=True),
    Command("backup", "Write database and clips into one file, while the server works."),
    Command("restore", "Restore what `backup` wrote."),
    Command("train", "Train a model from a recipe."),
    Command("worker", "Do training jobs as they are asked for."),
    Command("jobs", "Ask for training jobs, look at them, end them.", family=True),
    Command("export", "Make a model bundle of what a training has learned."),
    Command("gate", "Say whether a new model may replace the live one."),
    Command("augment", "Hear what a model will learn from.", family=True),
    Command("bench", "Measure a running server.", family=True),
)


def main(args: Sequence[str] | None = None) -> None:
    """The console script. Always ends in SystemExit."""
    os.environ.setdefault(*ONE_BLAS_THREAD)
    words = list(sys.argv[1:] if args is None else args)
    app = program(asked=next((word for word in words if not word.startswith("-")), None))
    try:
        app(words, prog_name="earloop")
    except EarloopError as error:
        typer.echo(f"earloop: {error}", err=True)
        raise SystemExit(error.exit_code) from error


def program(asked: str | None) -> typer.Typer:
    """Every installed command by its line of help, and the one that was asked for in full."""
    app = typer.Typer(
        help="Earloop: speech to text for voice assistants.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # plain help, the same on a terminal and in a pipe
        pretty_exceptions_enable=False,  # a traceback is for a bug report: complete and plain
    )
    app.callback()(_options)
    for command in COMMANDS:
        if command.installed:
            (command.mount if command.name == asked else command.announce)(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earloop {metadata.version('earloop')}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """What stands before the command."""


if __name__ == "__main__":
    main()
