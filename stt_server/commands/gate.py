"""`earloop gate BASE CANDIDATE --target CSV`: may the candidate replace the base?"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stt_server.commands.train import trainer
from stt_server.corpus.corpora import find_corpus
from stt_server.errors import BadBundle, BadInput, BadOption, NotFound
from stt_server.services import recognizer_settings
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.corpus.clip import Clip

EXIT_CODES: Final = {"passed": 0, "refused": 3, "undecided": 4}


def gate(
    base: Annotated[str, typer.Argument(help="the model that is live: a name, or a bundle's folder or zip")],
    candidate: Annotated[str, typer.Argument(help="the model that may replace it")],
    target: Annotated[str, typer.Option(help="list of clips that must be heard better, or a corpus by name")],
    output: Annotated[Path, typer.Option(help="folder for gate.json, gate.html and suspects.csv")],
    guard: Annotated[
        list[str] | None, typer.Option(help="NAME=CSV that may not become worse; beside the base's kit")
    ] = None,
    train: Annotated[
        list[str] | None, typer.Option(help="list of clips that the candidate learned from; searched for wrong labels")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="YAML file with keys of a recipe's section gate")] = None,
) -> None:
    """Hear both as they are served, compare them utterance by utterance, and say passed (exit code 0), refused (3) or
    undecided (4). Where nothing could be judged the exit code is 2 or 1, and there is no gate.json.
    """
    with trainer():
        from training.gate import guard_set, learned_clips, run_gate, target_set
        from training.policy import Policy
        from training.recipe import load_policy
        from training.report import check_packages
    check_packages()
    settings = load_settings()
    try:
        wanted, learned = _clips(settings.corpora, target), [_clips(settings.corpora, each) for each in train or ()]
        guards = {name: _clips(settings.corpora, path) for name, path in map(_named, guard or ())}
        report = run_gate(
            find_bundle(base, settings.data),
            find_bundle(candidate, settings.data),
            [target_set(wanted), *(guard_set(name, clips) for name, clips in guards.items())],
            load_policy(policy) if policy else Policy(),
            output,
            learned=[*learned_clips(wanted, *guards.values()), *(clip for clips in learned for clip in clips)],
            settings=recognizer_settings(settings),
            say=lambda sentence: typer.echo(sentence, err=True),
        )
    except (NotFound, BadBundle) as error:  # their exit codes are two of the verdicts here
        raise BadInput(error.message, field=error.field) from error
    typer.echo("\n".join([report.verdict, *(f"- {each}" for each in report.reasons)]))
    raise typer.Exit(EXIT_CODES[report.verdict])


def _named(option: str) -> tuple[str, str]:
    """NAME=CSV. Raises BadOption."""
    name, equals, path = option.partition("=")
    if not (name and equals and path):
        raise BadOption(f"{option!r} names no guard set; write NAME=CSV, such as earlier-kitchen=kitchen.csv")
    return name, path


def _clips(corpora: Path | None, name: str) -> Sequence[Clip]:
    return list(find_corpus(corpora, name).clips())
