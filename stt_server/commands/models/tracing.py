"""`earloop models lineage`: from a model or a response to the clips behind it, and from a clip to what came of it."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.catalog import lineage as lineages
from stt_server.commands.models import said
from stt_server.errors import BadOption
from stt_server.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.catalog.lineage import Relative


def lineage(
    model: Annotated[
        str | None, typer.Argument(metavar="MODEL", help="by name, name@version, id, or as a response names it")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="a clip's id: what came of it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """From a model, or a response that names it, to the clips it learned from; from a clip to those models."""
    if (model is None) == (clip is None):
        raise BadOption("Name a model, or a clip with --clip.", field="model")
    with closing(said.database(load_settings())) as database, database.read() as connection:
        of_model = lineages.of_model(connection, model) if model is not None else None
        found = of_model or lineages.of_clip(connection, clip or "")
    if as_json:
        typer.echo(json.dumps(lineages.told(found), ensure_ascii=False))
        return
    for word, lines in _story(found):
        for line in lines:
            typer.echo(f"{word:12} {line}")


def _story(found: lineages.ModelLineage | lineages.ClipLineage) -> Iterator[tuple[str, list[str]]]:
    """A lineage as lines under a word each."""
    if isinstance(found, lineages.ModelLineage):
        yield "model", [_relative(found.model)]
        yield "tuned from", [_relative(each) for each in found.tuned_from]
    else:
        yield "clip", [found.clip_id]
        yield "heard by", [found.heard_by] if found.heard_by else ["gone: it was withdrawn or removed"]
    gone = {use.snapshot_id: f", withdrawn {use.withdrawn:%Y-%m-%d}" for use in found.snapshots if use.withdrawn}
    many = {
        use.snapshot_id: f", {use.clips} clips" for use in found.snapshots if isinstance(found, lineages.ModelLineage)
    }
    yield (
        "snapshot",
        [
            f"{use.dataset} {use.number}{many.get(use.snapshot_id, '')}{gone.get(use.snapshot_id, '')}"
            for use in found.snapshots
        ],
    )
    yield "run", [f"{run.job_id}, {run.status}, {run.created:%Y-%m-%d %H:%M}" for run in found.runs]
    if isinstance(found, lineages.ModelLineage):
        yield "gate", [f"{each.verdict}, {each.created:%Y-%m-%d %H:%M}" for each in found.reports]
        yield "heirs", [_relative(each) for each in found.heirs]
    else:
        yield "learned", [_relative(each) for each in found.models]


def _relative(model: Relative) -> str:
    spans = [
        f"{said.called(span.kind, span.key)} {span.since:%Y-%m-%d %H:%M} to "
        f"{f'{span.until:%Y-%m-%d %H:%M}' if span.until else 'now'}"
        for span in model.answered
    ]
    return "; ".join([f"{model.ref} ({model.id}), {model.status}", *spans, f"heard {model.heard} kept clips"])
