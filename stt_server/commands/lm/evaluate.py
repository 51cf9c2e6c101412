"""`earloop lm eval`: how surprising a text is to a language model, and how many of its words are unknown to it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from stt_server.commands.lm.place import Model, asked, find_lm
from stt_server.commands.lm.sentences import Column, Normalized, Sentences, Texts

SHOWN = 10  # unknown words


def evaluate(
    model: Model,
    texts: Texts,
    column: Column = None,
    normalized: Normalized = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Perplexity and unknown words of a text. Ends of sentences are predicted too and count as words."""
    from training.lm import perplexity, read_model

    sentences = Sentences(column, normalized)
    place = find_lm(model)
    with asked():
        found = perplexity(read_model(place.path), sentences.read(texts))
    sentences.report()
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"unknown_share": found.unknown_share}))
        return
    words = found.words + found.unknown - found.sentences
    typer.echo(f"perplexity          {found.value:.2f} of {found.words} known words and ends of sentences")
    typer.echo(f"with unknown words  {found.with_unknown:.2f}")
    typer.echo(f"unknown words       {found.unknown} of {words} ({100 * found.unknown_share:.2f} %)")
    for word, count in found.missing[:SHOWN]:
        typer.echo(f"{count:>8}  {word}")
