"""Sentences for synthetic speech and language models: a text file's lines and spoken forms made by rule.

The rules give what assistants hear and written corpora lack: digits, numbers, spelled names, dates and times.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from stt_server.errors import BadInput

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

DIGITS = ("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
MONTHS = "january february march april may june july august september october november december".split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
COMMANDS = (
    "yes no stop go help cancel pause play next back repeat continue start on off up down left right forward "
    "backward follow learn visual open close louder quieter mute resume snooze enter erase rubout hello goodbye wow "
    "bed bird cat dog tree house happy marvin sheila zero one two three four five six seven eight nine ten"
).split()
SHORTEST, LONGEST = 1, 14


def read_sentences(path: Path, column: int = -1) -> Iterator[str]:
    """The sentences of a text or tab-separated file, one a line; `column` picks the field, the last by default."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row and SHORTEST <= len(row[column].split()) <= LONGEST:
                yield row[column].strip()


def _digits(dice: random.Random) -> str:
    return " ".join(dice.choice(DIGITS) for _ in range(dice.randint(1, 8)))


def _below_hundred(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return dice.choice(TEENS)
    return dice.choice(TENS) + (f" {dice.choice(DIGITS[2:])}" if dice.random() < 0.7 else "")


def _number(dice: random.Random) -> str:
    hundreds = f"{dice.choice(DIGITS[2:])} hundred " if dice.random() < 0.4 else ""
    thousands = f"{_below_hundred(dice)} thousand " if dice.random() < 0.15 else ""
    return thousands + hundreds + _below_hundred(dice)


def _spelled(dice: random.Random) -> str:
    return " ".join(dice.choice(LETTERS) for _ in range(dice.randint(2, 9)))


def _spelled_with_digits(dice: random.Random) -> str:
    return f"{_spelled(dice)} {_digits(dice)}" if dice.random() < 0.5 else f"{_digits(dice)} {_spelled(dice)}"


def _date(dice: random.Random) -> str:
    year = f"nineteen {_below_hundred(dice)}" if dice.random() < 0.6 else f"twenty {_below_hundred(dice)}"
    day = dice.choice(ORDINALS) if dice.random() < 0.7 else f"twenty {dice.choice(ORDINALS[:9])}"
    return f"{dice.choice(MONTHS)} {day}" + (f" {year}" if dice.random() < 0.6 else "")


def _time(dice: random.Random) -> str:
    hour = dice.choice(DIGITS[2:] + TEENS[:3])
    return f"{hour} {_below_hundred(dice)}" + dice.choice(["", " a m", " p m", " o'clock"])


def _command(dice: random.Random) -> str:
    return " ".join(dice.choice(COMMANDS) for _ in range(dice.choice((1, 1, 1, 2, 3))))


RULES = (_digits, _number, _spelled, _spelled, _spelled_with_digits, _date, _time, _command, _command)


def spoken_form(dice: random.Random) -> str:
    """One sentence by rule, drawn with `dice`."""
    return dice.choice(RULES)(dice)


class SentenceSource:
    """Draws a written line or, with probability `by_rule`, a spoken form."""

    def __init__(self, lines: list[str], by_rule: float) -> None:
        if not lines and by_rule < 1.0:
            raise BadInput("no sentences to speak: name a text file in the recipe or set `by_rule: 1`")
        self.lines, self.by_rule = lines, by_rule

    def draw(self, dice: random.Random) -> str:
        return spoken_form(dice) if dice.random() < self.by_rule else dice.choice(self.lines)
