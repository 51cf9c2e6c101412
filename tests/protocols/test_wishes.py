import math

import pytest

from stt_server.errors import BadOption
from stt_server.messages import Grammar
from stt_server.protocols import options, vosk


def test_hotwords_have_boosts_where_they_say_so():
    asked = options.from_message({"hotwords": ["ear", {"phrase": "Kathmandu", "boost": 9}, {"phrase": "loop"}]})
    assert asked.hotwords == ("ear", "Kathmandu", "loop")
    assert asked.boosts == (("Kathmandu", 9.0),)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("ear", "hotwords"),
        ([1], "hotwords[0]"),
        (["a", {"phrase": 2}], "hotwords[1]"),
        ([{"phrase": "a", "weight": 2}], "hotwords[0]"),
        ([{"phrase": "a", "boost": "high"}], "hotwords[0].boost"),
        ([{"phrase": "a", "boost": True}], "hotwords[0].boost"),
        ([{"phrase": "a", "boost": math.inf}], "hotwords[0].boost"),
        ([{"phrase": "a", "boost": math.nan}], "hotwords[0].boost"),
        ([{"phrase": "a", "boost": 10**400}], "hotwords[0].boost"),
        (["a"] * 1001, "hotwords"),
    ],
)
def test_a_wrong_hotword_is_named_by_its_place(wrong, field):
    with pytest.raises(BadOption) as caught:
        options.from_message({"hotwords": wrong})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("turn on\n[unk]", Grammar(("turn on", "[unk]"))),
        (["turn on", "[unk]"], Grammar(("turn on", "[unk]"))),
        ({"lines": "stop", "literal": True, "repeats": True}, Grammar(("stop",), literal=True, repeats=True)),
        (None, None),
    ],
)
def test_a_grammar_is_text_or_lines_or_an_object(said, meant):
    assert options.from_message({"grammar": said}).grammar == meant


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (7, "grammar"),
        ([7], "grammar"),
        ({}, "grammar"),
        ({"lines": ["a"], "repeat": True}, "grammar"),
        ({"lines": ["a"], "literal": 1}, "grammar.literal"),
    ],
)
def test_a_grammar_of_a_wrong_form_is_named(wrong, field):
    with pytest.raises(BadOption) as caught:
        options.from_message({"grammar": wrong})
    assert caught.value.field == field


def test_a_query_repeats_the_lines_of_a_grammar():
    asked = options.from_query([("grammar", "turn on"), ("grammar", "[unk]"), ("beam", "20"), ("lm", "home")])
    assert (asked.grammar, asked.beam, asked.lm) == (Grammar(("turn on", "[unk]")), 20, "home")


@pytest.mark.parametrize("wrong", [{"beam": "20"}, {"beam": True}, {"lm": 3}])
def test_beam_and_language_model_have_their_types(wrong):
    with pytest.raises(BadOption) as caught:
        options.from_message(wrong)
    assert caught.value.field == next(iter(wrong))


def test_a_phrase_list_is_a_closed_grammar_as_with_vosk():
    config = vosk.merged(vosk.VoskConfig(), {"phrase_list": ["turn on (now)", "[unk]"]})
    assert config.grammar == Grammar(("turn on (now)", "[unk]"), literal=True, repeats=True)
    assert vosk.merged(config, {"phrase_list": []}).grammar is None


@pytest.mark.parametrize("wrong", ["turn on", [1], {"a": 1}, 5])
def test_a_phrase_list_that_is_none_is_named(wrong):
    with pytest.raises(BadOption) as caught:
        vosk.merged(vosk.VoskConfig(), {"phrase_list": wrong})
    assert caught.value.field == "config.phrase_list"
