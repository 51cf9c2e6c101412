"""Batches are functions of (seed, epoch, number), hold every clip as often as it weighs, and are as long as allowed."""

from collections import Counter

import numpy as np
import pytest
import torch

from stt_server.speech.features import FeatureRecipe
from tests.training.material import ALPHABET, MEL, SENTENCES, UNCHANGED, clip_array, six_clips
from tests.voices import silence, white_noise
from training.batches import Batch, BatchMaker, Surroundings, frames_of, loader, plan_epoch
from training.recipe import Augmentation
from training.section import Moving

SECONDS = np.random.default_rng(7).uniform(0.3, 12, 300)
ONES = np.ones(len(SECONDS))


def plan(seed: int = 1, epoch: int = 0, weights: np.ndarray = ONES, batch_s: float = 40, join: float = 0.0):
    return plan_epoch(SECONDS, weights, batch_s, np.random.default_rng((seed, epoch)), join)


def takes(batches) -> list[tuple[int, ...]]:
    return [take for batch in batches for take in batch]


def test_a_plan_follows_from_seed_and_epoch() -> None:
    assert plan(1, 0) == plan(1, 0)
    assert plan(1, 0) != plan(1, 1)
    assert plan(1, 0) != plan(2, 0)


def test_every_clip_of_weight_one_comes_once() -> None:
    assert sorted(takes(plan())) == [(clip,) for clip in range(len(SECONDS))]


def test_weights_say_how_often_a_clip_comes() -> None:
    weights = np.where(np.arange(300) < 100, 2.0, np.where(np.arange(300) < 200, 0.5, 1.0))
    counts = Counter(clip for (clip,) in takes(plan(weights=weights)))
    assert all(counts[clip] == 2 for clip in range(100))
    assert 30 < sum(counts[clip] for clip in range(100, 200)) < 70
    assert all(counts[clip] == 1 for clip in range(200, 300))


@pytest.mark.parametrize("join", [0.0, 0.5])
@pytest.mark.parametrize("batch_s", [10.0, 40.0, 400.0])
def test_padded_seconds_stay_within_the_bound(batch_s: float, join: float) -> None:
    for batch in plan(batch_s=batch_s, join=join):
        lengths = [SECONDS[list(take)].sum() for take in batch]
        assert len(batch) == 1 or max(lengths) * len(batch) <= batch_s


def test_clips_of_like_duration_share_a_batch_so_that_little_is_padding() -> None:
    padded = sum(max(SECONDS[clip] for (clip,) in batch) * len(batch) for batch in plan())
    assert padded < 1.25 * SECONDS.sum()


def test_only_short_clips_are_followed_by_another() -> None:
    pairs = [take for take in takes(plan(join=1.0)) if len(take) == 2]
    assert pairs
    assert all(SECONDS[first] < 2.0 and SECONDS[second] <= 6.0 for first, second in pairs)


def test_an_epoch_in_which_no_clip_is_drawn_has_no_batch() -> None:
    assert plan(weights=np.full(300, 1e-9)) == []


def maker(augmentation: Augmentation | None = None, epoch: int = 0) -> BatchMaker:
    clips = six_clips()
    around = Surroundings([white_noise(2, -20)], [np.array([1, 0, 0.5], np.float32)])
    made = BatchMaker(clips, ALPHABET, MEL, augmentation, around, np.zeros(80, np.float32))
    dice = np.random.default_rng((1, epoch))
    made.set_plan(plan_epoch(clips.seconds, np.ones(6), 3.0, dice, 0.5), 1, epoch)
    return made


def same(one: Batch, other: Batch) -> bool:
    fields = ("features", "targets", "frames", "letters")
    return one.takes == other.takes and all(torch.equal(getattr(one, name), getattr(other, name)) for name in fields)


def test_a_batch_follows_from_seed_epoch_and_number() -> None:
    one, again, other_epoch = maker(Augmentation()), maker(Augmentation()), maker(Augmentation(), epoch=1)
    again[1]  # making another batch before changes nothing
    assert same(one[0], again[0])
    assert not same(one[0], other_epoch[0])


def rows_of(made: BatchMaker) -> dict[tuple[int, ...], torch.Tensor]:
    """Every take's frames without the silence that only pads it."""
    rows: dict[tuple[int, ...], torch.Tensor] = {}
    for number in range(len(made)):
        batch = made[number]
        for take, row, frames in zip(batch.takes, batch.features, batch.frames, strict=True):
            rows[take] = row[: 4 * int(frames)]
    return rows


@pytest.mark.parametrize("epoch", [0, 3])
def test_what_happens_to_a_clip_does_not_depend_on_its_company(epoch: int) -> None:
    company, alone = maker(Augmentation(lead=0)), maker(Augmentation(lead=0))
    company.set_plan([[(0,), (1,), (2, 3)], [(4,)]], 1, epoch)
    alone.set_plan([[(4,)], [(2, 3)], [(1,)], [(0,)]], 1, epoch)
    one, other = rows_of(company), rows_of(alone)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[take], other[take]) for take in one)


def test_a_clip_that_comes_twice_in_an_epoch_is_heard_in_two_ways() -> None:
    made = maker(Augmentation(lead=0))
    made.set_plan([[(0,)], [(0,), (1,)]], 1, 0)
    first, again = made[0].features[0], made[1].features[0]
    assert first.shape != again.shape or not torch.equal(first, again)


def test_ranges_move_from_the_beginning_of_an_epoch_to_its_end() -> None:
    louder = UNCHANGED.model_copy(update={"gain_db": Moving((-40, -40), (0, 0))})
    made = maker(louder)
    made.set_plan([[(0,)], [(0,)], [(0,)], [(0,)]], 1, 1, span=(0.5, 1.0))
    levels = [float(made[number].features.max()) for number in range(4)]
    steps = np.diff(levels) * 10 / np.log(10)
    assert steps == pytest.approx([5, 5, 5], abs=0.1)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_epoch_taken_up_in_its_middle_goes_on_with_the_same_batches(workers: int) -> None:
    whole = list(loader(maker(Augmentation()), 0, range(len(maker(Augmentation())))))
    rest = list(loader(maker(Augmentation()), workers, range(1, len(whole))))
    assert len(rest) == len(whole) - 1 > 0
    assert all(same(one, other) for one, other in zip(whole[1:], rest, strict=True))


def test_without_augmentation_a_row_is_the_clip_and_silence() -> None:
    clips, made = six_clips(), maker(None)
    made.set_plan([[(0,), (4,)]], 1, 0)
    batch = made[0]
    for row, clip in enumerate((0, 4)):
        frames = frames_of(MEL, clips[clip])
        assert np.array_equal(batch.features[row, : len(frames)].numpy(), frames)
        assert (batch.features[row, len(frames) :] == FeatureRecipe().silence).all()
        assert int(batch.frames[row]) == len(frames) // 4
    assert batch.targets.tolist() == ALPHABET.encode(SENTENCES[0]) + ALPHABET.encode(SENTENCES[4])
    assert batch.letters.tolist() == [len(SENTENCES[0]), len(SENTENCES[4])]


def test_a_joined_take_says_both_texts_one_after_the_other() -> None:
    clips, made = six_clips(), maker(UNCHANGED)
    made.set_plan([[(0, 3)]], 1, 0)
    batch = made[0]
    assert ALPHABET.decode(batch.targets.tolist()) == f"{SENTENCES[0]} {SENTENCES[3]}"
    spoken = clips.seconds[0] + clips.seconds[3]
    assert spoken <= int(batch.frames[0]) * 0.04 <= spoken + 0.3 + 0.04


def test_empty_clips_have_noise_or_silence_and_no_letters() -> None:
    made = maker(UNCHANGED.model_copy(update={"empty": 1.0}))
    batch = made[0]
    assert batch.letters.sum() == 0
    assert batch.targets.shape == (0,)
    assert batch.features.isfinite().all()


@pytest.mark.parametrize("samples", [0, 1, 159, 640, 641, 16000, 16001])
def test_frames_come_in_whole_output_frames_that_cover_the_clip(samples: int) -> None:
    frames = frames_of(MEL, np.ones(samples, np.float32))
    assert frames.shape == (4 * max(1, -(-samples // 640)), 80)


def test_the_first_frame_is_the_clips_first_sound() -> None:
    clips = clip_array([(np.concatenate([white_noise(0.1, -10), silence(0.5)]), "yes")])
    frames = frames_of(MEL, clips[0])
    assert frames[0].mean() > -5
    assert frames[-1].mean() == pytest.approx(FeatureRecipe().silence)
