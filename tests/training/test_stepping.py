"""A step learns from what can be learned from, names the rest, and is the same in one batch or several."""

import math

import pytest
import torch

from tests.training.material import ALPHABET, MEL, SENTENCES, clip_array, recipe, six_clips
from tests.voices import white_noise
from training.architectures import new_model
from training.batches import Batch, BatchMaker
from training.clips import ClipArray
from training.fit import set_normalisation
from training.listening import logprobs_of
from training.precision import Numerics
from training.stepping import NOT_A_NUMBER, TOO_LONG, Fault, Stepper
from training.streaming import StreamingModel

KEY = (1, 0, 0)
RATE = 1e-3


def fresh(**keys: object) -> StreamingModel:
    model = new_model(recipe(model={"dropout": 0, **keys}))
    set_normalisation(model, six_clips(), MEL)
    return model


def batch_of(clips: ClipArray, *chosen: int) -> Batch:
    maker = BatchMaker(clips, ALPHABET, MEL)
    maker.set_plan([[(clip,) for clip in chosen or range(len(clips))]], 1, 0)
    return maker[0]


def stepper(model: StreamingModel) -> Stepper:
    return Stepper(model, torch.optim.SGD(model.parameters(), RATE), 1e9)


def weights(model: StreamingModel) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_several_batches_of_one_step_move_the_weights_as_one_batch_of_all_of_them() -> None:
    one, several = fresh(), fresh()
    whole = stepper(one).step([KEY], [batch_of(six_clips())], RATE)
    parts = [batch_of(six_clips(), 0, 1), batch_of(six_clips(), 2), batch_of(six_clips(), 3, 4, 5)]
    summed = stepper(several).step([KEY] * 3, parts, RATE)
    assert summed.loss == pytest.approx(whole.loss, rel=1e-5)
    assert torch.allclose(weights(one), weights(several), atol=1e-6)
    assert not torch.equal(weights(one), weights(fresh()))


def test_a_clip_whose_loss_is_not_a_number_is_named_and_the_others_are_learned() -> None:
    model, others = fresh(), fresh()
    batch, rest = batch_of(six_clips()), batch_of(six_clips(), 0, 1, 3, 4, 5)
    batch.features[2, 5] = math.nan
    learned = stepper(model).step([KEY], [batch], RATE)
    assert learned.faults == [Fault((2,), NOT_A_NUMBER)]
    alone = stepper(others).step([KEY], [rest], RATE)
    letters = len("".join(SENTENCES))
    assert learned.loss * letters == pytest.approx(alone.loss * (letters - len(SENTENCES[2])), rel=1e-5)
    assert weights(model).isfinite().all()
    assert not torch.equal(weights(model), weights(fresh()))


def test_a_text_that_is_longer_than_its_audio_is_named_and_teaches_nothing() -> None:
    words = "much too long for a fifth of a second"
    clips = clip_array([(white_noise(0.2, -30), words), (white_noise(2.0, -30), words)])
    model, others = fresh(), fresh()
    learned = stepper(model).step([KEY], [batch_of(clips)], RATE)
    stepper(others).step([KEY], [batch_of(clips, 1)], RATE / 2)  # over half as many letters
    assert learned.faults == [Fault((0,), TOO_LONG)]
    assert torch.allclose(weights(model), weights(others), atol=1e-6)


def test_a_model_that_is_broken_does_not_blame_the_clips() -> None:
    model = fresh()
    with torch.no_grad():
        model.out.weight[:] = math.nan
    learned = stepper(model).step([KEY], [batch_of(six_clips())], RATE)
    assert math.isnan(learned.loss)
    assert learned.faults == []


def test_a_step_without_a_finite_gradient_changes_no_weight() -> None:
    model = fresh()
    weight = model.out.weight
    weight.register_hook(lambda gradient: gradient * math.inf)
    learned = stepper(model).step([KEY], [batch_of(six_clips())], RATE)
    assert math.isnan(learned.loss)
    assert torch.equal(weights(model), weights(fresh()))


def test_dropout_follows_from_the_key() -> None:
    def moved(key: tuple[int, int, int]) -> torch.Tensor:
        model = fresh(dropout=0.3)
        stepper(model).step([key], [batch_of(six_clips())], RATE)
        return weights(model)

    assert torch.equal(moved((1, 0, 0)), moved((1, 0, 0)))
    assert not torch.equal(moved((1, 0, 0)), moved((1, 0, 1)))


def test_memory_that_ends_within_a_step_costs_time_and_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    largest: list[int] = []

    def bounded(model: StreamingModel, batch: Batch, numerics: Numerics) -> torch.Tensor:
        largest.append(len(batch.takes))
        if largest[-1] > 2:
            raise torch.OutOfMemoryError
        return logprobs_of(model, batch, numerics)

    model, enough = fresh(), fresh()
    whole = stepper(enough).step([KEY], [batch_of(six_clips())], RATE)
    monkeypatch.setattr("training.stepping.logprobs_of", bounded)
    short = stepper(model)
    learned = short.step([KEY], [batch_of(six_clips())], RATE)
    assert learned.loss == pytest.approx(whole.loss, rel=1e-5)
    assert torch.allclose(weights(model), weights(enough), atol=1e-6)
    assert largest == [6, 3, 2, 2, 2]
    short.step([KEY], [batch_of(six_clips())], RATE)
    assert largest[5:] == [2, 2, 2]


def test_memory_that_does_not_do_for_one_clip_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("training.stepping.logprobs_of", never)
    with pytest.raises(torch.OutOfMemoryError):
        stepper(fresh()).step([KEY], [batch_of(six_clips())], RATE)
