"""Rates are those of what was said and heard, whole, in groups, and with the language model against without."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.report.heard import clip, evaluations
from tests.voices import pink_noise, say, silence
from training.report.differences import Difference, confusions, differences
from training.report.figures import Ears, by_group, by_source, lm_effect, measured, of_the_test
from training.report.groups import Sorting, estimated_ratio

LIGHT, STOP = clip("a", "light on", speaker="anna"), clip("b", "stop", speaker="bo", seconds=3.0)
KIT, QUIET = clip("k", "yes", "kit-clean"), clip("q", "", "kit-quiet")
PLAY = clip("c", "play", "theirs", seconds=9.0)


def ears() -> Ears:
    return Ears(
        evaluations(
            (LIGHT, "light of", "light on"),
            (STOP, "stop", "stop it now"),
            (PLAY, "", "play"),
            (KIT, "no", "no"),
            (QUIET, "a", ""),
        )
    )


def test_the_test_is_measured_without_the_kit_and_without_silence() -> None:
    found = measured(ears())
    assert found.measured_on == "test"
    assert found.greedy
    assert found.lm
    assert (found.greedy.utterances, found.greedy.words) == (3, 4)
    assert found.greedy.wer.value == pytest.approx(2 / 4)
    assert found.lm.wer.value == pytest.approx(2 / 4)
    assert found.greedy.exact.value == pytest.approx(1 / 3)
    assert found.greedy.sentence_error.value == pytest.approx(2 / 3)
    for rate in (found.greedy.wer, found.greedy.cer, found.greedy.exact, found.greedy.sentence_error):
        assert rate.low <= rate.value <= rate.high


def test_the_kit_stands_in_where_there_is_no_test_and_nothing_is_said_to_be_nothing() -> None:
    assert measured(Ears(evaluations((KIT, "no", "yes")))).measured_on == "kit"
    nothing = measured(Ears([]))
    assert (nothing.measured_on, nothing.greedy, nothing.lm) == ("nothing", None, None)


def test_a_word_error_rate_is_not_clamped() -> None:
    found = measured(Ears(evaluations((STOP, "stop it now please", "s top it now"))))
    assert found.greedy
    assert found.lm
    assert found.greedy.wer.value == 3
    assert found.lm.wer.value == 4


def test_every_source_has_its_rates_with_both_decoders() -> None:
    sources = {each.name: each for each in by_source(ears())}
    assert list(sources) == ["mine", "theirs", "kit-clean"]
    theirs = sources["theirs"]
    assert theirs.greedy
    assert theirs.lm
    assert (theirs.greedy.wer.value, theirs.lm.wer.value) == (1, 0)


def test_utterances_are_grouped_by_speaker_length_and_what_was_learned() -> None:
    learned = [clip("t", "stop", speaker="anna"), clip("u", "other", speaker="carl")]
    seconds = {each.path: each.duration_s or 0.0 for each in (LIGHT, STOP, PLAY)}
    sorting = Sorting(learned, seconds, {LIGHT.path: 5.0, STOP.path: 45.0})
    groups = [(each.by, each.name, each.greedy.utterances) for each in by_group(ears(), sorting) if each.greedy]
    assert groups == [
        ("speakers", "learned speakers", 1),
        ("speakers", "new speakers", 1),
        ("speakers", "speakers not named", 1),
        ("sentences", "learned sentences", 1),
        ("sentences", "new sentences", 2),
        ("duration", "1 to 2 s", 1),
        ("duration", "2 to 4 s", 1),
        ("duration", "8 s and more", 1),
        ("words", "1 word", 2),
        ("words", "2 or 3 words", 1),
        ("noise", "under 10 dB", 1),
        ("noise", "40 dB and more", 1),
        ("speaker", "mine anna", 1),
        ("speaker", "mine bo", 1),
    ]


def test_without_training_clips_nobody_is_called_new() -> None:
    groups = {each.by for each in by_group(ears(), Sorting([], {}, {}))}
    assert groups == {"words", "speaker"}


@pytest.mark.parametrize(("noise_db", "low", "high"), [(-70, 35, 90), (-40, 15, 30), (-30, 5, 20)])
def test_the_estimated_ratio_falls_with_the_noise(noise_db: float, low: float, high: float) -> None:
    speech = np.concatenate([silence(0.4), 0.5 * say("seven lights on"), silence(0.4)])
    assert low < estimated_ratio(speech + pink_noise(10, noise_db)[: len(speech)]) < high


def test_what_the_language_model_repairs_and_breaks_is_counted_and_paired() -> None:
    effect = lm_effect(ears())
    assert effect
    assert (effect.repaired, effect.broken) == (2, 1)
    assert effect.wer_change.value == 0
    assert effect.wer_change.low < 0 < effect.wer_change.high
    assert lm_effect(Ears(evaluations((LIGHT, "a", "b"))[:1])) is None


def test_the_change_is_told_by_utterance_so_that_the_same_hearing_changes_nothing_for_sure() -> None:
    same = lm_effect(Ears(evaluations((LIGHT, "light", "light"), (STOP, "top", "top"))))
    assert same
    assert (same.wer_change.low, same.wer_change.value, same.wer_change.high) == (0, 0, 0)


def test_differences_are_aligned_word_by_word() -> None:
    assert differences("turn the light on", "turn light off please") == [
        Difference("right", "turn", "turn"),
        Difference("deleted", "the", ""),
        Difference("right", "light", "light"),
        Difference("substituted", "on", "off"),
        Difference("inserted", "", "please"),
    ]


def test_confusions_are_counted_the_most_frequent_first() -> None:
    found = confusions(of_the_test(ears().greedy) + of_the_test(ears().greedy), most=2)
    assert [(each.said, each.heard, each.count) for each in found] == [("on", "of", 2), ("play", "", 2)]


def test_paths_are_kept_apart_by_folder() -> None:
    one, other = Path("a/1.wav"), Path("b/1.wav")
    sorting = Sorting([], {one: 0.5, other: 9.0}, {})
    names = [sorting.group("duration", clip(str(path.with_suffix("")), "x")) for path in (one, other)]
    assert names == ["under 1 s", "8 s and more"]
