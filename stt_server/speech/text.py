"""The one text normaliser: training transcripts, language models, error rates and tagging all pass through here.

    normalize("It's 7:30, the Café costs $5.50!")  →  "it's seven thirty the cafe costs five dollars fifty cents"

Out come lower-case words of a-z with apostrophes inside words only, one space between them, none at the ends. What the
alphabet cannot spell (Chinese, Greek, emoji, …) raises `BadInput` that names the characters, or is left out when the
caller asks for that. Normalising twice changes nothing.

The rules, in order:
1. Compatibility forms are unfolded (Unicode NFKD: ﬁ → fi, ５ → 5), accents dropped (café → cafe), letters that have no
   accent to drop are transcribed (ß → ss, ø → o), curly quotes and dashes become ' and -, capitals small.
2. Digits become words: times, money, percent, ordinals, plurals (1990s), decimals, numbers with thousands commas, and
   plain runs; `number_words.plain_number` says how years, leading zeros and long runs are read. "-5" is "minus five".
   Groups of digits joined by hyphens with seven digits in all (telephone numbers, ISO dates) are read digit by digit.
3. & is "and", @ "at", + "plus", % "percent", ° "degrees"; a.m. and p.m. become am and pm.
4. Any other punctuation is a space, apostrophes outside words too, and runs of spaces become one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from stt_server.errors import BadInput
from stt_server.speech import number_words as say

_NORMAL = re.compile(r"(?:[a-z]+(?:'[a-z]+)*(?: [a-z]+(?:'[a-z]+)*)*)?")

_APOSTROPHES = "\u2018\u2019\u201b\u02bc\u2032`\u00b4"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_LETTERS = dict(pair.split("=") for pair in "æ=ae œ=oe ø=o đ=d ð=d þ=th ł=l ħ=h ı=i ŋ=ng".split())
_FRACTIONS = {"½": "one half", "¼": "one quarter", "¾": "three quarters", "⅓": "one third", "⅔": "two thirds"}
_SIGNS = {"&": "and", "@": "at", "+": "plus", "\u00d7": "times", "÷": "divided by", "№": "number"}
_TRANSCRIBED = {
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_DASHES, "-"),
    **dict.fromkeys("™®©", " "),
    **{char: f" {words} " for char, words in (_FRACTIONS | _SIGNS).items()},
    **_LETTERS,
}
_CURRENCIES = {  # symbol: (one hundredth, many)
    "$": ("cent", "cents"),
    "£": ("penny", "pence"),
    "€": ("cent", "cents"),
    "¥": ("sen", "sen"),
}
_UNITS = {  # symbol: (one, many)
    "$": ("dollar", "dollars"),
    "£": ("pound", "pounds"),
    "€": ("euro", "euros"),
    "¥": ("yen", "yen"),
    "¢": ("cent", "cents"),
    "%": ("percent", "percent"),
    "°": ("degree", "degrees"),
}

# Every pattern that starts with digits forbids a digit before it: one start per run keeps a page of digits linear.
_SIGN, _UNIT_SIGN = f"[{''.join(_CURRENCIES)}]", f"[{''.join(_UNITS)}]"
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*|(?<![\w.])\.\d+"
_FRACTION_AFTER_NUMBER = re.compile(rf"(?<=\d)\s?(?=[{''.join(_FRACTIONS)}])")
_AM_PM = re.compile(r"(?<![a-z])([ap])\.\s?m(?:\.|(?![a-z]))")
_MINUS = re.compile(rf"(?<![^\s(])-(?={_SIGN}?\.?\d)")
_CLOCK = re.compile(r"(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])")
_MONEY = re.compile(rf"(?<!\d)({_SIGN})\s?({_NUMBER})(?:\s(hundred|thousand|[mbt]r?illion)(?![a-z]))?")
_AMOUNT = re.compile(rf"(?<![\d,.])({_NUMBER})\s?({_UNIT_SIGN})")
_ORDINAL = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+|\d{1,18})(?:st|nd|rd|th)(?![a-z0-9])")
_PLURAL = re.compile(r"(?<![\d.,])(\d+)'?s(?![a-z0-9])")
_HYPHENED = re.compile(r"(?<![\d.,-])\d+(?:-\d+)+")
_PLAIN = re.compile(_NUMBER)
_UNIT = re.compile(_UNIT_SIGN)
_OUTER_APOSTROPHE = re.compile(r"(?<![a-z])'|'(?![a-z])")
_NOT_SPELLED = re.compile(r"[^a-z' ]")


def normalize(text: str, *, drop_unspellable: bool = False) -> str:
    """`text` in the alphabet [a-z' ]; "" when nothing in it is spoken.

    Raises BadInput naming the characters that cannot be spelled, unless `drop_unspellable` leaves them out.
    """
    if _NORMAL.fullmatch(text):
        return text
    unspellable = "" if drop_unspellable else find_unspellable(text)
    if unspellable:
        names = ", ".join(f"{char!r} (U+{ord(char):04X})" for char in unspellable[:8])
        raise BadInput(f"cannot spell {names} with the letters a-z; write it in English letters, or leave it out")
    folded = "".join(_fold_or_space(char) for char in _FRACTION_AFTER_NUMBER.sub(" and", text))
    spelled = _UNIT.sub(lambda found: f" {_UNITS[found[0]][1]} ", _say_numbers(folded))
    spelled = _NOT_SPELLED.sub(" ", spelled)
    return " ".join(_OUTER_APOSTROPHE.sub(" ", spelled).split())


def find_unspellable(text: str) -> str:
    """The characters of `text` that no rule can put into the alphabet, each once, in order of appearance."""
    return "".join(dict.fromkeys(char for char in text if _fold(char) is None))


def _fold_or_space(char: str) -> str:
    folded = _fold(char)
    return " " if folded is None else folded


@lru_cache(maxsize=4096)
def _fold(char: str) -> str | None:
    """One character in small ASCII, symbols of the number rules kept; "" drops it, None says it cannot be spelled."""
    known = _TRANSCRIBED.get(char)
    if known is not None:
        return known
    if char in _UNITS or char.isascii():
        return char.lower()
    if (digit := unicodedata.decimal(char, None)) is not None:
        return str(digit)
    category = unicodedata.category(char)
    if category[0] in "PZ" or category in ("Cc", "Sk"):
        return " "
    if category[0] == "M" or category == "Cf":  # an accent in a character of its own; soft hyphens and joiners
        return ""
    return _unfold(char)


def _unfold(char: str) -> str | None:
    """A letter, digit or symbol outside ASCII by its compatibility decomposition, or None."""
    bare = "".join(part for part in unicodedata.normalize("NFKD", char.casefold()) if not unicodedata.combining(part))
    spelled = "".join(_TRANSCRIBED.get(part) or part for part in bare).lower().replace("\N{FRACTION SLASH}", " ")
    if not spelled.isascii():
        return None
    return spelled if spelled.isalpha() else f" {spelled} "  # "10²" is not 102


def _say_numbers(text: str) -> str:
    """`text` with every digit put into words. The more particular way of writing a number goes first."""
    text = _AM_PM.sub(r"\1m ", text)
    text = _MINUS.sub(" minus ", text)
    text = _CLOCK.sub(_say_clock, text)
    text = _MONEY.sub(_say_money, text)
    text = _AMOUNT.sub(_say_measure, text)
    text = _ORDINAL.sub(lambda found: f" {say.ordinal(found[1].replace(',', ''))} ", text)
    text = _PLURAL.sub(lambda found: f" {say.plural(say.plain_number(found[1]))} ", text)
    text = _HYPHENED.sub(_say_hyphened, text)
    return _PLAIN.sub(lambda found: f" {_say_plain(found[0])} ", text)


def _say_clock(found: re.Match[str]) -> str:
    seconds = f" {say.cardinal(found[3])}" if found[3] else ""
    return f" {say.clock(found[1], found[2])}{seconds} "


def _say_money(found: re.Match[str]) -> str:
    sign, number, scale = found.groups()
    one, many = _UNITS[sign]
    whole, _, fraction = number.partition(".")
    if scale or len(fraction) not in (0, 2):
        return f" {_say_amount(number)} {scale or ''} {many} "
    amount, hundredths = whole.replace(",", ""), fraction.strip("0") and _CURRENCIES[sign][fraction != "01"]
    parts = [f"{say.cardinal(fraction)} {hundredths}"] if hundredths else []
    if amount.strip("0") or not parts:
        parts.insert(0, f"{say.plain_cardinal(amount or '0')} {one if amount == '1' else many}")
    return f" {' '.join(parts)} "


def _say_measure(found: re.Match[str]) -> str:
    number, sign = found.groups()
    return f" {_say_amount(number)} {_UNITS[sign][number != '1']} "


def _say_amount(number: str) -> str:
    """A number with a unit: never a year, never spelled for its length."""
    digits = number.replace(",", "")
    return say.decimal(digits) if "." in digits else say.plain_cardinal(digits)


def _say_hyphened(found: re.Match[str]) -> str:
    digits = found[0].replace("-", "")
    return f" {say.spell_digits(digits)} " if len(digits) >= say.SPELLED_FROM else found[0]


def _say_plain(number: str) -> str:
    return say.plain_number(number) if number.isdigit() else _say_amount(number)
