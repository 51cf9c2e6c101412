r"""What a client wants heard, as JSON says it: hotwords with boosts, a closed grammar. Types are judged here, no words.

"hotwords": ["earloop", {"phrase": "Kathmandu", "boost": 9}]
"grammar":  "turn (on | off) [the] light\n[unk]"
"grammar":  ["turn on", "turn off"]
"grammar":  {"lines": ["turn on (now)", "[unk]"], "literal": true, "repeats": true}
"""

from __future__ import annotations

from typing import Final

from stt_server.errors import BadOption
from stt_server.messages import Grammar

MAX_HOTWORDS: Final = 1000
MOST_NUMBER: Final = 1e6  # what is a boost the recognizer says; no integer of a thousand digits, no NaN is
_GRAMMAR: Final = ("lines", "literal", "repeats")


def hotwords(value: object) -> tuple[tuple[str, ...], tuple[tuple[str, float], ...]]:
    """Phrases, and the boosts of those that have one. Raises BadOption naming the phrase at fault by its place."""
    if not isinstance(value, list | tuple):
        raise BadOption(f"hotwords must be an array of strings, not {shown(value)}.", field="hotwords")
    if len(value) > MAX_HOTWORDS:
        raise BadOption(f"{len(value)} hotwords are too many; send at most {MAX_HOTWORDS}.", field="hotwords")
    phrases, boosts = list[str](), list[tuple[str, float]]()
    for i, each in enumerate(value):
        phrase, boost = _hotword(each, f"hotwords[{i}]")
        phrases.append(phrase)
        if boost is not None:
            boosts.append((phrase, boost))
    return tuple(phrases), tuple(boosts)


def _hotword(value: object, field: str) -> tuple[str, float | None]:
    if isinstance(value, str):
        return value, None
    if not isinstance(value, dict) or not isinstance(value.get("phrase"), str) or not {*value} <= {"phrase", "boost"}:
        example = '{"phrase": "earloop", "boost": 8}'
        raise BadOption(f"{field} must be a string or an object such as {example}, not {shown(value)}.", field=field)
    boost = value.get("boost")
    if boost is None:
        return value["phrase"], None
    if isinstance(boost, bool) or not isinstance(boost, int | float) or not abs(boost) < MOST_NUMBER:
        raise BadOption(f"{field}.boost must be a number, not {shown(boost)}.", field=f"{field}.boost")
    return value["phrase"], float(boost)


def grammar(value: object) -> Grammar | None:
    """A grammar as text, as lines, or as an object of lines and switches; None is none. Raises BadOption."""
    if value is None:
        return None
    if isinstance(value, dict):
        for name in value:
            if name not in _GRAMMAR:
                known = ", ".join(_GRAMMAR)
                raise BadOption(f"grammar has no {shown(name)}; it has {known}.", field="grammar")
        return Grammar(_lines(value.get("lines")), _truth(value, "literal"), _truth(value, "repeats"))
    return Grammar(_lines(value))


def _lines(value: object) -> tuple[str, ...]:
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list | tuple) or not all(isinstance(line, str) for line in lines):
        raise BadOption(f"grammar must be text or an array of its lines, not {shown(value)}.", field="grammar")
    return tuple(lines)


def _truth(given: dict[str, object], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadOption(f"grammar.{name} must be true or false, not {shown(value)}.", field=f"grammar.{name}")
    return value


def shown(value: object) -> str:
    """A value as a sentence can hold it: a client may send a megabyte where a number is due."""
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:36]} …{text[-1]}"
