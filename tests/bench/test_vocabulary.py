"""The household that `earloop bench vocabulary` speaks of, and how what was heard of it is counted."""

from stt_server.commands.bench.household import COMMANDS, NAMES, OTHERWISE, household, sentences
from stt_server.commands.bench.vocabulary import EVERY_NAME, _said, ways
from stt_server.speech.decoder.grammar_words import build_words
from stt_server.speech.decoder.notation import parse
from stt_server.speech.text import normalize
from stt_server.vocabularies.compiling import compiled


def test_every_name_is_in_as_many_sentences_as_are_asked_for_and_the_same_seed_says_the_same():
    for templates in (COMMANDS, OTHERWISE):
        drawn = sentences(templates, 2, 1)
        assert drawn == sentences(templates, 2, 1)
        assert len(drawn) == 2 * len(EVERY_NAME)
        for number, name in enumerate(EVERY_NAME):
            assert all(name in _said(text) for text in drawn[2 * number : 2 * number + 2]), name


def test_commands_are_sentences_of_the_templates_and_the_others_are_none():
    grammar = compiled(household(mode="grammar")).grammar
    assert grammar is not None
    words = build_words(parse(grammar.lines))
    for text in sentences(COMMANDS, 1, 1):
        assert all(label != "[unk]" for _, _, label in words.label(text.split())), text
    for text in sentences(OTHERWISE, 1, 1):
        assert [label for _, _, label in words.label(text.split())] == ["[unk]"], text


def test_at_least_sixty_names_are_spelled_as_transcripts_are_and_compiled_without_a_problem():
    assert len(set(EVERY_NAME)) == len(EVERY_NAME) == sum(map(len, NAMES.values())) >= 60
    assert [normalize(name) for name in EVERY_NAME] == list(EVERY_NAME)
    assert compiled(household(mode="grammar")).problems == ()
    assert next(iter(ways())) == "none"
    assert all(options.hotwords or options.grammar for options in list(ways().values())[1:])


def test_a_name_within_a_longer_one_is_not_counted_as_heard():
    assert _said("clean the guest bedroom and the den and the den") == ["guest bedroom", "den", "den"]
    assert _said("the hidden garden") == []
