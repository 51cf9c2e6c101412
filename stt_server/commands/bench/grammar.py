"""`earloop bench grammar`: a grammar of 200 commands for a home, spoken by synthetic voices, and other speech.

| figure | what |
| --- | --- |
| exact | commands that were heard word for word |
| rejected | utterances of which nothing but `[unk]` was heard, or nothing |
| another | utterances in which a sentence was heard that was not said |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.commands.bench.home import HOME, sentences
from stt_server.commands.bench.spoken import hear_kit, hear_others, hear_sentences
from stt_server.messages import Grammar
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.grammar_words import UNK
from stt_server.speech.decoder.interface import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.posteriors import Posteriors
    from stt_server.speech.decoder.interface import Decoder
    from stt_server.speech.recognizer import Recognizer

SEED = 3  # of the voices
SENTENCES = 200  # of a grammar

Kinds = dict[str, list["Posteriors"]]


@dataclass(frozen=True, slots=True)
class Row:
    """What was heard of utterances of one kind, with one grammar."""

    grammar: str
    spoken: str
    utterances: int
    exact: int
    rejected: int

    @property
    def another(self) -> int:
        return self.utterances - self.exact - self.rejected


def run_grammar(
    recognizer: Recognizer, folder: Path, commands: int, others: int, tell: Callable[[str], None]
) -> list[Row]:
    """Speak, hear, decode; and the bundle's kit, half of which is put into a grammar with as many commands.

    Raises Unsupported where a speech program is missing, BadInput for a bundle without language model.
    """
    home = sentences(HOME)
    spoken = hear_sentences(recognizer, home[:: max(1, len(home) // commands)], folder / "home", SEED, tell)
    elsewhere = [each for each in hear_others(recognizer, others, folder, tell) if each.said not in home]
    rows = measure(recognizer, "home commands", HOME, {"commands": spoken, "other speech": elsewhere})
    kit = [each for each in hear_kit(recognizer, folder, tell) if each.said]
    if not kit:
        return rows
    mixed = tuple(dict.fromkeys([*(each.said for each in kit[::2]), *home]))[:SENTENCES]
    kinds = {"the kit's half": kit[::2], "its other half": [each for each in kit[1::2] if each.said not in mixed]}
    return rows + measure(recognizer, "half of the kit", mixed, kinds)


def measure(recognizer: Recognizer, name: str, lines: tuple[str, ...], kinds: Kinds) -> list[Row]:
    """A row for each kind, with `[unk]` in the grammar and without."""
    decoder, rows = recognizer.decoders["native"], []
    for told, listed in ((name, lines), (f"{name}, [unk]", (*lines, UNK))):
        asked = Asked(grammar=compile_grammar(Grammar(listed), recognizer.bundle.manifest.alphabet))
        rows += [_row(told, kind, decoder, asked, spoken) for kind, spoken in kinds.items() if spoken]
    return rows


def _row(name: str, kind: str, decoder: Decoder, asked: Asked, spoken: Sequence[Posteriors]) -> Row:
    texts = [text_of(decoder, asked, each) for each in spoken]
    exact = sum(text == each.said for text, each in zip(texts, spoken, strict=True))
    return Row(name, kind, len(spoken), exact, sum(not text.replace(UNK, "").strip() for text in texts))


def text_of(decoder: Decoder, asked: Asked, spoken: Posteriors) -> str:
    """What a stream that asks for this hears."""
    begin, texts = decoder.prepare(asked), []
    for logprobs_TV in spoken.utterances:
        decoding = begin()
        decoding.step(logprobs_TV)
        texts.append(decoding.final().text)
    return " ".join(text for text in texts if text)


def table(rows: Sequence[Row]) -> list[str]:
    """For people to read."""
    lines = [f"{'':<24}{'':<14}{'utterances':>10}{'exact %':>9}{'rejected %':>12}{'another %':>11}"]
    for row in rows:
        shares = [100 * count / row.utterances for count in (row.exact, row.rejected, row.another)]
        figures = f"{row.utterances:>10}{shares[0]:>9.1f}{shares[1]:>12.1f}{shares[2]:>11.1f}"
        lines.append(f"{row.grammar:<24}{row.spoken:<14}{figures}")
    return lines
