"""`earloop lm words`: whether a language model knows words, and those that it does not added to it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.lm.attach import InPlace, check_target, put
from stt_server.commands.lm.place import Model, Place, find_lm, tell
from stt_server.commands.lm.sentences import Normalized, Sentences
from stt_server.errors import BadInput, BadOption
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from training.lm import ArpaModel

MISSING = 1  # exit code where a word is not known


def words(
    model: Model,
    given: Annotated[list[str] | None, typer.Argument(metavar="WORD…", help="Words, as they are said.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add those that are not known.")] = False,
    like: Annotated[str | None, typer.Option(help="Added words stand wherever this known word does.")] = None,
    times: Annotated[float, typer.Option(help="Each so many times as likely as an average word, or as --like.")] = 1.0,
    text: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Add sentences: text files, one a line; may be repeated.")
    ] = None,
    share: Annotated[float, typer.Option(help="How many of all sentences are like those of --text, 0 to 1.")] = 0.05,
    output: Annotated[Path | None, typer.Option(help="The new file, or the new bundle's folder.")] = None,
    in_place: InPlace = False,
    normalized: Normalized = True,
) -> None:
    """Say of each word whether it is known; code 1 where one is not. Or add words to a model or a bundle's model."""
    listed = list(dict.fromkeys(_word(word, normalized=normalized) for word in given or ()))
    if not listed and not text:
        raise BadOption("give words, or sentences with --text", field="words")
    place = find_lm(model)
    if not (add or text):
        if like is not None or output is not None or in_place:
            unused = "--like, --output and --in-place are of no use without --add or --text"
            raise BadOption(f"words are only looked up: {unused}", field="add")
        if not _tell_known(place, listed):
            raise typer.Exit(MISSING)
        return
    if not 0 < share < 1:
        raise BadOption(f"a share of {share:g} leaves nothing; choose one between 0 and 1", field="share")
    check_target(output, in_place=in_place)
    sentences = Sentences(None, normalized)
    additions = Additions(like, times, list(sentences.read(text or [])), share)
    sentences.report()
    changed = _changed(place, listed, additions)
    if changed is not None:
        _write(model, place, changed, output, in_place=in_place)


@dataclass(frozen=True, slots=True)
class Additions:
    """How words are added, and sentences."""

    like: str | None
    times: float
    sentences: list[str]
    share: float


def _word(text: str, *, normalized: bool) -> str:
    """One word as the model has it. Raises BadInput for several, for none, and for one that cannot be spelled."""
    unspellable = find_unspellable(text) if normalized else ""
    if unspellable:
        raise BadInput(f"{text!r}: {unspellable[:10]!r} cannot be spelled a-z", field="words")
    parts = (normalize(text) if normalized else text).split()
    if len(parts) != 1:
        kind = "several words" if parts else "no word"
        raise BadInput(f"{text!r} is {kind}; give words one by one, and sentences with --text", field="words")
    return parts[0]


def _tell_known(place: Place, listed: list[str]) -> bool:
    from training.lm import neighbours, read_model

    model = read_model(place.path)
    known = set(model.vocabulary)
    for word in listed:
        told = f"known, probability {neighbours(model, word, 1).probability:.3g}" if word in known else "not known"
        typer.echo(f"{word}: {told}")
    return known.issuperset(listed)


def _changed(place: Place, listed: list[str], additions: Additions) -> ArpaModel | None:
    """The model with sentences, then with the words it still does not know; None where there is nothing to add."""
    from training.lm import add_like, add_words, estimate, mix, read_ngrams

    model = read_ngrams(place.path, "adding words")
    if additions.sentences:
        model = mix(model, estimate(additions.sentences, model.order, (0,)), additions.share)
        tell(f"{len(additions.sentences)} sentences added, with a share of {additions.share:g}")
    new = [word for word in listed if word not in model.vocabulary]
    if new:
        tell(f"added: {', '.join(new)}")
        if additions.like is not None:
            return add_like(model, new, _word(additions.like, normalized=False), additions.times)
        return add_words(model, new, additions.times)
    if not additions.sentences:
        tell("all of them are known; nothing was changed")
    return model if additions.sentences else None


def _write(name: str, place: Place, changed: ArpaModel, output: Path | None, *, in_place: bool) -> None:
    """A file's model into a file, a bundle's into a bundle with the weights it had."""
    from training.lm import write_model
    from training.lm.attaching import Weights

    if place.bundle is None:
        write_model(changed, output or place.path)
        return
    with tempfile.TemporaryDirectory(prefix="earloop-lm-") as folder:
        lm = Path(folder) / "lm.arpa.gz"
        write_model(changed, lm)
        put(find_bundle(name, load_settings().data), lm, Weights(), output, in_place=in_place)
