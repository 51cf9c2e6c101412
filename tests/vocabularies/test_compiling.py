"""From a document to hotwords and grammars, and what is told of names that cannot be heard."""

import json

import pytest
from pydantic import ValidationError

from stt_server.errors import BadInput
from stt_server.messages import Grammar
from stt_server.speech.decoder.hotwords import DEFAULT_BOOST, MAX_HOTWORDS
from stt_server.vocabularies.compiling import compiled
from stt_server.vocabularies.definition import Definition, read_definition
from stt_server.vocabularies.judging import judged
from tests.engine.toy import Toy

ROOMS = ["kitchen", {"name": "Zoë's room", "spoken": ["zoes den"], "boost": 6}]


def defined(**given):
    return Definition.model_validate(given)


def kinds(problems):
    return [each.kind for each in problems]


def test_names_and_spoken_forms_become_hotwords_with_their_boosts():
    made = compiled(defined(entities={"room": ROOMS, "person": ["Anneliese"]}))
    assert made.hotwords == ("kitchen", "zoe's room", "zoes den", "anneliese")
    assert made.boosts == (("zoe's room", 6), ("zoes den", 6))
    assert (made.grammar, made.problems) == (None, ())


def test_a_boost_for_all_is_that_of_names_without_one():
    made = compiled(defined(entities={"room": ROOMS}, boost=5))
    assert dict(made.boosts) == {"kitchen": 5, "zoe's room": 6, "zoes den": 6}


def test_a_name_that_is_there_twice_has_the_higher_boost():
    given = {"room": [{"name": "den", "boost": 2}], "person": [{"name": "Den", "boost": 7}]}
    assert compiled(defined(entities=given)).boosts == (("den", 7),)
    assert compiled(defined(entities={"room": ["den", {"name": "den"}]})).hotwords == ("den",)


def test_sentences_become_a_grammar_with_the_lists_that_rejects_other_speech():
    said = ["turn (on | off) [the] {device} [in {room}]"]
    made = compiled(defined(mode="grammar", entities={"room": ROOMS, "device": ["lamp"]}, sentences=said))
    lists = ("{room} = kitchen | zoe's room | zoes den", "{device} = lamp")
    assert made.grammar == Grammar((*said, *lists, "[unk]"))
    assert made.hotwords == ("zoe's room", "zoes den"), "only what has a boost of its own"
    closed = compiled(defined(mode="grammar", entities={"device": ["lamp"]}, sentences=["{device}"], reject=False))
    assert closed.grammar == Grammar(("{device}", "{device} = lamp"))
    assert closed.hotwords == ()


def test_a_name_that_cannot_be_spelled_is_told_and_the_others_are_heard():
    made = compiled(
        defined(entities={"room": ["卧室", "kitchen", "!!", {"name": "厨房", "spoken": ["chu fang", "厨"]}]})
    )
    assert made.hotwords == ("kitchen", "chu fang")
    told = [each.told() for each in made.problems]
    assert [(each["kind"], each["list"], each["name"], each["text"]) for each in told] == [
        ("cannot_spell", "room", "卧室", "卧室"),
        ("no_words", "room", "!!", "!!"),
        ("cannot_spell", "room", "厨房", "厨"),  # the name itself is said otherwise
    ]
    assert told[0]["letters"] == "卧室"
    assert "spoken" in told[0]["message"]


def test_sentences_of_hotwords_are_checked_and_told_to_be_unused():
    made = compiled(defined(entities={"room": ["den"]}, sentences=["clean [the] {room}"]))
    assert (made.hotwords, made.grammar, kinds(made.problems)) == (("den",), None, ["not_used"])
    with pytest.raises(BadInput, match="line 1, column 7"):
        compiled(defined(entities={"room": ["den"]}, sentences=["clean [the {room}"]))


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({}, "entities", "no name that can be heard"),
        ({"entities": {"room": ["卧室"]}}, "entities", "no name that can be heard"),
        ({"mode": "grammar", "entities": {"room": ["den"]}}, "sentences", "needs sentences"),
        (
            {"mode": "grammar", "entities": {"room": ["卧室"]}, "sentences": ["go {room}"]},
            "entities.room",
            "{room} has no name",
        ),
        ({"mode": "grammar", "entities": {"room": ["den"]}, "sentences": ["a", "go {rom}"]}, "sentences", "line 2"),
        ({"mode": "grammar", "sentences": ["go (left | right"]}, "sentences", "never closed"),
        (
            {"mode": "grammar", "entities": {"room": ["a"]}, "sentences": ["{room}", "{room} = b"]},
            "sentences",
            "already",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(given, field, said):
    with pytest.raises(BadInput) as caught:
        compiled(defined(**given))
    assert caught.value.field == field
    assert said in caught.value.message


def test_more_hotwords_than_a_stream_takes_are_refused_and_so_are_too_many_letters():
    names = [chr(97 + i // 676) + chr(97 + i // 26 % 26) + chr(97 + i % 26) for i in range(MAX_HOTWORDS + 1)]
    with pytest.raises(BadInput, match="1001 hotwords"):
        compiled(defined(entities={"a": names}))
    with pytest.raises(BadInput, match="letters"):
        compiled(defined(entities={"a": [f"{name} {'z' * 150}" for name in names[:200]]}))
    assert compiled(defined(mode="grammar", entities={"a": names}, sentences=["{a}"])).grammar


@pytest.mark.parametrize(
    "given",
    [
        {"mode": "words"},
        {"entities": {"{": ["a"]}},
        {"entities": {"a": [""]}},
        {"entities": {"a": [{"name": "b", "boost": 0}]}},
        {"entities": {"a": [{"name": "b", "boost": 99}]}},
        {"entities": {"a": [{"name": "b", "weight": 1}]}},
        {"entities": {"a": ["x" * 201]}},
        {"entities": {"a": ["x\x00"]}},
        {"entities": [["a"]]},
        {"boost": float("nan")},
        {"intents": {}},
    ],
)
def test_a_document_of_another_form_is_refused(given):
    with pytest.raises(ValidationError):
        defined(**given)


def test_a_document_is_kept_as_it_was_said():
    given = {"mode": "grammar", "entities": {"room": [{"name": "den", "boost": 6}]}, "sentences": ["go {room}"]}
    body = Definition.model_validate_json(json.dumps(given)).body()
    assert body == given
    assert Definition.model_validate(body) == defined(**given)
    assert defined(entities={"room": ["den"]}).body() == {"mode": "hotwords", "entities": {"room": [{"name": "den"}]}}


def test_a_file_that_is_no_vocabulary_is_refused_with_the_field(tmp_path):
    file = tmp_path / "home.json"
    for text, field in (("[", ""), ('{"entities": {"room": [3]}}', "entities.room.0"), ('{"mode": 1}', "mode")):
        file.write_text(text)
        with pytest.raises(BadInput) as caught:
            read_definition(file)
        assert caught.value.field == field
    with pytest.raises(BadInput, match="cannot be read"):
        read_definition(tmp_path / "none.json")


class Simple(Toy):
    """Knows two words, has no q, and may lack a search."""

    letters = frozenset("abcdefghijklmnoprstuvwxyz' ")

    def __init__(self, takes=frozenset({"hotwords", "boosts", "grammar", "beam"})):
        super().__init__()
        self.takes = takes

    def unknown(self, words):
        return [word for word in words if word not in {"the", "lamp"}]


def test_words_that_a_model_does_not_know_or_spell_are_told_with_the_name_that_has_them():
    made = compiled(defined(entities={"device": ["the lamp", "Anneliese lamp"], "room": ["aquarium"]}))
    told = {(each.kind, each.list, each.name, each.text) for each in judged(made, Simple())}
    assert told == {
        ("cannot_spell", "room", "aquarium", "aquarium"),
        ("unknown_word", "device", "Anneliese lamp", "anneliese"),
        ("unknown_word", "room", "aquarium", "aquarium"),
    }


def test_a_decoder_that_takes_no_vocabulary_is_told_first():
    made = compiled(defined(entities={"device": ["lamp", {"name": "the", "boost": 5}]}))
    assert kinds(judged(made, Simple(frozenset()))) == ["no_search"]
    assert "no hotwords and no boosts" in judged(made, Simple(frozenset()))[0].message
    assert "no boosts" in judged(made, Simple(frozenset({"hotwords"})))[0].message
    assert judged(made, Simple()) == ()
    assert DEFAULT_BOOST not in dict(made.boosts).values()
