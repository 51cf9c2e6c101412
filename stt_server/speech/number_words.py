"""How a number is said in English, from the digits as they were written.

Every function takes digit strings, not ints, so that "007" and "7" can be told apart, and returns lower-case words
separated by single spaces. Numbers follow American use: no "and" ("one hundred five").
"""

from __future__ import annotations

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = ("", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split())
_SCALES = ("", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion")
_IRREGULAR_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}

LONGEST_CARDINAL = 3 * len(_SCALES)  # digits; more are spelled one by one
SPELLED_FROM = 7  # a plain run of this many digits is a telephone or account number: nobody says it as millions


def spell_digits(digits: str) -> str:
    """Each digit by itself: "007" → "zero zero seven"."""
    return " ".join(_ONES[int(digit)] for digit in digits)


def cardinal(digits: str) -> str:
    """ "1234" → "one thousand two hundred thirty four"; past `LONGEST_CARDINAL` digits, digit by digit."""
    if len(digits) > LONGEST_CARDINAL:
        return spell_digits(digits)
    value = int(digits)
    words: list[str] = []
    for power in range(len(_SCALES) - 1, -1, -1):
        group, value = divmod(value, 1000**power)
        if group:
            words += [*_below_thousand(group), _SCALES[power]]
    return " ".join(filter(None, words)) or _ONES[0]


def ordinal(digits: str) -> str:
    """ "22" → "twenty second"."""
    *head, last = cardinal(digits).split()
    if last.endswith("y"):
        last = last[:-1] + "ieth"
    else:
        last = _IRREGULAR_ORDINALS.get(last, last + "th")
    return " ".join([*head, last])


def plural(words: str) -> str:
    """The last word in the plural: "nineteen ninety" → "nineteen nineties", "six" → "sixes"."""
    if words.endswith("y"):
        return words[:-1] + "ies"
    return words + ("es" if words.endswith("x") else "s")


def clock(hours: str, minutes: str) -> str:
    """ "7", "05" → "seven oh five". A full hour is the hour alone: "pm", "o'clock" or nothing may follow."""
    hour, minute = cardinal(hours), int(minutes)
    if minute == 0:
        return hour
    return f"{hour} {'oh ' if minute < 10 else ''}{cardinal(minutes)}"


def plain_number(digits: str) -> str:
    """A run of digits without separators, unit or suffix, by four rules in this order:

    1. a leading zero, or `SPELLED_FROM` digits and more: digit by digit;
    2. 1100 to 1999 and 2010 to 2099 as years are said: "nineteen ninety nine", "nineteen oh five", "fifteen hundred";
    3. everything else is a cardinal ("2001" → "two thousand one").

    Rule 2 misreads "1999 apples", and reads every year and most round hundreds right: in commands years win by far.
    """
    if len(digits) >= SPELLED_FROM or (digits[0] == "0" and len(digits) > 1):
        return spell_digits(digits)
    value = int(digits)
    if 1100 <= value <= 1999 or 2010 <= value <= 2099:
        return _pair_reading(value)
    return cardinal(digits)


def decimal(digits: str) -> str:
    """Digits with dots: "3.5" → "three point five", ".5" → "point five", "1.2.3" → "one point two point three"."""
    whole, *parts = digits.split(".")
    fractions = " ".join(f"point {spell_digits(part)}" for part in parts)
    return f"{plain_cardinal(whole)} {fractions}" if whole else fractions


def plain_cardinal(digits: str) -> str:
    """A cardinal unless zeros lead: an amount is never a year."""
    return spell_digits(digits) if digits[0] == "0" and len(digits) > 1 else cardinal(digits)


def _pair_reading(year: int) -> str:
    century, rest = divmod(year, 100)
    if rest == 0:
        return f"{cardinal(str(century))} hundred"
    return f"{cardinal(str(century))} {'oh ' if rest < 10 else ''}{cardinal(str(rest))}"


def _below_thousand(value: int) -> list[str]:
    hundreds, rest = divmod(value, 100)
    words = [_ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        tens, ones = divmod(rest, 10)
        words += [_TENS[tens], *([_ONES[ones]] if ones else [])]
    elif rest:
        words.append(_ONES[rest])
    return words
