"""`earloop lm mix`: two language models as one, with a share that is given or tuned on a text."""

from __future__ import annotations

from typing import Annotated

import typer

from stt_server.commands.lm.place import Output, find_lm, tell
from stt_server.commands.lm.sentences import Column, Normalized, Sentences
from stt_server.errors import BadOption


def mix(
    base: Annotated[str, typer.Argument(metavar="BASE", help="An ARPA file, or a bundle that has one.")],
    other: Annotated[str, typer.Argument(metavar="OTHER", help="The model that is mixed in.")],
    output: Output,
    share: Annotated[float | None, typer.Option(help="How many of all sentences are like OTHER's, 0 to 1.")] = None,
    tuned_on: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Choose the share by this text, of which neither was made; may be repeated."),
    ] = None,
    column: Column = None,
    normalized: Normalized = True,
) -> None:
    """Mix two models, so that sentences of both are likely, by a share that is given or that a text asks for."""
    from training.lm import mix as mixed
    from training.lm import perplexity, read_ngrams, tune_share, write_model

    if (share is None) == (not tuned_on):
        raise BadOption("give either --share or --tuned-on, one of them", field="share")
    if share is not None and not 0 < share < 1:
        raise BadOption(f"a share of {share:g} leaves nothing to mix; choose one between 0 and 1", field="share")
    one, two = (read_ngrams(find_lm(name).path, "mixing") for name in (base, other))
    sentences = Sentences(column, normalized)
    text = list(sentences.read(tuned_on or []))
    sentences.report()
    chosen = tune_share(one, two, text) if share is None else share
    made = mixed(one, two, chosen)
    write_model(made, output)
    tell(f"{output}: share {chosen:.4f}, {', '.join(f'{count} {n}-grams' for n, count in enumerate(made.counts, 1))}")
    if text:
        for name, model in ((base, one), (other, two), (str(output), made)):
            found = perplexity(model, text)
            typer.echo(f"{found.with_unknown:10.2f}  {100 * found.unknown_share:5.2f} % unknown  {name}")
