"""Parts by hash: filled, apart in what the rule says, near their shares, and never moved by what comes later."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_server.corpus.clip import Clip
from stt_server.corpus.splits import Rule, Splitting, holds_for, part_of, split_clips
from tests.corpus.recordings import clip

RULES = [Rule.SPEAKER_AND_SENTENCE, Rule.SPEAKER, Rule.SENTENCE, Rule.TAKE]


def grid(speakers: int, sentences: int, takes: int = 1) -> list[Clip]:
    """Everybody says everything."""
    return [
        clip(f"{who}-{what}-{take}.wav", f"say {chr(97 + what % 26)} {chr(97 + what // 26)}", f"s{who}")
        for who in range(speakers)
        for what in range(sentences)
        for take in range(takes)
    ]


def readers(speakers: int, sentences: int) -> list[Clip]:
    """Everybody reads a text of their own."""
    return [
        replace(each, text=f"{each.text} by {'x' * int(str(each.speaker)[1:])}") for each in grid(speakers, sentences)
    ]


def parts(splitting: Splitting) -> dict[str, str | None]:
    return {each.path.name: each.split for each in splitting.clips}


def apart(clips: Iterable[Clip], label: str) -> bool:
    found: dict[str, str | None] = {}
    return all(found.setdefault(getattr(each, label), each.split) == each.split for each in clips)


def test_readers_of_their_own_texts_are_split_by_speaker_and_sentence() -> None:
    splitting = split_clips(readers(40, 10))
    assert (splitting.rule, splitting.left_out) == (Rule.SPEAKER_AND_SENTENCE, [])
    assert apart(splitting.clips, "speaker")
    assert apart(splitting.clips, "text")
    assert splitting.holds_for == "The result holds for new speakers and new sentences."


def test_a_few_sentences_that_two_people_read_are_kept_in_one_part() -> None:
    shared = [clip(f"shared-{n}.wav", "the proof is in the pudding", f"s{n}") for n in range(10)]
    splitting = split_clips([*readers(40, 10), *shared])
    assert splitting.rule is Rule.SPEAKER_AND_SENTENCE
    assert 0 < len(splitting.left_out) < 10
    assert set(splitting.left_out) < set(shared)
    assert apart(splitting.clips, "text")


def test_many_voices_saying_the_same_commands_are_split_by_speaker() -> None:
    splitting = split_clips(grid(40, 4))
    assert (splitting.rule, len(splitting.clips)) == (Rule.SPEAKER, 160)
    assert apart(splitting.clips, "speaker")
    assert splitting.holds_for == "The result holds for new speakers and the same sentences."


def test_one_voice_reading_much_is_split_by_sentence() -> None:
    splitting = split_clips(grid(1, 300, 2))
    assert splitting.rule is Rule.SENTENCE
    assert apart(splitting.clips, "text")
    assert splitting.holds_for == "The result holds for the same speakers and new sentences."


@pytest.mark.parametrize("clips", [grid(1, 1, 50), grid(2, 4, 20)])
def test_fifty_takes_of_one_sentence_and_a_list_of_commands_are_split_by_take(clips: list[Clip]) -> None:
    splitting = split_clips(clips)
    assert splitting.rule is Rule.TAKE
    assert set(Counter(each.split for each in splitting.clips)) == {"train", "dev", "test"}
    assert splitting.holds_for == "The result holds only for new takes of the same speakers saying the same sentences."


@pytest.mark.parametrize("takes", range(3, 30))
def test_of_a_handful_of_takes_no_part_is_empty(takes: int) -> None:
    splitting = split_clips(grid(1, 1, takes))
    assert {each.split for each in splitting.clips} == {"train", "dev", "test"}


def test_clips_that_name_no_speaker_are_never_said_to_be_of_new_ones() -> None:
    splitting = split_clips([replace(each, speaker=None) for each in grid(1, 300)])
    assert splitting.rule is Rule.SENTENCE
    assert "speakers that may be the same, since not all clips name them, and new sentences" in splitting.holds_for


def test_given_splits_are_used_as_given_and_judged_by_what_they_share() -> None:
    clips = [
        clip("a.wav", "one", "anna", "train"),
        clip("b.wav", "one", "ben", "test"),
        clip("c.wav", "two", "cleo", "test"),
    ]
    splitting = split_clips(clips)
    assert (splitting.rule, splitting.clips) == (Rule.GIVEN, clips)
    assert splitting.holds_for == "The result holds for new speakers and sentences of which 50 % are new."
    assert "no test part" in holds_for(clips[:1])
    assert "no train part" in holds_for(clips[1:])


def test_a_clip_without_split_follows_what_the_given_parts_keep_apart() -> None:
    split = split_clips(readers(40, 10)).clips
    tested = next(each for each in split if each.split == "test")
    learned = next(each for each in split if each.split == "train")
    new = clip("new.wav", "something else", tested.speaker)
    torn = clip("torn.wav", learned.text, tested.speaker)
    splitting = split_clips([*split, new, torn])
    assert (splitting.rule, parts(splitting)["new.wav"], splitting.left_out) == (
        Rule.SPEAKER_AND_SENTENCE,
        "test",
        [torn],
    )


def test_given_parts_that_mix_speakers_are_gone_on_with_by_sentence() -> None:
    split = split_clips(grid(3, 300), Rule.SENTENCE).clips
    tested = next(each for each in split if each.split == "test")
    splitting = split_clips([*split, clip("new.wav", tested.text, "somebody")])
    assert (splitting.rule, parts(splitting)["new.wav"]) == (Rule.SENTENCE, "test")


def test_one_clip_that_is_given_does_not_draw_a_corpus_into_its_part() -> None:
    first, *others = grid(1, 300)
    splitting = split_clips([replace(first, split="train"), *others])
    assert splitting.rule is Rule.SENTENCE
    assert set(Counter(each.split for each in splitting.clips)) == {"train", "dev", "test"}


def test_shares_come_near_seventy_twenty_ten() -> None:
    counts = Counter(part_of(f"s{n}") for n in range(5000))
    assert [round(counts[part] / 5000, 1) for part in ("train", "dev", "test")] == [0.7, 0.2, 0.1]


def test_a_clip_stays_in_its_part_wherever_the_corpus_lies_and_in_every_version_of_this_program() -> None:
    here, there = (split_clips([clip(f"{folder}/a.wav")], Rule.TAKE).clips[0].split for folder in ("/here", "/there/b"))
    assert here == there
    assert [part_of(f"home speaker s{n}") for n in range(8)] == ["train"] * 5 + ["test"] + ["train"] * 2


sets = st.lists(
    st.builds(
        clip,
        st.integers(0, 999).map("{}.wav".format),
        st.sampled_from(["yes", "no", "go on", "up", "turn it on", ""]),
        st.sampled_from(["anna", "ben", "cleo", "dora", "emil"]),
    ),
    unique_by=lambda each: each.path,
    max_size=30,
)


@pytest.mark.parametrize("rule", RULES)
@given(clips=sets, more=sets)
def test_under_one_rule_clips_that_come_later_move_no_clip_to_another_part(rule, clips, more) -> None:
    names = {each.path for each in clips}
    before = parts(split_clips(clips, rule))
    after = parts(split_clips([*clips, *(each for each in more if each.path not in names)], rule))
    assert {name: after[name] for name in before.keys() & after.keys()} == {
        name: before[name] for name in before.keys() & after.keys()
    }
    if rule is not Rule.SPEAKER_AND_SENTENCE:
        assert before.keys() <= after.keys()


@given(clips=sets, batches=st.lists(sets, max_size=3))
def test_a_corpus_that_was_split_and_grows_keeps_every_clip_where_it_was(clips, batches) -> None:
    """Nothing is pinned: the splits of the old clips are the memory."""
    splitting = split_clips(clips)
    for more in batches:
        names = {each.path for each in (*splitting.clips, *splitting.left_out)}
        before = parts(splitting)
        splitting = split_clips([*splitting.clips, *(each for each in more if each.path not in names)])
        assert before.items() <= parts(splitting).items()


@pytest.mark.parametrize("rule", RULES)
@given(clips=sets)
def test_every_rule_keeps_apart_what_it_says_and_loses_no_clip(rule: Rule, clips: list[Clip]) -> None:
    splitting = split_clips(clips, rule)
    assert len(splitting.clips) + len(splitting.left_out) == len(clips)
    if rule in (Rule.SPEAKER, Rule.SPEAKER_AND_SENTENCE):
        assert apart(splitting.clips, "speaker")
    if rule in (Rule.SENTENCE, Rule.SPEAKER_AND_SENTENCE):
        assert apart([each for each in splitting.clips if each.text], "text")


@given(clips=sets, order=st.randoms())
def test_the_order_of_the_clips_does_not_matter(clips: list[Clip], order) -> None:
    shuffled = order.sample(clips, len(clips))
    assert parts(split_clips(shuffled)) == parts(split_clips(clips))
