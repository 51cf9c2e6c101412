"""The notation of grammars, as home assistants write their sentences. Text in, trees of words out.

    # a comment, up to the end of the line
    turn (on | off) [the] {device}            ( | ) alternatives   [ ] may be left out
    {device} = lamp | [ceiling] light         a named list; lists may name other lists
    play [unk]                                [unk] is one or more words, whatever they are
    [unk]                                     alone: whatever is none of the sentences

A line is a sentence or a list. What stands between the marks is put into words as transcripts are ("7 am" is "seven
am"), so that it can be heard. Every error names its line and column, from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stt_server.errors import BadInput, BadOption
from stt_server.speech.text import find_unspellable, normalize

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH = 20  # of parts within parts
MAX_LINES = 10_000
MAX_LETTERS = 200_000  # of all lines together

_UNK = re.compile(r"\[\s*unk\s*\]", re.IGNORECASE)
_TOKEN = re.compile(
    rf"(?P<unk>{_UNK.pattern})|(?P<list>\{{[^{{}}\[\]()|#]*\}}?)|(?P<mark>[\[\]()|}}])|(?P<text>[^\[\](){{}}|#]+)",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*\{([^{}\[\]()|#]*)\}\s*=")
_NAME = re.compile(r"\w[\w .-]*")
_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class Words:
    """Words in this order."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnyWords:
    """`[unk]`: one or more words of any kind."""


@dataclass(frozen=True, slots=True)
class Series:
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the options, or nothing where it is optional."""

    options: tuple[Part, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """One of a list; where it was named is kept for errors."""

    name: str
    line: int
    column: int


Part = Words | AnyWords | Series | Choice | Named


@dataclass(frozen=True, slots=True)
class Sentences:
    """A grammar as written: its sentences, and its lists by name."""

    sentences: tuple[Part, ...]
    lists: dict[str, Part]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    column: int


def fault(line: int, column: int, reason: str) -> BadOption:
    """The error at a place of the grammar, both counted from 1."""
    return BadOption(f"The grammar is wrong at line {line}, column {column}: {reason}.", field="grammar")


def parse(lines: Iterable[str]) -> Sentences:
    """The sentences and lists in `lines`, empty ones and comments left out. Raises BadOption, field `grammar`."""
    lines = _bounded(lines)
    sentences: list[Part] = []
    lists: dict[str, Part] = {}
    for number, line in enumerate(lines, 1):
        if found := _LIST.match(line):
            name = _list_name(found[1], number, found.start(1) + 1)
            if name in lists:
                raise fault(number, found.start(1) + 1, f"there is a list {{{name}}} already")
            lists[name] = _Line(line, number, found.end()).parse()
        elif line.strip() and not line.lstrip().startswith("#"):
            sentences.append(_Line(line, number).parse())
    if not sentences:
        raise fault(max(1, len(lines)), 1, "it has no sentence")
    return Sentences(tuple(sentences), lists)


def plain(phrases: Iterable[str]) -> Sentences:
    """Phrases of words and nothing else, `[unk]` aside: what looks like a mark is none."""
    sentences: list[Part] = []
    for number, phrase in enumerate(_bounded(phrases), 1):
        if _UNK.fullmatch(phrase.strip()):
            sentences.append(AnyWords())
        elif words := spoken(phrase, number, 1):
            sentences.append(Words(words))
    if not sentences:
        raise fault(1, 1, "it has no phrase")
    return Sentences(tuple(sentences), {})


def spoken(text: str, line: int, column: int) -> tuple[str, ...]:
    """The words of a text as they are said."""
    try:
        return tuple(normalize(text).split())
    except BadInput as error:
        raise fault(line, column + text.index(find_unspellable(text)[0]), str(error)) from error


def _bounded(lines: Iterable[str]) -> Sequence[str]:
    lines = list(lines)
    if len(lines) > MAX_LINES:
        raise BadOption(f"The grammar has {len(lines)} lines; at most {MAX_LINES} are taken.", field="grammar")
    letters = sum(map(len, lines))
    if letters > MAX_LETTERS:
        raise BadOption(f"The grammar has {letters} letters; at most {MAX_LETTERS} are taken.", field="grammar")
    return lines


def _list_name(text: str, line: int, column: int) -> str:
    if not _NAME.fullmatch(text.strip()):
        raise fault(line, column, f"{text.strip()[:40]!r} is no name for a list; use letters, digits and _")
    return text.strip()


class _Line:
    """One line, read from its left to its right; an opened part is read by a call within the call."""

    def __init__(self, text: str, number: int, start: int = 0) -> None:
        self._number = number
        self._tokens = self._split(text, start)
        self._at = 0

    def _split(self, text: str, start: int) -> list[_Token]:
        tokens: list[_Token] = []
        while start < len(text) and text[start] != "#":
            found = _TOKEN.match(text, start)
            assert found is not None  # every character begins some token
            assert found.lastgroup is not None
            if found[0].strip():
                tokens.append(_Token(found.lastgroup, found[0], start + 1))
            start = found.end()
        self._end = start + 1
        return tokens

    def parse(self) -> Part:
        part = self._choice("", 0)
        if self._at < len(self._tokens):
            extra = self._tokens[self._at]
            raise fault(self._number, extra.column, f"{extra.text!r} closes nothing")
        return part

    def _choice(self, opened: str, depth: int) -> Part:
        """Sequences with | between them, up to the mark that closes what `opened` opened, or to the end."""
        options = [self._sequence(depth)]
        while self._next() == "|":
            self._at += 1
            options.append(self._sequence(depth))
        if opened == "[":
            return Choice(tuple(options), optional=True)
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self, depth: int) -> Part:
        parts: list[Part] = []
        while self._next() not in ("", "|", ")", "]", "}"):
            token = self._tokens[self._at]
            self._at += 1
            parts += self._part(token, depth)
        if not parts:
            column = self._tokens[self._at].column if self._next() else self._end
            raise fault(self._number, column, "words are missing here")
        return parts[0] if len(parts) == 1 else Series(tuple(parts))

    def _part(self, token: _Token, depth: int) -> list[Part]:
        if token.kind == "text":
            words = spoken(token.text, self._number, token.column)
            return [Words(words)] if words else []
        if token.kind == "unk":
            return [AnyWords()]
        if token.kind == "list":
            return [self._named(token)]
        if depth == MAX_DEPTH:
            raise fault(self._number, token.column, f"parts within parts go no deeper than {MAX_DEPTH}")
        return [self._group(token, depth + 1)]

    def _group(self, opened: _Token, depth: int) -> Part:
        part = self._choice(opened.text, depth)
        closing = _CLOSING[opened.text]
        if self._next() != closing:
            where = "is never closed" if not self._next() else f"is closed by {self._next()!r}"
            raise fault(self._number, opened.column, f"{opened.text!r} {where}; it needs a {closing!r}")
        self._at += 1
        return part

    def _named(self, token: _Token) -> Named:
        if not token.text.endswith("}"):
            raise fault(self._number, token.column, "'{' is never closed; it needs a '}'")
        return Named(_list_name(token.text[1:-1], self._number, token.column), self._number, token.column)

    def _next(self) -> str:
        """The mark that comes next; "" at the end, "word" for anything that is no closing mark."""
        if self._at == len(self._tokens):
            return ""
        token = self._tokens[self._at]
        return token.text if token.kind == "mark" else "word"
