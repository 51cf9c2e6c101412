"""One set of numbers, however the audio is cut or stacked; and no look further ahead than is stated."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from stt_server.speech.features import FeatureRecipe, LogMel
from training.architectures import build
from training.batches import frames_of
from training.deepspeech import DeepSpeechShape
from training.model import ConvModel, ConvShape
from training.streaming import SUBSAMPLING, Shape, StreamingModel, channel_dropout

SILENCE = FeatureRecipe().silence
SHAPE = ConvShape(n_mels=16, labels=7, width=24, depth=3, kernel=5, channels=4, right=(2, 1, 0))
SHAPES: dict[str, Shape] = {"conv": SHAPE, "deepspeech": DeepSpeechShape(n_mels=16, labels=7, width=24, context=3)}
each_architecture = pytest.mark.parametrize("name", SHAPES)


def random_model(shape: Shape = SHAPE) -> StreamingModel:
    """Weights large enough that every input matters to every output it can reach."""
    torch.manual_seed(3)
    name = next((name for name, each in SHAPES.items() if type(each) is type(shape)), "conv")
    model = build({"architecture": name, **asdict(shape)}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.set_normalisation([-5.0] * shape.n_mels, [3.0] * shape.n_mels)
    return model


def features(batch: int, frames: int, seed: int = 0) -> torch.Tensor:
    return -5 + 3 * torch.randn(batch, frames, SHAPE.n_mels, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def whole(model: StreamingModel, x: torch.Tensor) -> np.ndarray:
    return model.whole(x, SILENCE).numpy()


@torch.no_grad()
def in_pieces(model: StreamingModel, x: torch.Tensor, sizes: list[int]) -> np.ndarray:
    """As a server does it: pieces of so many frames, in turn, and silence behind the end; the late start dropped."""
    lag = model.shape.lag_frames
    tail = torch.full((len(x), SUBSAMPLING * lag, x.shape[2]), SILENCE)
    x, states, outputs, place, turn = torch.cat([x, tail], 1), model.initial(len(x)), [], 0, 0
    while place < x.shape[1]:
        size = sizes[turn % len(sizes)]
        logprobs, *states = model(x[:, place : place + size], *states)
        outputs.append(logprobs)
        place, turn = place + size, turn + 1
    return torch.cat(outputs, 1)[:, lag:].numpy()


@pytest.mark.parametrize("sizes", [[4], [8], [16], [12, 4], [40, 4, 8], [4, 64], [200]])
@each_architecture
def test_any_cutting_gives_the_numbers_of_the_whole(name: str, sizes: list[int]) -> None:
    model, x = random_model(SHAPES[name]), features(2, 120)
    assert in_pieces(model, x, sizes) == pytest.approx(whole(model, x), abs=1e-5)


@each_architecture
def test_an_utterance_in_a_batch_gives_what_it_gives_alone(name: str) -> None:
    model, x = random_model(SHAPES[name]), features(5, 80)
    together = whole(model, x)
    for row in range(5):
        assert together[row] == pytest.approx(whole(model, x[row : row + 1])[0], abs=1e-5)


@each_architecture
def test_silence_that_fills_up_a_batch_changes_nothing_before_it(name: str) -> None:
    model, short = random_model(SHAPES[name]), features(1, 40)
    filled = torch.cat([short, torch.full((1, 60, SHAPE.n_mels), SILENCE)], 1)
    assert whole(model, filled)[:, :10] == pytest.approx(whole(model, short), abs=1e-5)


@each_architecture
def test_streams_that_swap_their_states_swap_their_numbers(name: str) -> None:
    """The model holds nothing of a stream: what it goes on with is what it is given."""
    model, x = random_model(SHAPES[name]), features(2, 32)
    with torch.no_grad():
        _, *states = model(x, *model.initial(2))
        swapped = model(x.flip(0), *(state.flip(0) for state in states))[0]
        straight = model(x, *states)[0]
    assert swapped.flip(0).numpy() == pytest.approx(straight.numpy(), abs=1e-6)


@pytest.mark.parametrize("changed", [37, 60, 61, 62, 63])
@each_architecture
def test_frames_later_than_the_lag_change_nothing_earlier_and_the_first_within_it_do(name: str, changed: int) -> None:
    model, x = random_model(SHAPES[name]), features(1, 120)
    other = x.clone()
    other[:, changed:] += 2.0
    difference = np.abs(whole(model, x) - whole(model, other)).max(axis=(0, 2))
    first = changed // SUBSAMPLING - SHAPE.lag_frames  # output i looks at frames up to 4 (i + lag) + 3
    assert difference[:first].max() == 0
    assert difference[first] > 1e-6


def test_the_shipped_shape_looks_295_ms_ahead() -> None:
    shape, recipe = ConvShape(width=16, channels=4), FeatureRecipe()
    model, mel = random_model(shape), LogMel(recipe)
    ahead_ms = shape.lag_frames * SUBSAMPLING * recipe.hop_ms + recipe.window_ms - recipe.hop_ms
    assert ahead_ms == 295
    samples = np.random.default_rng(0).standard_normal(3 * 16000).astype(np.float32) * 0.1
    other = samples.copy()
    other[32000:] += 0.5  # from 2 s on
    one, two = (whole(model, torch.from_numpy(frames_of(mel, each))[None])[0] for each in (samples, other))
    last = (2000 - ahead_ms) // 40  # output frame i is the time from 40 i to 40 (i + 1) ms
    assert np.array_equal(one[:last], two[:last])
    assert not np.array_equal(one[last:], two[last:])


@each_architecture
def test_the_model_is_as_late_as_its_blocks_look_ahead_together(name: str) -> None:
    model, x = random_model(SHAPES[name]), features(1, 40)
    assert model.shape.lag_frames == 3
    assert whole(model, x).shape == (1, 10, SHAPE.labels)
    assert in_pieces(model, x, [8]).shape == (1, 10, SHAPE.labels)


@each_architecture
def test_states_are_named_and_have_the_shapes_that_are_stated(name: str) -> None:
    model = random_model(SHAPES[name])
    _, *after = model(features(3, 8), *model.initial(3))
    assert [tuple(state.shape) for state in after] == list(model.state_shapes(3).values())
    assert tuple(model.state_shapes(3)) == model.state_names


@each_architecture
def test_outputs_are_log_probabilities(name: str) -> None:
    assert np.exp(whole(random_model(SHAPES[name]), features(2, 40))).sum(-1) == pytest.approx(1, abs=1e-5)


def test_a_look_ahead_for_every_block_is_required() -> None:
    with pytest.raises(ValueError, match="one number for each of the 3 blocks, not 2"):
        ConvModel(ConvShape(depth=3, right=(1, 1)))


def test_dropout_takes_whole_channels_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    ones = torch.ones(200, 5, 50)
    dropped = channel_dropout(ones, 0.25, training=True)
    assert torch.equal(dropped[:, 0], dropped[:, 4])
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)
    assert channel_dropout(ones, 0.25, training=False) is ones
