"""The share of a mixture that a text asks for."""

import pytest

from stt_server.errors import BadInput
from tests.training.lm.texts import sentences
from training.lm import ArpaModel, estimate, mix, perplexity, tune_share


@pytest.fixture(scope="module")
def commands() -> ArpaModel:
    return estimate(
        [f"turn {what} the {place} light" for what in ("on", "off") for place in "kitchen hall bath".split()]
    )


@pytest.fixture(scope="module")
def babble() -> ArpaModel:
    return estimate(sentences(400, 1), 3)


MIXED = [*sentences(60, 2), *["turn on the kitchen light", "turn off the hall light"] * 10]


def test_no_other_share_makes_the_text_less_surprising(commands: ArpaModel, babble: ArpaModel) -> None:
    share = tune_share(babble, commands, MIXED)
    best = perplexity(mix(babble, commands, share), MIXED).value
    for other in (share / 2, share / 1.3, 1 - (1 - share) / 1.3, 1 - (1 - share) / 2):
        assert perplexity(mix(babble, commands, other), MIXED).value > 0.999 * best


def test_the_share_follows_the_text(commands: ArpaModel, babble: ArpaModel) -> None:
    few = tune_share(babble, commands, MIXED[:62])
    many = tune_share(babble, commands, MIXED[50:])
    assert 0 < few < many / 3 < 1
    assert tune_share(babble, commands, sentences(60, 3)) < 0.01
    assert tune_share(babble, commands, ["turn on the kitchen light"]) > 0.99


def test_words_that_neither_knows_tell_nothing(commands: ArpaModel, babble: ArpaModel) -> None:
    spoiled = [sentence.replace("light", "lantern") for sentence in MIXED]
    assert 0.01 < tune_share(babble, commands, spoiled) < 0.5
    with pytest.raises(BadInput, match="tune the share on other sentences"):
        tune_share(babble, commands, ["", " "])
