"""Results printed as vosk-api prints them (src/recognizer.cc and the JSON class it uses), byte for byte.

Keys in alphabetical order, ` : ` between key and value, numbers with six decimals, two blanks a level where an array
counts as a level of its own. Clients that cut such text with regular expressions instead of parsing it exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stt_server.messages import Alternative, Word

Value = str | float | list["Object"]
Object = dict[str, Value]

# Nothing decoded: constants in the original, spaced as here.
NO_TEXT: Final = '{"text": ""}'
NO_ALTERNATIVES: Final = '{"alternatives" : [{"text": "", "confidence" : 1.0}] }'

_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)


def partial_result(text: str, words: tuple[Word, ...] = ()) -> str:
    """What is heard so far, which may be nothing, with its words where there are any."""
    return _object({"partial": text, **({"partial_result": _trusted(words)} if words else {})})


def final_result(text: str, words: tuple[Word, ...]) -> str:
    """A final, with its words where there are any."""
    if not text:
        return NO_TEXT
    return _object({**({"result": _trusted(words)} if words else {}), "text": text})


def alternatives_result(likely: Iterable[Alternative], *, words_on: bool) -> str:
    """A final as a list, the likeliest first: without a top-level text, and words without `conf`."""
    several = [_alternative(each, words_on=words_on) for each in likely if each.text]
    return _object({"alternatives": several}) if several else NO_ALTERNATIVES


def _alternative(likely: Alternative, *, words_on: bool) -> Object:
    """`confidence` is a score of the search, as in the original: only the order means anything."""
    spoken: Object = {"result": [_timed(word) for word in likely.words]} if words_on and likely.words else {}
    return {"confidence": likely.score, **spoken, "text": likely.text}


def _trusted(words: tuple[Word, ...]) -> list[Object]:
    return [{"conf": word.confidence, **_timed(word)} for word in words]


def _timed(word: Word) -> Object:
    return {"end": word.end_s, "start": word.start_s, "word": word.text}


def _object(fields: Object, depth: int = 1) -> str:
    pad = "  " * depth
    lines = [f'{pad}"{name}" : {_value(value, depth + 1)}' for name, value in sorted(fields.items())]
    return "{\n" + ",\n".join(lines) + "\n" + pad[2:] + "}"


def _value(value: Value, depth: int) -> str:
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, list):
        return f"[{', '.join(_object(item, depth + 1) for item in value)}]"
    return f"{value:.6f}"
