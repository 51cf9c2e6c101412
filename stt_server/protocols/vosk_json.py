"""Results printed as vosk-api prints them (src/recognizer.cc and the JSON class it uses), byte for byte.

Keys in alphabetical order, ` : ` between key and value, numbers with six decimals, two blanks a level where an array
counts as a level of its own. Clients that cut such text with regular expressions instead of parsing it exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stt_server.messages import Word

Value = str | float | list["Object"]
Object = dict[str, Value]

# Nothing decoded: constants in the original, spaced as here.
NO_TEXT: Final = '{"text": ""}'
NO_ALTERNATIVES: Final = '{"alternatives" : [{"text": "", "confidence" : 1.0}] }'

_ESCAPES: Final = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)


def partial_result(text: str) -> str:
    """What is heard so far, which may be nothing."""
    return _object({"partial": text})


def final_result(text: str, words: tuple[Word, ...], *, words_on: bool, alternatives: int) -> str:
    """A final. With alternatives there is no top-level text; we have one hypothesis, so there is one alternative."""
    if not text:
        return NO_ALTERNATIVES if alternatives else NO_TEXT
    words_on = words_on and bool(words)
    if not alternatives:
        spoken: Object = {"result": [{"conf": word.confidence, **_timed(word)} for word in words]} if words_on else {}
        return _object({**spoken, "text": text})
    spoken = {"result": [_timed(word) for word in words]} if words_on else {}
    return _object({"alternatives": [{"confidence": _trust(words), **spoken, "text": text}]})


def _timed(word: Word) -> Object:
    return {"end": word.end_s, "start": word.start_s, "word": word.text}


def _trust(words: tuple[Word, ...]) -> float:
    """Mean confidence of the words. The original gives an unnormalised score; only the order ever meant anything."""
    return sum(word.confidence for word in words) / len(words) if words else 1.0


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
