"""A grammar in the native search: what is heard of posteriors, against an exact sum over all alignments."""

import itertools

import numpy as np
import pytest

from stt_server.commands.bench.posteriors import LEVELS, Noise, make_up
from stt_server.messages import Grammar
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.decoder.grammar import compile_grammar
from stt_server.speech.decoder.interface import Asked
from stt_server.speech.decoder.library import library_path
from stt_server.speech.decoder.native import NativeDecoder, Search

pytestmark = pytest.mark.skipif(library_path() is None, reason="the native decoder was not built")

ALPHABET = Alphabet(" 'abcdefghijklmnopqrstuvwxyz")
SMALL = Alphabet(" ab")
HOME = (
    "turn (on | off) [the] {device} [in the {room}]",
    "(what is | what's) the time",
    "set [a] timer for {number} minutes",
    "{device} = lamp | [ceiling] light | fan",
    "{room} = kitchen | living room",
    "{number} = 1 | 2 | 5 | 10",
)
SAID = ("turn off the ceiling light in the living room", "set a timer for five minutes", "what is the time")
CLEAR, (CLEAN, MID, NOISY) = Noise("clear", 0.0, 0.0, 0.0, 0.0, 1.0), LEVELS
OTHERS = ("i would like some tea with milk please", "turn on the radio in the garden", "it was the best of times")


@pytest.fixture(scope="module")
def decoder():
    return NativeDecoder(ALPHABET, None, alpha=0.0, beta=0.0, beam=100)


def grammar(lines, alphabet=ALPHABET, **how):
    return compile_grammar(Grammar(tuple(lines), **how), alphabet)


def decode(decoder, made, logprobs, size=5):
    decoding = decoder.prepare(Asked(grammar=made))()
    for start in range(0, len(logprobs), size):
        decoding.step(logprobs[start : start + size])
        decoding.partial()
    return decoding.final()


def uttered(texts, noise, seed=1):
    return [each.logprobs for each in make_up(texts, ALPHABET, noise, 25, seed=seed).utterances]


def texts_of(logprobs):
    """The probability of every text, summed over every way in which the frames can be labelled."""
    texts: dict[str, float] = {}
    for labels in itertools.product(range(logprobs.shape[1]), repeat=len(logprobs)):
        written = [label for label, _ in itertools.groupby(labels) if label]
        text = " ".join(SMALL.decode(written).split())
        texts[text] = texts.get(text, 0.0) + float(np.exp(logprobs[range(len(labels)), labels].sum()))
    return texts


@pytest.mark.parametrize("seed", range(6))
def test_the_likeliest_sentence_is_heard_as_all_alignments_together_say(seed):
    dice = np.random.default_rng(seed)
    scores = dice.normal(0, 1.5, (7, 4))
    logprobs = (scores - np.log(np.exp(scores).sum(1, keepdims=True))).astype(np.float32)
    sentences = ["ab", "b a", "bb", "aba", "a b a"]
    exact = texts_of(logprobs)
    wide = Search(margin=1000.0, least_logprob=-100.0, work=1_000_000)
    search = NativeDecoder(SMALL, None, alpha=0.0, beta=0.0, beam=10_000, search=wide)
    decoding = search.prepare(Asked(grammar=grammar(["(ab | b a | bb | aba | a b a)"], SMALL)))()
    decoding.step(logprobs)
    heard = dict(decoding.scores(10))
    assert decoding.final().text == max(["", *sentences], key=lambda text: exact[text])
    for text in sentences:
        assert heard[text] == pytest.approx(np.log(exact[text]), abs=1e-3)


def test_sentences_are_heard_in_noise_that_hides_letters(decoder):
    made = grammar(HOME)
    heard = [decode(decoder, made, each).text for each in uttered(SAID * 4, MID)]
    assert sum(said == text for said, text in zip(SAID * 4, heard, strict=True)) >= 11


def test_nothing_but_sentences_is_heard(decoder):
    made = grammar(HOME)
    for logprobs in uttered(OTHERS * 4, NOISY):
        text = decode(decoder, made, logprobs).text
        assert made.letters.score(text) == 0.0


def test_other_speech_is_rejected_and_sentences_are_not(decoder):
    made = grammar([*HOME, "[unk]"])
    assert [decode(decoder, made, each).text for each in uttered(OTHERS * 2, CLEAN)] == ["[unk]"] * 6
    assert (
        sum(decode(decoder, made, each).text == said for each, said in zip(uttered(SAID, CLEAN), SAID, strict=True))
        >= 2
    )


def test_words_around_repeated_phrases_become_unknown(decoder):
    made = grammar(["lights on", "stop", "[unk]"], literal=True, repeats=True)
    (logprobs,) = uttered(["stop oh my dear goodness lights on"], CLEAR)
    assert decode(decoder, made, logprobs).text == "stop [unk] lights on"


def test_words_of_any_kind_stand_where_a_sentence_has_unk(decoder):
    made = grammar(["play [unk] in the kitchen", "stop"])
    (logprobs,) = uttered(["play some quiet music in the kitchen"], CLEAR)
    words = decode(decoder, made, logprobs).words
    assert [word.text for word in words] == ["play", "[unk]", "in", "the", "kitchen"]
    assert all(one.end <= two.start for one, two in itertools.pairwise(words))
    assert all(0 <= word.confidence <= 1 for word in words)


def test_how_the_frames_were_cut_changes_nothing(decoder):
    made = grammar([*HOME, "[unk]"])
    for logprobs in uttered([*SAID, *OTHERS], MID):
        assert decode(decoder, made, logprobs, 1) == decode(decoder, made, logprobs, 1000)


@pytest.mark.parametrize("lines", [HOME, (*HOME, "[unk]")], ids=["closed", "unk"])
def test_what_is_settled_stays_unless_the_whole_was_no_sentence(decoder, lines):
    made = grammar(lines)
    for logprobs in uttered([*SAID, *OTHERS, "turn off the"], NOISY):
        decoding, settled = decoder.prepare(Asked(grammar=made))(), ""
        for row in range(0, len(logprobs), 4):
            decoding.step(logprobs[row : row + 4])
            partial = decoding.partial()
            assert partial.text.startswith(settled)
            settled = partial.text[: partial.stable]
        final = decoding.final().text
        assert final.startswith(settled.rstrip()) or final in ("", "[unk]")


def test_a_grammar_touches_no_other_stream(decoder):
    closed, free = grammar(["stop", "go"]), Asked()
    logprobs = uttered([SAID[0]], CLEAN)[0]
    alone = decoder.prepare(free)()
    alone.step(logprobs)
    beside, other = decoder.prepare(free)(), decoder.prepare(Asked(grammar=closed))()
    for row in range(0, len(logprobs), 5):
        for each in (beside, other):
            each.step(logprobs[row : row + 5])
    assert beside.final() == alone.final()
    assert other.final().text in ("", "stop", "go")


def test_silence_is_no_sentence(decoder):
    silence = np.full((50, len(ALPHABET)), -12.0, np.float32)
    silence[:, 0] = -0.001
    for lines in (HOME, [*HOME, "[unk]"]):
        assert decode(decoder, grammar(lines), silence).text == ""
