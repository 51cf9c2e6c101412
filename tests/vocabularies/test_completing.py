"""What a request says and what its vocabulary has, put together."""

import pytest

from stt_server.errors import BadOption
from stt_server.messages import Grammar, Open
from stt_server.speech.decoder.hotwords import MAX_HOTWORDS
from stt_server.vocabularies.calling import Caller, of_port
from stt_server.vocabularies.compiling import Compiled
from stt_server.vocabularies.completing import with_default, with_named

ALL = frozenset({"hotwords", "boosts", "grammar", "beam"})
LIGHTS = Grammar(("lights (on | off)", "[unk]"))
OWN = Grammar(("stop",))
ROOMS = Compiled(("den", "attic"), (("attic", 6.0),))
HOME = Compiled(("den",), (("den", 5.0),), LIGHTS)


def test_a_vocabulary_that_is_named_joins_what_the_request_says():
    asked = with_named(Open("test", hotwords=("cellar", "den"), boosts=(("cellar", 2.0),)), ROOMS, "home")
    assert asked.hotwords == ("cellar", "den", "attic")
    assert asked.boosts == (("cellar", 2.0), ("attic", 6.0))
    assert with_named(Open("test", grammar=OWN), ROOMS, "home").grammar == OWN


def test_a_requests_own_boost_goes_first_also_where_it_is_the_usual_one():
    assert with_named(Open("test", hotwords=("attic",)), ROOMS, "home").boosts == ()
    said = Open("test", hotwords=("attic",), boosts=(("attic", 2.0),))
    assert with_named(said, ROOMS, "home").boosts == (("attic", 2.0),)
    assert with_default(said, ROOMS, ALL).boosts == (("attic", 2.0),)


def test_two_grammars_are_refused_by_the_name_of_the_vocabulary():
    with pytest.raises(BadOption, match="'home' is a grammar") as caught:
        with_named(Open("test", grammar=OWN), HOME, "home")
    assert caught.value.field == "vocabulary"
    assert with_named(Open("test"), HOME, "home").grammar == LIGHTS


def test_a_requests_own_grammar_goes_before_that_of_a_default():
    asked = with_default(Open("test", grammar=OWN), HOME, ALL)
    assert (asked.grammar, asked.hints) == (OWN, ("den",))
    assert with_default(Open("test"), HOME, ALL).grammar == LIGHTS


def test_a_default_changes_nothing_that_the_decoder_cannot_do():
    assert with_default(Open("test"), HOME, frozenset()) == Open("test")
    assert with_default(Open("test"), HOME, {"hotwords"}) == Open("test", hints=("den",))
    greedy = Open("test", decoder="greedy")
    assert with_default(greedy, HOME, ALL) == greedy


def test_a_default_takes_no_more_room_than_the_request_leaves():
    own = tuple(f"w{'a' * (i % 5)}{'b' * (i // 5 % 7)}{i}" for i in range(MAX_HOTWORDS - 1))
    assert with_default(Open("test", hotwords=own), ROOMS, ALL).hints == ("den",)
    long = ("x" * 19_998,)
    assert with_default(Open("test", hotwords=long), ROOMS, ALL).hints == ()
    assert with_default(Open("test", hotwords=("den",)), ROOMS, ALL).hints == ("attic",)
    assert with_default(Open("test", hotwords=(*own[1:], "den")), ROOMS, ALL).hints == ("attic",)


def test_a_port_without_keys_names_a_shared_vocabulary_or_that_of_a_key():
    assert of_port("") == Caller()
    assert of_port("home") == Caller("", "home")
    assert of_port("0123456789abcdef/home") == Caller("0123456789abcdef", "home")
    for wrong in ("none", "a b", "key/"):
        with pytest.raises(BadOption):
            of_port(wrong)
