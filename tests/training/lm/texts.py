"""Sentences made by rule: the same on every machine, whatever its numpy."""

import random
from itertools import accumulate

SYLLABLES = "ba ce di fo gu ha ji ko lu me na po ri so tu va we xi yo zu".split()
WORDS = [one + two for one in SYLLABLES for two in SYLLABLES]  # 400
CHANCES = list(accumulate(1 / (rank + 3) for rank in range(len(WORDS))))
FOLLOWERS = 12  # of a word, which come behind it more often than others


def sentences(count: int, seed: int) -> list[str]:
    """Frequent and rare words, each with some that like to follow it."""
    dice = random.Random(seed)
    return [" ".join(_sentence(dice)) for _ in range(count)]


def _sentence(dice: random.Random) -> list[str]:
    words = [_word(dice)]
    while dice.random() < 0.85:
        words.append(_follower(dice, words[-1]) if dice.random() < 0.7 else _word(dice))
    return words


def _word(dice: random.Random) -> str:
    drawn = dice.random() * CHANCES[-1]
    return WORDS[next(place for place, upto in enumerate(CHANCES) if drawn < upto)]


def _follower(dice: random.Random, word: str) -> str:
    return WORDS[(WORDS.index(word) * 7 + int(FOLLOWERS * dice.random() ** 2)) % len(WORDS)]
