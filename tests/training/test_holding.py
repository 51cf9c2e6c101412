"""Replay is held to what the base made of it; what is new is learned from its transcript."""

import numpy as np
import pytest
import torch

from tests.training.material import ALPHABET, MEL, six_clips, toy_model
from training.batches import BatchMaker
from training.holding import Hold
from training.listening import logprobs_of, losses_of
from training.precision import PLAIN
from training.stepping import Stepper
from training.streaming import StreamingModel


def moved(model: StreamingModel) -> StreamingModel:
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.fixture
def maker() -> BatchMaker:
    maker = BatchMaker(six_clips(), ALPHABET, MEL)
    maker.set_plan([[(0,), (4,), (1, 5), (5,)]], 0, 0)
    return maker


def test_of_replay_the_loss_is_how_far_the_model_is_from_the_base(maker: BatchMaker) -> None:
    base, model, batch = toy_model(), moved(toy_model()).eval(), maker[0]
    with torch.no_grad():
        logprobs = logprobs_of(model, batch, PLAIN)
        ctc = losses_of(logprobs, batch)
        losses = Hold(base, 4).on(ctc, logprobs, batch, PLAIN)
        wanted = logprobs_of(base, batch, PLAIN).double().numpy()
    assert losses[[0, 2]].tolist() == ctc[[0, 2]].tolist()  # a take that begins with new speech is new
    for row in (1, 3):
        frames = int(batch.frames[row])
        p, q = wanted[row, :frames], logprobs[row, :frames].double().numpy()
        assert losses[row].item() == pytest.approx(float((np.exp(p) * (p - q)).sum()), rel=1e-3)


def test_a_model_that_has_forgotten_nothing_is_pulled_nowhere(maker: BatchMaker) -> None:
    """With dropout out of the way, a step on replay alone changes nothing, though the toy hears none of it right."""
    maker.set_plan([[(4,), (5,)]], 0, 0)
    base, model = toy_model(dropout=0.0), toy_model(dropout=0.0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    learned = Stepper(model, optimizer, 5.0, hold=Hold(base, 4)).step([(0, 0, 0)], [maker[0]], 0.1)
    assert learned.loss == pytest.approx(0, abs=1e-4)
    for weight, before in zip(model.parameters(), base.parameters(), strict=True):
        assert torch.allclose(weight, before, atol=1e-4)


def test_without_replay_in_a_batch_nothing_is_held(maker: BatchMaker) -> None:
    model, batch = toy_model(), maker[0]
    with torch.no_grad():
        logprobs = logprobs_of(model.eval(), batch, PLAIN)
        losses = losses_of(logprobs, batch)
        assert Hold(model, 6).on(losses, logprobs, batch, PLAIN) is losses
