import itertools
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_server.errors import BadOption
from stt_server.messages import Grammar
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.grammar import MOST_DOUBT, compile_grammar
from stt_server.speech.decoder.grammar_letters import ENTRY_COST, LETTER_COST
from stt_server.speech.decoder.interface import Hypothesis, TimedWord
from stt_server.speech.decoder.notation import Choice, Named, Series, Words, parse

ALPHABET = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")
HOME = """
# lights
turn (on | off) [the] {device} [in the {room}]   # politely or not
(what is|what's) the time
{device} = lamp | [ceiling] light | fan
{room} = kitchen | living room
"""


def grammar(text, **how):
    return compile_grammar(Grammar(tuple(text.splitlines()), **how), ALPHABET)


def labels(made, text, *, ended=True):
    return " ".join(label for _, _, label in made.words.label(text.split(), ended=ended))


def sentences(part, lists):
    """Everything that a part may say, [unk] aside: the notation's meaning in the simplest words."""
    match part:
        case Words(words):
            return {words}
        case Series(parts):
            each = [sentences(one, lists) for one in parts]
            return {sum(chosen, ()) for chosen in itertools.product(*each)}
        case Choice(options, optional):
            nothing = {()} if optional else set()
            return nothing.union(*(sentences(one, lists) for one in options))
        case Named(name):
            return sentences(lists[name], lists)


# -------------------------------------------------------------------------------------------------------- what it takes


@pytest.mark.parametrize(
    "text",
    [
        "turn on the lamp",
        "turn off light",
        "turn on ceiling light in the living room",
        "what's the time",
        "what is the time",
        "",
    ],
)
def test_sentences_cost_nothing(text):
    assert grammar(HOME).letters.score(text) == 0.0


@pytest.mark.parametrize(
    "text", ["turn the lamp", "turn on", "turn on the lam", "turn on the lamps", "lamp", "turn on the ceiling", "x"]
)
def test_what_is_no_sentence_cannot_be_heard(text):
    assert grammar(HOME).letters.score(text) == -np.inf


def test_numbers_are_said_in_words():
    assert grammar("wake me at 7:30").letters.score("wake me at seven thirty") == 0.0


def test_marks_in_literal_phrases_are_none():
    made = grammar("stop (now)\ngo", literal=True)
    assert made.letters.score("stop now") == 0.0
    assert made.letters.score("stop") == -np.inf


def test_phrases_repeat_where_that_is_asked_for():
    once, often = grammar("one\ntwo three"), grammar("one\ntwo three", repeats=True)
    assert once.letters.score("one two three one") == -np.inf
    assert often.letters.score("one two three one") == 0.0
    assert often.letters.score("one two one") == -np.inf


PARTS = st.recursive(
    st.lists(st.sampled_from(["a", "ab", "b", "ba"]), min_size=1, max_size=2).map(" ".join),
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3).map(" ".join)
        | st.lists(inner, min_size=1, max_size=3).map(lambda options: f"({' | '.join(options)})")
        | inner.map(lambda one: f"[{one}]")
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(PARTS | st.just("{list} a"), min_size=1, max_size=3),
    PARTS,
    st.lists(st.sampled_from(["a", "ab", "b", "ba"]), max_size=5).map(tuple),
)
def test_the_automaton_takes_what_the_notation_means_and_nothing_else(lines, named, words):
    lines = [*lines, f"{{list}} = {named}"]
    parsed = parse(lines)
    meant = {(), *set().union(*(sentences(each, parsed.lists) for each in parsed.sentences))}
    letters = grammar("\n".join(lines)).letters
    for said in [*sorted(meant)[:50], words]:
        assert (letters.score(" ".join(said)) == 0.0) == (said in meant)


# ------------------------------------------------------------------------------------------------------- unknown words


def test_any_words_stand_where_unk_stands():
    made = grammar("play [unk]\nstop")
    assert made.letters.score("play some music") == pytest.approx(ENTRY_COST + len("somemusic") * LETTER_COST)
    assert made.letters.score("play") == made.letters.score("stop it") == -np.inf
    assert labels(made, "play some music") == "play [unk]"


def test_other_speech_is_unknown_as_a_whole():
    made = grammar(HOME + "[unk]")
    for text in ("turn on the kettle", "lamp", "turn on the", "turn on the lamp please", "well what's the time"):
        assert made.letters.score(text) == -np.inf, "the search hears sentences alone"
        assert labels(made, text) == "[unk]"
    assert labels(made, "turn on the lamp") == "turn on the lamp"


def test_a_sentence_is_unknown_that_the_utterance_sounds_little_like():
    heard = Hypothesis((TimedWord("stop", 2, 8, 0.9), TimedWord("it", 9, 12, 0.5)), 4)
    rejecting, closed = grammar("stop it\n[unk]"), grammar("stop it")
    assert rejecting.judge(heard, MOST_DOUBT - 0.1) == heard
    unknown = rejecting.judge(heard, MOST_DOUBT + 0.1)
    assert (unknown.words, unknown.stable) == ((TimedWord("[unk]", 2, 12, 0.7),), len("[unk]"))
    assert closed.judge(heard, 99.0) == heard
    assert (rejecting.nothing(40).text, closed.nothing(40).text) == ("[unk]", "")


def test_unknown_words_between_repeated_phrases_leave_those_whole():
    made = grammar("turn on\nstop\n[unk]", repeats=True)
    assert labels(made, "turn on oh well stop") == "turn on [unk] stop"
    assert labels(made, "turn oh stop turn") == "[unk] stop [unk]"


def test_nothing_is_left_of_what_is_no_sentence_where_all_must_be_one():
    assert labels(grammar(HOME), "turn on the") == ""
    assert labels(grammar("one\ntwo three", repeats=True), "one two") == "one"
    assert labels(grammar("one\ntwo three", repeats=True), "one tw") == "one"


def test_a_longer_explanation_in_unknown_words_costs_more():
    letters = grammar("go\n[unk]", repeats=True).letters
    costs = [letters.score("x" * n) for n in range(1, 6)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] - costs[1] == pytest.approx(-LETTER_COST)


def test_a_known_word_broken_off_is_as_unknown_as_any_other():
    letters = grammar("turn on\n[unk]", repeats=True).letters
    assert letters.score("tur on") < ENTRY_COST + LETTER_COST
    assert letters.score("tur") == ENTRY_COST


def test_a_sentence_that_may_go_on_is_not_given_up():
    made = grammar(HOME + "[unk]")
    assert labels(made, "turn on the ki", ended=False) == "turn on the ki"
    assert labels(made, "turn on hm the", ended=False) == "[unk]"


def test_unknown_words_together_have_one_time_and_their_mean_trust():
    heard = Hypothesis((TimedWord("stop", 2, 8, 0.9), TimedWord("the", 9, 12, 0.5), TimedWord("cat", 14, 20, 0.7)), 12)
    made = grammar("stop\nplay\n[unk]", repeats=True).label(heard, ended=True)
    assert made.words == (TimedWord("stop", 2, 8, 0.9), TimedWord("[unk]", 9, 20, 0.6))
    assert made.stable == len("stop [unk]")


def test_what_was_settled_as_words_is_settled_no_further_than_unk_agrees():
    heard = Hypothesis((TimedWord("stop", 2, 8, 0.9), TimedWord("the", 9, 12, 0.5), TimedWord("c", 14, 20, 0.7)), 8)
    made = grammar("stop\nplay\n[unk]", repeats=True).label(heard, ended=False)
    assert (made.text, made.stable) == ("stop [unk]", 5)


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("stop\nturn (on|off", "line 2, column 6", "never closed"),
        ("turn (on|off]", "line 1, column 6", "closed by ']'"),
        ("turn on)", "line 1, column 8", "closes nothing"),
        ("turn (on|)", "line 1, column 10", "words are missing"),
        ("# nothing\n()", "line 2, column 2", "words are missing"),
        ("in {room", "line 1, column 4", "never closed"),
        ("in the {rom}\n{room} = kitchen", "line 1, column 8", "no list {rom}; the grammar has {room}"),
        ("{a} = {b}\n{b} = x {a}\ngo {a}", "line 2, column 9", "names itself: {a} → {b} → {a}"),
        ("go\n{a} = x\n{a} = y", "line 3, column 2", "already"),
        ("go {?}", "line 1, column 4", "no name"),
        ("stop\nsay \u4f60\u597d", "line 2, column 5", "cannot spell"),
        ("# only a comment", "line 1, column 1", "no sentence"),
        ("(" * 30 + "a" + ")" * 30, "line 1, column 21", "no deeper"),
    ],
)
def test_errors_name_the_place(text, place, reason):
    with pytest.raises(BadOption) as caught:
        grammar(text)
    assert caught.value.field == "grammar"
    assert place in caught.value.message
    assert reason in caught.value.message


def test_a_word_that_the_model_cannot_spell_is_named():
    with pytest.raises(BadOption, match="'jazz' of the grammar cannot be spelled: the model has no letter 'j'"):
        compile_grammar(Grammar(("play jazz",)), Alphabet(" abcdefghiklmnopqrstuvwxyz"))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["{a} = " + "|".join(f"x{'abcdefghij'[i % 10]}{'y' * i}" for i in range(60)), *["{a} {a}"] * 2000]),
        "{a} = b|c\n" + "\n".join(f"{{{chr(i + 1)}}} = {{{chr(i)}}} {{{chr(i)}}}" for i in range(97, 121)) + "\n{y}",
        "\n" * 20_000 + "a",
        "a " * 200_000,
        "[b] " * 30 + "(a|b) " * 2 + "[unk] " + "[a] [b] [ab] [unk] " * 40,
    ],
    ids=["long lists", "lists of lists", "lines", "letters", "choices"],
)
def test_a_grammar_that_grows_beyond_its_bounds_is_refused_in_time(text):
    began = time.process_time()
    try:
        grammar(text)
    except BadOption as error:
        assert error.field == "grammar"
    assert time.process_time() - began < 20


def is_a_grammar_or_an_error(lines: list[str]) -> None:
    try:
        made = compile_grammar(Grammar(tuple(lines)), ALPHABET)
    except BadOption as error:
        assert error.field == "grammar"
        assert "line " in error.message
    else:
        assert len(made.letters.first) == len(made.letters) + 1
        assert made.letters.target.max(initial=0) < len(made.letters)


WRITTEN = st.lists(st.text("ab[]()|{}#= \\é1", max_size=30), max_size=5)


@settings(deadline=None, max_examples=150)
@given(WRITTEN)
def test_whatever_is_written_is_a_grammar_or_an_error_with_its_place(lines):
    is_a_grammar_or_an_error(lines)


@pytest.mark.nightly
@settings(deadline=None, max_examples=20_000, suppress_health_check=list(HealthCheck))
@given(WRITTEN)
def test_whatever_is_written_twenty_thousand_times_is_a_grammar_or_an_error_with_its_place(lines):
    is_a_grammar_or_an_error(lines)


def test_a_thousand_phrases_are_ready_soon():
    """50 ms on an idle core; here with room for a loaded one."""
    dice = np.random.default_rng(1)
    words = ["".join(dice.choice(list(ALPHABET.letters[2:]), dice.integers(2, 9))) for _ in range(3000)]
    phrases = [" ".join(dice.choice(words, dice.integers(1, 6))) for _ in range(1000)]
    best = np.inf
    for last in ("[unk]", "one", "two"):  # what was compiled before is kept
        began = time.process_time()
        grammar("\n".join([*phrases, last]))
        best = min(best, time.process_time() - began)
    assert best < 0.5
