"""Splits by hash keep speakers together, come near their shares, and never move."""

from collections import Counter
from pathlib import Path

from stt_server.corpus.clip import Clip
from stt_server.corpus.splits import assign_splits, split_of


def clip(name: str, speaker: str | None) -> Clip:
    return Clip(Path(name), "yes", "home", speaker)


def test_all_clips_of_a_speaker_fall_into_one_split() -> None:
    for speaker in ("anna", "ben", "chloe", "dan"):
        assert len({split_of(clip(f"{n}.wav", speaker)) for n in range(50)}) == 1


def test_shares_come_near_seventy_twenty_ten() -> None:
    split = Counter(each.split for each in assign_splits(clip(f"{n}.wav", f"s{n}") for n in range(5000)))
    assert 0.68 < split["train"] / 5000 < 0.72
    assert 0.18 < split["dev"] / 5000 < 0.22
    assert 0.08 < split["test"] / 5000 < 0.12


def test_clips_of_unknown_speakers_are_split_one_by_one() -> None:
    assert {split_of(clip(f"{n}.wav", None)) for n in range(100)} == {"train", "dev", "test"}


def test_a_clip_stays_in_its_split_wherever_the_corpus_lies() -> None:
    assert split_of(clip("/here/a.wav", None)) == split_of(clip("/there/b/a.wav", None))
    assert [split_of(clip("a.wav", f"s{n}")) for n in range(8)] == ["train"] * 5 + ["test"] + ["train"] * 2
