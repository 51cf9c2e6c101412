"""The short twins of `earloop bench grammar` and `earloop bench hotwords`: little of everything, on made-up sound."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stt_server.commands.bench.grammar import measure, table
from stt_server.commands.bench.home import HOME, sentences
from stt_server.commands.bench.hotwords import _false, _row
from stt_server.commands.bench.hotwords import table as hotword_table
from stt_server.commands.bench.quality import grammar, hotwords
from stt_server.commands.bench.rare import CARRIERS, RARE
from stt_server.commands.bench.spoken import draw_sentences, hear_sentences
from stt_server.corpus.posteriors import Posteriors
from stt_server.errors import BadInput, NotFound
from stt_server.speech.recognizer import Recognizer
from tests.speech.decoder.posteriors import native, write_arpa, written
from training.lm import estimate
from training.lm import write_arpa as write_lm

OTHERS = ("i would like some tea with milk", "the best of times and the worst", "nobody has seen the cat since then")


def sound(texts: list[str], hardness: float = 1.2, seed: int = 1) -> list[Posteriors]:
    rng = np.random.default_rng(seed)
    return [Posteriors(text, (written(text, rng, hardness),)) for text in texts]


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    return Recognizer.load(tiny_bundle, decoder="native")


def test_the_home_has_two_hundred_commands_and_open_grammars_no_end_of_them() -> None:
    said = sentences(HOME)
    assert len(said) == 200
    assert {"turn off the lamp in the living room", "what time is it"} <= {*said}
    assert sentences(["(a | b) [c]"]) == ["a c", "a", "b c", "b"]
    with pytest.raises(BadInput, match="no end of sentences"):
        sentences(["play [unk]"])


def test_commands_are_heard_and_other_speech_is_rejected_where_the_grammar_has_unk(recognizer: Recognizer) -> None:
    kinds = {"commands": sound(sentences(HOME)[::20]), "other speech": sound(list(OTHERS))}
    rows = {(row.grammar, row.spoken): row for row in measure(recognizer, "home", HOME, kinds)}
    commands, others = rows["home, [unk]", "commands"], rows["home, [unk]", "other speech"]
    assert commands.exact >= 0.9 * commands.utterances == 9
    assert (others.rejected, others.exact) == (3, 0)
    assert all(row.another + row.exact + row.rejected == row.utterances for row in rows.values())
    assert len(table(list(rows.values()))) == 5


def test_hotwords_are_found_and_counted_where_nobody_said_them(tmp_path: Path) -> None:
    """`kestrel` is no word of the language model; a hotword that sounds like what was said is heard falsely."""
    decoder = native(write_arpa(tmp_path))
    spoken = [("kestrel", each) for each in sound(["turn the kestrel on"] * 4, 2.0)]
    others = sound(["turn on the light"] * 3)
    without = _row(decoder, "none", 0.0, lambda word: (), (), spoken, others)
    given = _row(decoder, "its own", 8.0, lambda word: (word,), None, spoken, others)
    wrong = _row(decoder, "lights", 20.0, lambda word: ("lights",), ("lights",), spoken, others)
    assert (without.others, without.false) == (3, 0)
    assert without.found <= given.found
    assert (given.found, given.others) == (4, 0)
    assert wrong.other_errors >= without.other_errors
    assert _false("the light", "the lights lights", {"lights"}) == 2
    assert _false("the lights", "the lights", {"lights"}) == 0
    assert len(hotword_table([without, given, wrong])) == 5


def test_rare_words_are_words_of_letters_and_stand_in_every_carrier() -> None:
    assert len({*RARE}) == len(RARE) >= 60
    assert all(word.isalpha() and word.islower() for word in RARE)
    assert all(carrier.count("{}") == 1 for carrier in CARRIERS)


def test_sentences_are_drawn_without_words_and_too_few_are_refused(tmp_path: Path) -> None:
    said = ["turn on the light now", "turn off the fan please", "see the gazebo there"]
    write_lm(estimate(said, 2), tmp_path / "a.arpa")
    drawn = draw_sentences(tmp_path / "a.arpa", 4, 1, ("gazebo",))
    assert len({*drawn}) == 4
    assert not any("gazebo" in sentence for sentence in drawn)
    assert drawn == draw_sentences(tmp_path / "a.arpa", 4, 1, ("gazebo",))
    write_lm(estimate(["go go go", "go go go go"], 2), tmp_path / "b.arpa")
    with pytest.raises(BadInput, match="hardly 7 different sentences"):
        draw_sentences(tmp_path / "b.arpa", 7, 1)  # of three to eight words


def test_what_was_spoken_and_heard_is_kept(recognizer: Recognizer, tmp_path: Path) -> None:
    told: list[str] = []
    heard = hear_sentences(recognizer, ["stop light", "yes no"], tmp_path, 7, told.append)
    assert [each.said for each in heard] == ["stop light", "yes no"]
    assert all(len(rows) > 5 for each in heard for rows in each.utterances)
    assert told == ["2 of 2 sentences spoken", "2 of 2 sentences heard"]
    again = hear_sentences(recognizer, ["stop light", "yes no"], tmp_path, 7, told.append)
    assert len(told) == 2
    for one, two in zip(heard, again, strict=True):
        assert all((a == b).all() for a, b in zip(one.utterances, two.utterances, strict=True))


@pytest.mark.parametrize("command", [grammar, hotwords])
def test_figures_that_could_not_be_written_are_refused_before_anything_is_spoken(
    command: Callable[..., None], tmp_path: Path
) -> None:
    with pytest.raises(NotFound, match="make it first"):
        command(model="no-bundle", file=tmp_path / "gone" / "figures.json")
