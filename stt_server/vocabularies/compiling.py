"""From a vocabulary's document to what a stream is opened with. Pure; takes milliseconds, so it runs beside the loop.

| mode | an entity's name and spoken forms become | sentences become |
| --- | --- | --- |
| `hotwords` | hotwords, with its boost | nothing; that they are there is reported |
| `grammar` | a list of the grammar, and hotwords where a boost is given | the grammar, with `[unk]` if `reject` is on |

What cannot be heard is no error: the rest of a household should not wait for one name. But it is always reported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from stt_server.errors import BadInput, BadOption
from stt_server.messages import Grammar
from stt_server.speech.decoder.grammar_words import build_words
from stt_server.speech.decoder.hotwords import DEFAULT_BOOST, MAX_HOTWORD_LETTERS, MAX_HOTWORDS
from stt_server.speech.decoder.notation import parse
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stt_server.speech.decoder.notation import Sentences
    from stt_server.vocabularies.definition import Definition, Entity

REJECTION: Final = "[unk]"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of a vocabulary that is not heard as it was meant. `kind` is for programs, `message` says what to do.

    | kind | what |
    | --- | --- |
    | `cannot_spell` | a name or spoken form with letters that have no place in a transcript: it is not heard |
    | `no_words` | one of which nothing is said aloud: it is not heard |
    | `unknown_word` | a word that the model's language model does not know: it is heard, less surely |
    | `not_used` | sentences of a vocabulary of hotwords |
    | `no_search` | what the server's decoder cannot do |
    """

    kind: str
    message: str
    list: str = ""
    name: str = ""
    text: str = ""  # the name, the spoken form or the word that is meant
    letters: str = ""  # that cannot be spelled

    def told(self) -> dict[str, str]:
        """As JSON has it."""
        shown = {name: getattr(self, name) for name in ("kind", "message", "list", "name", "text", "letters")}
        return {name: value for name, value in shown.items() if value}


@dataclass(frozen=True, slots=True)
class Phrase:
    """A way in which an entity is said, in words as transcripts have them."""

    text: str
    list: str
    name: str
    boost: float | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a stream hears. `boosts` are of those hotwords that have another one than the usual."""

    hotwords: tuple[str, ...] = ()
    boosts: tuple[tuple[str, float], ...] = ()
    grammar: Grammar | None = None
    problems: tuple[Problem, ...] = ()
    phrases: tuple[Phrase, ...] = field(default=(), repr=False)

    def words(self) -> Iterator[tuple[str, Phrase]]:
        """Every word of its phrases once, with the first phrase that has it."""
        seen = set[str]()
        for phrase in self.phrases:
            for word in phrase.text.split():
                if word not in seen:
                    seen.add(word)
                    yield word, phrase


def compiled(definition: Definition) -> Compiled:
    """Raises BadInput that names the list, or the sentence and the place in it, that cannot be; or what is too much."""
    problems = list[Problem]()
    lists = {name: list(_phrases(name, each, problems)) for name, each in definition.entities.items()}
    phrases = tuple(phrase for each in lists.values() for phrase in each)
    grammar = _grammar(definition, lists)
    if definition.mode == "hotwords":
        hotwords = _hotwords(phrases, definition.boost or DEFAULT_BOOST)
        if grammar is not None:
            why = "mode hotwords hears names in any sentence and uses no sentences; mode grammar does"
            problems.append(Problem("not_used", f"The sentences are checked and kept: {why}."))
        if not hotwords:
            raise BadInput("The vocabulary has no name that can be heard; give `entities`.", field="entities")
        grammar = None
    else:
        hotwords = _hotwords((each for each in phrases if each.boost or definition.boost), definition.boost)
        if grammar is None:
            raise BadInput("A vocabulary of mode grammar needs sentences.", field="sentences")
    boosts = tuple((text, boost) for text, boost in hotwords.items() if boost != DEFAULT_BOOST)
    return Compiled(tuple(hotwords), boosts, grammar, tuple(problems), phrases)


def _phrases(name: str, entities: Iterable[Entity], problems: list[Problem]) -> Iterator[Phrase]:
    """What is said of one list; of what is not said the problems are told."""
    seen = set[str]()
    for entity in entities:
        said = list[str]()
        faults = list[Problem]()
        for text in dict.fromkeys([entity.name, *entity.spoken]):
            fault = _fault(name, entity, text)
            if fault is None:
                said.append(normalize(text))
            elif text != entity.name or not entity.spoken:  # a name that is said otherwise need not be spelled
                faults.append(fault)
        problems += faults
        for text in said:
            if text not in seen:
                seen.add(text)
                yield Phrase(text, name, entity.name, entity.boost)


def _fault(name: str, entity: Entity, text: str) -> Problem | None:
    letters = find_unspellable(text)
    if letters:
        what = f"{text!r} cannot be spelled with the letters a-z, for {letters!r}; it is not heard"
        hint = 'say in letters how it sounds, as in {"name": "…", "spoken": ["…"]}'
        return Problem("cannot_spell", f"{what}: {hint}.", name, entity.name, text, letters)
    if not normalize(text):
        return Problem("no_words", f"Nothing of {text!r} is said aloud; it is not heard.", name, entity.name, text)
    return None


def _hotwords(phrases: Iterable[Phrase], boost: float | None) -> dict[str, float]:
    """Phrases and their boosts; of one that is said twice the higher. Raises BadInput for too many."""
    found = dict[str, float]()
    for phrase in phrases:
        found[phrase.text] = max(found.get(phrase.text, 0.0), phrase.boost or boost or DEFAULT_BOOST)
    letters = sum(map(len, found))
    if len(found) > MAX_HOTWORDS or letters > MAX_HOTWORD_LETTERS:
        bound = f"at most {MAX_HOTWORDS} phrases of {MAX_HOTWORD_LETTERS} letters together"
        why = f"The vocabulary has {len(found)} hotwords of {letters} letters; a stream takes {bound}"
        raise BadInput(f"{why}. Divide it, or use mode grammar.", field="entities")
    return found


def _grammar(definition: Definition, lists: dict[str, list[Phrase]]) -> Grammar | None:
    """The sentences before the lists, so that the lines of errors are those of the sentences; None without any."""
    if not definition.sentences:
        return None
    lines = [line.replace("\n", " ") for line in definition.sentences]
    for name, phrases in lists.items():
        if phrases:
            lines.append(f"{{{name}}} = {' | '.join(phrase.text for phrase in phrases)}")
    if definition.reject:
        lines.append(REJECTION)
    grammar = Grammar(tuple(lines))
    try:
        _check_lists(parse(lines), lists)
    except BadOption as error:
        raise BadInput(error.message, field="sentences") from error
    return grammar


def _check_lists(parsed: Sentences, lists: dict[str, list[Phrase]]) -> None:
    """Raises BadInput for a list of which nothing can be heard, and what an automaton of the sentences refuses."""
    for name, phrases in lists.items():
        if not phrases and name not in parsed.lists:
            raise BadInput(f"The list {{{name}}} has no name that can be heard.", field=f"entities.{name}")
    build_words(parsed)
