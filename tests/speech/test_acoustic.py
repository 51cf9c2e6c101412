import numpy as np
import pytest

from stt_server.errors import BadBundle
from stt_server.speech.acoustic import AcousticModel, batch_size, providers
from stt_server.speech.features import FeatureRecipe, LogMel
from tests.bundles import spoken

STEP = 16
MEL = LogMel(FeatureRecipe())
AGREE = 1e-4  # of log-probabilities; another number of rows makes BLAS add in another order


@pytest.fixture(scope="module", params=["fp32", "int8"])
def model(request, tiny_bundle):
    return AcousticModel.load(tiny_bundle / f"model.{request.param}.onnx")


@pytest.fixture(scope="module")
def fp32(tiny_bundle):
    return AcousticModel.load(tiny_bundle / "model.fp32.onnx")


def steps_of(samples):
    frames = MEL.whole(samples)
    return frames[: len(frames) // STEP * STEP].reshape(-1, STEP, frames.shape[1])


def alone(model, steps, state=None):
    """Log-probabilities of one stream, (T, labels), and its last state."""
    states, rows = [state or model.initial()], []
    for step in steps:
        logprobs, states = model.step(step[None], states)
        rows.append(logprobs[0])
    return np.concatenate(rows), states[0]


def test_a_model_says_what_it_takes_and_gives(model):
    assert (model.n_mels, model.labels) == (80, 29)
    assert list(model.state_shapes) == ["mel", "conv", "blocks", "gru"]
    assert [part.shape for part in model.initial()] == list(model.state_shapes.values())


def test_rows_are_probabilities_of_every_label(model):
    rows, _ = alone(model, steps_of(spoken("stop")))
    assert rows.shape[1] == 29
    assert np.allclose(np.exp(rows).sum(1), 1, atol=1e-5)


def test_streams_in_a_batch_hear_what_each_hears_alone(fp32):
    streams = [steps_of(spoken(*words)) for words in (["yes", "no"], ["stop"], ["light", "light"], ["no"])]
    length = min(map(len, streams))
    states = [fp32.initial() for _ in streams]
    batched = []
    for index in range(length):
        logprobs, states = fp32.step(np.stack([steps[index] for steps in streams]), states)
        batched.append(logprobs)
    for steps, rows in zip(streams, np.concatenate(batched, axis=1), strict=True):
        assert np.abs(rows - alone(fp32, steps[:length])[0]).max() < AGREE


@pytest.mark.parametrize("rows", [1, 3, 9, 11, 17, 33])
def test_a_batch_that_is_filled_up_says_of_each_stream_what_it_says_alone(fp32, rows):
    steps = np.concatenate([steps_of(spoken(word)) for word in ("yes", "stop", "light", "no")])
    steps = np.resize(steps, (rows, *steps.shape[1:]))
    before = [alone(fp32, steps[:1])[1] for _ in range(rows)]
    logprobs, after = fp32.step(steps, before)
    assert (len(logprobs), len(after)) == (rows, rows)
    for index in range(rows):
        expected, state = alone(fp32, steps[index : index + 1], before[index])
        assert np.abs(logprobs[index] - expected).max() < AGREE
        assert all(np.abs(a - b).max() < 1e-3 for a, b in zip(after[index], state, strict=True))


def test_rows_that_fill_up_move_nothing_of_int8(tiny_bundle):
    """Another loudest row would scale the others anew."""
    int8 = AcousticModel.load(tiny_bundle / "model.int8.onnx")
    steps = np.resize(steps_of(spoken("stop", "light")), (9, STEP, 80))
    states = [int8.initial()] * 9
    filled, _ = int8.step(steps, states)
    full, _ = int8.step(np.concatenate([steps, steps[:1]]), [*states, states[0]])
    assert np.array_equal(filled, full[:9])


def test_few_sizes_of_batches_are_ever_computed_and_little_is_filling():
    sizes = [batch_size(rows) for rows in range(1, 65)]
    assert sizes[:8] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (len(set(sizes)), sizes[-1]) == (20, 64)
    assert all(rows <= size <= 1.22 * rows for rows, size in enumerate(sizes, start=1))
    assert sizes == sorted(sizes)


def test_streams_at_different_places_share_a_call(fp32):
    """A stream that began long ago and one that begins now."""
    steps = steps_of(spoken("yes", "stop"))
    early, state = alone(fp32, steps[:3])
    logprobs, _ = fp32.step(np.stack([steps[3], steps[0]]), [state, fp32.initial()])
    assert np.abs(logprobs[0] - alone(fp32, steps[:4])[0][-4:]).max() < AGREE
    assert np.abs(logprobs[1] - early[:4]).max() < AGREE


def test_a_saved_state_taken_up_again_goes_on_as_if_never_interrupted(model):
    steps = steps_of(spoken("light", "no"))
    whole, _ = alone(model, steps)
    first, state = alone(model, steps[:4])
    saved = [part.tobytes() for part in state]
    alone(model, steps_of(spoken("yes")), tuple(part.copy() for part in state))  # another way on from the same place
    shapes = model.state_shapes.values()
    resumed = tuple(np.frombuffer(part, np.float32).reshape(shape) for part, shape in zip(saved, shapes, strict=True))
    second, _ = alone(model, steps[4:], resumed)
    assert np.array_equal(np.concatenate([first, second]), whole)


def test_a_step_changes_no_state_it_was_given_and_keeps_no_batch_alive(model):
    before = model.initial()
    _, (after, _) = model.step(np.ones((2, STEP, 80), np.float32), [before, model.initial()])
    assert not any(part.any() for part in before)
    assert any(part.any() for part in after)
    assert all(part.base is None for part in after)


def test_int8_hears_nearly_what_fp32_hears(tiny_bundle, fp32):
    int8 = AcousticModel.load(tiny_bundle / "model.int8.onnx")
    steps = steps_of(spoken("stop", "light", "no"))
    exact, coarse = alone(fp32, steps)[0], alone(int8, steps)[0]
    assert (exact.argmax(1) == coarse.argmax(1)).mean() > 0.95


def test_a_file_that_is_no_model_is_refused_with_the_reason(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BadBundle, match="model.onnx is not a model") as refused:
        AcousticModel.load(tmp_path / "model.onnx")
    assert refused.value.field == "models"


def test_a_graph_of_another_kind_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    x, y = (helper.make_tensor_value_info(name, floats, [1, 4]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "other", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "other.onnx")
    with pytest.raises(BadBundle, match=r"takes \['x'\] and gives \['y'\]"):
        AcousticModel.load(tmp_path / "other.onnx")


def test_the_cpu_is_always_among_the_providers():
    assert "CPUExecutionProvider" in providers()
