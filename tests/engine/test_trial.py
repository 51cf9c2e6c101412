import random

import pytest

from stt_server.engine.disagreement import disagreement
from stt_server.engine.trial import LEAST_STREAMS, LEAST_UTTERANCES, Tally, judge
from stt_server.errors import Internal, TimedOut
from stt_server.messages import Failed, Final, Finished, Word
from stt_server.store.shadow_days import Figures


def final(text: str = "la", confidence: float = 0.9, start_s: float = 0.0) -> Final:
    words = tuple(
        Word(word, start_s + 0.3 * number, start_s + 0.3 * number + 0.2, confidence)
        for number, word in enumerate(text.split())
    )
    return Final(0, text, words, start_s, words[-1].end_s if words else start_s + 0.5, "silence")


def tally(*events) -> Tally:
    made = Tally()
    for event in events:
        made.said(event)
    return made


GOOD = tally(*[final()] * LEAST_UTTERANCES, *[Finished(1.0, "toy")] * LEAST_STREAMS)


def test_a_canary_as_good_as_the_live_model_stays():
    assert judge(GOOD, GOOD) is None


def test_streams_that_fail_by_our_own_fault_condemn_it_and_a_clients_fault_does_not():
    ours = tally(*[Failed(Internal("no"))] * LEAST_STREAMS)
    theirs = tally(*[Failed(TimedOut("slow"))] * LEAST_STREAMS)
    assert judge(ours, GOOD) == f"{LEAST_STREAMS} of {LEAST_STREAMS} streams failed, live 0 of {LEAST_STREAMS}"
    assert judge(theirs, GOOD) is None


def test_empty_finals_condemn_it():
    empty = tally(*[final("")] * LEAST_UTTERANCES)
    assert "finals were empty" in str(judge(empty, GOOD))
    assert judge(GOOD, empty) is None


def test_a_low_mean_confidence_condemns_it():
    unsure = tally(*[final(confidence=0.5 + 0.01 * (number % 3)) for number in range(LEAST_UTTERANCES)])
    assert "mean confidence" in str(judge(unsure, GOOD))
    assert judge(GOOD, unsure) is None


@pytest.mark.parametrize("kind", [final(""), final(confidence=0.1)])
def test_it_is_not_judged_before_there_is_enough(kind):
    assert judge(tally(*[kind] * (LEAST_UTTERANCES - 1)), GOOD) is None
    assert judge(tally(*[Failed(Internal("no"))] * (LEAST_STREAMS - 1)), GOOD) is None


def test_looked_at_after_every_final_an_equal_canary_is_hardly_ever_condemned():
    """40 trials of 1,000 finals each, every one looked at: the bound is for that, not for a single look."""
    dice = random.Random(6)
    condemned = 0
    for _ in range(40):
        canary, live, verdict = Tally(), Tally(), None
        while verdict is None and canary.utterances < 1000:
            for each in (canary, live):
                heard = "" if dice.random() < 0.1 else "la"
                each.said(final(heard, min(1.0, dice.gauss(0.85, 0.1))))
            verdict = judge(canary, live)
        condemned += verdict is not None
    assert condemned <= 1


def test_the_same_words_cut_elsewhere_are_no_disagreement():
    live = [final("turn on", start_s=1.0), final("the light", start_s=4.0)]
    shadow = [Final(0, "turn on the light", (*live[0].words, *live[1].words), 1.0, 4.5, "flush")]
    assert disagreement(live, shadow) == Figures(utterances=2, differing=0, words=4, edits=0)


def test_other_words_missing_ones_and_words_out_of_nothing_are_counted():
    live = [final("turn on", start_s=1.0), final("the light", start_s=4.0), final("", start_s=8.0)]
    shadow = [final("turn off", start_s=1.0), final("the", start_s=4.0)]
    assert disagreement(live, shadow) == Figures(utterances=2, differing=2, words=4, edits=2)
    assert disagreement([final("")], [final("hello", start_s=0.1)]) == Figures(1, 1, 0, 1)
    assert disagreement([final("")], [final("")]) == disagreement([], []) == Figures()
