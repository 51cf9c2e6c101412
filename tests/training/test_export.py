"""What is exported is what was trained: in both precisions, for any number of streams, or it is refused."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from stt_server.corpus.clip import Clip
from stt_server.errors import Internal
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.files import write_flac
from tests.training.exported import Exported, export
from tests.training.material import ALPHABET, MEL, SENTENCES, six_clips
from training.agreement import check_texts, greedy
from training.batches import frames_of
from training.export import MOVED, PARITY, STEP_FRAMES, check_int8, check_parity, parity, rounded
from training.model import ConvModel, ConvShape

SHAPE = ConvShape(width=48, depth=2, kernel=5, channels=8, right=(2, 1))
SILENCE = MEL.recipe.silence

pytestmark = pytest.mark.timeout(600)  # the first test waits for what all share, on whatever machine


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(1)
    return export(ConvModel(SHAPE), tmp_path_factory.mktemp("exported"))


@pytest.fixture(params=["exported", "deepspeech"])
def of_each_architecture(request: pytest.FixtureRequest) -> Exported:
    either: Exported = request.getfixturevalue(request.param)
    return either


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Six clips of six lengths."""
    folder = tmp_path_factory.mktemp("spoken")
    for number in range(len(SENTENCES)):
        write_flac(folder / f"{number}.flac", six_clips()[number])
    return [Clip(folder / f"{number}.flac", text) for number, text in enumerate(SENTENCES)]


def speech() -> np.ndarray:
    clips = [frames_of(MEL, six_clips()[number]) for number in range(3)]
    return np.stack([clip[: min(map(len, clips))] for clip in clips])


@pytest.mark.parametrize("frames", [STEP_FRAMES, 4, 36, 60])
def test_fp32_in_steps_is_torch_on_the_whole(of_each_architecture: Exported, frames: int) -> None:
    features = speech()[:, :frames]
    assert features.shape[1] == frames
    assert parity(of_each_architecture.model, of_each_architecture.fp32, features, SILENCE) <= PARITY
    assert check_parity(of_each_architecture.model, of_each_architecture.fp32, features, SILENCE) <= PARITY


def test_every_clip_is_written_in_steps_as_on_the_whole(of_each_architecture: Exported, spoken: list[Clip]) -> None:
    found = check_texts(of_each_architecture.model, of_each_architecture.fp32, spoken, ALPHABET, MEL)
    assert (found.clips, found.different) == (len(SENTENCES), 0)
    assert found.worst <= PARITY
    assert str(found) == "in steps it writes the text of the whole in 6 of 6 test clips"


def test_the_clip_of_which_a_graph_makes_something_else_is_named(exported: Exported, spoken: list[Clip]) -> None:
    other = rounded(exported.model)
    with torch.no_grad():
        other.out.bias[0] += 1.0
    with pytest.raises(Internal, match=r"differs from the trained model by .*, in .*0\.flac"):
        check_texts(other, exported.fp32, spoken, ALPHABET, MEL)


def test_what_is_written_is_the_likeliest_label_without_blanks_and_repetitions() -> None:
    labels = ALPHABET.encode("to")
    path = [0, labels[0], labels[0], 0, labels[1], labels[1], 0, labels[1]]
    assert greedy(np.eye(len(ALPHABET), dtype=np.float32)[path], ALPHABET) == "too"


def test_int8_gives_hardly_any_probability_to_other_labels(of_each_architecture: Exported) -> None:
    assert 0 < check_int8(of_each_architecture.model, of_each_architecture.int8, speech(), SILENCE) <= MOVED


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_graph_tells_no_place_on_the_machine_that_exported_it(of_each_architecture: Exported, precision: str) -> None:
    written = getattr(of_each_architecture, precision).read_bytes()
    places = [path for path in (Path.cwd(), Path.home(), Path(sys.prefix)) if len(path.parts) > 1]  # at home in /, too
    for told in (b".py", b"File ", *(str(path).encode() for path in places)):
        assert told not in written, told


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_batch_axis_is_open(of_each_architecture: Exported, precision: str) -> None:
    path = getattr(of_each_architecture, precision)
    for node in onnx.load(path).graph.input:
        assert node.type.tensor_type.shape.dim[0].dim_param, node.name
        assert not node.type.tensor_type.shape.dim[0].dim_value
    served = AcousticModel.load(path)
    step = speech()[:, :STEP_FRAMES]
    alone = [served.step(step[row : row + 1], [served.initial()])[0][0] for row in range(3)]
    for count in (1, 2, 3):
        together, _ = served.step(step[:count], [served.initial()] * count)
        apart = np.abs(np.exp(together) - np.exp(np.stack(alone[:count]))).sum(-1) / 2
        # int8 scales what it multiplies by the largest number of the whole batch, so company changes a stream a little.
        assert apart.max() < 1e-5 if precision == "fp32" else apart.mean() < MOVED


def test_weights_are_stored_in_half_the_bytes(of_each_architecture: Exported) -> None:
    graph = onnx.load(of_each_architecture.fp32).graph
    kinds = {tensor.name: onnx.TensorProto.DataType.Name(tensor.data_type) for tensor in graph.initializer}
    large = {tensor.name for tensor in graph.initializer if np.prod(tensor.dims) >= 256}
    assert large
    assert {kinds[name] for name in large} == {"FLOAT16"}
    weights = sum(weight.numel() for weight in of_each_architecture.model.parameters())
    assert of_each_architecture.fp32.stat().st_size < 2 * weights + 100_000


def test_the_matrices_of_the_small_model_are_int8(exported: Exported) -> None:
    graph = onnx.load(exported.int8).graph
    kept = sum(np.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8)
    gates = sum(weight.numel() for name, weight in exported.model.named_parameters() if "gate.weight" in name)
    assert kept >= gates


def test_rounding_is_done_once_and_leaves_the_trained_model_alone(exported: Exported) -> None:
    torch.manual_seed(2)
    model = ConvModel(SHAPE)
    before = model.out.weight.clone()
    short = rounded(model)
    assert torch.equal(model.out.weight, before)
    assert not torch.equal(short.out.weight, before)
    assert torch.equal(rounded(short).out.weight, short.out.weight)
    assert not short.training


def test_a_graph_that_is_not_the_model_is_refused(exported: Exported) -> None:
    other = rounded(exported.model)
    with torch.no_grad():
        dict(other.named_parameters())["blocks.0.gate.weight"][0, 0] += 1.0
    with pytest.raises(Internal, match="model.fp32.onnx differs from the trained model by .* over 0.001"):
        check_parity(other, exported.fp32, speech(), SILENCE)
    with torch.no_grad():
        other.out.bias[3] += 10
    with pytest.raises(Internal, match="model.int8.onnx gives .*% of the probability to other labels, over 5%"):
        check_int8(other, exported.int8, speech(), SILENCE)


def test_a_model_that_computes_nonsense_is_refused(exported: Exported) -> None:
    broken = rounded(exported.model)
    with torch.no_grad():
        broken.out.bias[0] = torch.nan
    with pytest.raises(Internal, match="differs from the trained model by nan"):
        check_parity(broken, exported.fp32, speech(), SILENCE)
