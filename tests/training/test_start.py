"""A model that is gone on from is the one there was: weights, sizes and alphabet; what is new is said."""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stt_server.errors import BadBundle, BadOption, NotFound
from stt_server.speech.acoustic import AcousticModel
from stt_server.speech.bundle import load_bundle
from stt_server.speech.features import FeatureRecipe
from tests.training.exported import Exported
from tests.training.material import ALPHABET, LETTERS, MEL, Listener, recipe, six_clips, toy_model
from training import checkpoints
from training.architectures import build, describe
from training.batches import Surroundings, frames_of
from training.checkpoints import Checkpoint, Progress
from training.export import PARITY, parity
from training.fit import fit
from training.recipe import Recipe, Start
from training.start import Base, adopt, find_base, freeze, started
from training.tuning import told_of_start
from training.weights import restore

SILENCE = MEL.recipe.silence

pytestmark = pytest.mark.timeout(600)  # the first test waits for what all share, on whatever machine


def tuned(**keys: Any) -> Recipe:
    """A recipe that says of the model only where it comes from."""
    start = {"model": "base"} | keys.pop("start", {})
    return Recipe.model_validate({"name": "tuned", "data": {"train": [{"corpus": "x"}]}, "start": start, **keys})


def heard() -> np.ndarray:
    clips = [frames_of(MEL, six_clips()[number]) for number in range(2)]
    return np.stack([clip[: min(map(len, clips))] for clip in clips])


@pytest.fixture
def base() -> Base:
    """Drawn from another seed than the recipes', lest a new head be the old one by chance."""
    torch.manual_seed(7)
    return Base("base", build(describe(toy_model())), LETTERS)


def test_the_shipped_model_read_back_gives_its_own_log_probabilities(shipped_bundle: Path) -> None:
    base = find_base(Start(model=str(shipped_bundle)))
    assert base.bundle
    assert sum(weight.numel() for weight in base.model.parameters()) == base.bundle.manifest.parameters
    assert base.letters == base.bundle.manifest.labels
    assert parity(base.model, base.bundle.model_path("fp32"), heard(), SILENCE) <= PARITY


def test_a_tiny_bundle_read_back_gives_its_own_log_probabilities(tiny_bundle: Path) -> None:
    base = find_base(Start(model=str(tiny_bundle)))
    assert describe(base.model)["right"] == (1, 1)
    assert parity(base.model, tiny_bundle / "model.fp32.onnx", heard(), SILENCE) <= PARITY


def test_a_deepspeech_graph_is_read_back_by_its_states(tiny_bundle: Path, deepspeech: Exported) -> None:
    model = deepspeech.model
    states = {name: shape[1:] for name, shape in model.state_shapes(1).items()}
    manifest = load_bundle(tiny_bundle).manifest.model_copy(update={"states": states, "lineage": {}})
    again = restore(deepspeech.fp32, manifest)
    assert describe(again) == {**describe(model), "dropout": 0.0}
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_a_bundle_that_is_read_back_as_another_model_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    """Its lineage says that the first block looks two frames ahead and the second none; each looks one ahead."""
    folder = tmp_path / "wrong"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    told = describe(find_base(Start(model=str(tiny_bundle))).model)
    manifest["lineage"] = {"model": {**told, "right": [2, 0]}}
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BadBundle, match="differs from its own graph by .* over 0.001; start from its checkpoint"):
        find_base(Start(model=str(folder)))


@pytest.mark.parametrize(
    ("states", "complaint"),
    [({"memory": (3,)}, "no architecture of this version has the states memory"), (None, "no weights called")],
)
def test_a_graph_that_cannot_be_read_back_says_why(
    states: dict[str, tuple[int, ...]] | None, complaint: str, tiny_bundle: Path
) -> None:
    manifest = load_bundle(tiny_bundle).manifest
    deep = {"architecture": "deepspeech", "width": 24, "context": 2}
    changed = {"states": states} if states else {"lineage": {"model": deep}}
    with pytest.raises(BadBundle, match=complaint):
        restore(tiny_bundle / "model.fp32.onnx", manifest.model_copy(update=changed))


def test_a_checkpoint_gives_its_averaged_weights(tmp_path: Path) -> None:
    model, averaged = toy_model(), toy_model()
    with torch.no_grad():
        averaged.out.bias.add_(1)
    optimizer = torch.optim.AdamW(model.parameters())
    states = model.state_dict(), averaged.state_dict(), optimizer.state_dict()
    checkpoints.save(Checkpoint(*states, Progress(), asdict(model.shape), LETTERS), tmp_path / "last.pt")
    base = find_base(Start(model=str(tmp_path / "last.pt")))
    assert torch.equal(base.model.out.bias, averaged.out.bias)
    assert (base.letters, base.bundle) == (LETTERS, None)


def test_a_checkpoint_is_told_of_by_name_and_hash_and_not_by_its_place(tmp_path: Path) -> None:
    model, path = toy_model(), tmp_path / "last.pt"
    states = model.state_dict(), model.state_dict(), torch.optim.AdamW(model.parameters()).state_dict()
    checkpoints.save(Checkpoint(*states, Progress(), describe(model), LETTERS), path)
    told = told_of_start(tuned(), find_base(Start(model=str(path))), 0.75)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert told == {"name": "last.pt", "sha256": sha256, "average": 0.75, "replay_share": 0.5}


def test_a_bundle_brings_its_language(tiny_bundle: Path) -> None:
    base = find_base(Start(model=str(tiny_bundle)))
    assert base.bundle
    base.bundle.manifest = base.bundle.manifest.model_copy(update={"language": "nl"})
    assert adopt(tuned(), base).language == "nl"
    assert adopt(tuned(language="fy"), base).language == "fy"


def test_features_that_this_trainer_does_not_compute_are_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(tiny_bundle, folder)
    manifest = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    manifest["features"]["low_hz"] = FeatureRecipe().low_hz + 60
    (folder / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BadBundle, match="its features have low_hz 100, and this trainer computes them with 40"):
        find_base(Start(model=str(folder)))


@pytest.mark.parametrize("name", ["no-such-model", "no-such.pt"])
def test_a_model_that_there_is_not_is_an_error(name: str) -> None:
    with pytest.raises(NotFound, match=name):
        find_base(Start(model=name))


def test_the_base_decides_sizes_features_and_alphabet(base: Base) -> None:
    adopted = adopt(tuned(), base)
    assert (adopted.model.width, adopted.model.depth, adopted.model.lookahead) == (32, 2, (1, 1))
    assert adopted.alphabet == LETTERS
    assert adopt(adopted, base) == adopted
    model = started(adopted, base)
    assert model is not base.model
    assert all(torch.equal(weight, base.model.state_dict()[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("keys", "field", "complaint"),
    [
        ({"model": {"width": 64}}, "model.width", "`model.width` is 64, and base has 32; leave the key out"),
        ({"model": {"kernel": 9}}, "model.kernel", "`model.kernel` is 9, and base has 5"),
        ({"model": {"architecture": "deepspeech"}}, "model.architecture", "is deepspeech, and base has conv"),
        ({"features": {"n_mels": 40}}, "features.n_mels", "`features.n_mels` is 40, and base has 80"),
        ({"alphabet": "abc ", "start": {"head": "keep"}}, "alphabet", "head` is keep, and base has another alphabet"),
    ],
)
def test_a_recipe_that_contradicts_its_base_is_refused(
    keys: dict[str, Any], field: str, complaint: str, base: Base
) -> None:
    with pytest.raises(BadOption, match=complaint) as caught:
        adopt(tuned(**keys), base)
    assert caught.value.field == field


def test_dropout_is_the_recipes_own(base: Base) -> None:
    adopted = adopt(tuned(model={"dropout": 0.3}), base)
    assert describe(started(adopted, base))["dropout"] == 0.3


def test_letters_that_both_alphabets_have_keep_their_rows_in_a_new_head(base: Base) -> None:
    model = started(adopt(tuned(alphabet="éab "), base), base)
    old, new = base.model.out, model.out
    assert new.weight.shape == (5, 32)
    for letter, row in (("", 0), ("a", 2), ("b", 3), (" ", 4)):
        before = LETTERS.index(letter) + 1 if letter else 0
        assert torch.equal(new.weight[row], old.weight[before])
        assert torch.equal(new.bias[row], old.bias[before])
    assert not any(torch.equal(new.weight[1], row) for row in old.weight)
    name = "gru.weight_ih_l0"
    assert torch.equal(model.get_parameter(name), base.model.get_parameter(name))


def test_a_head_that_is_asked_to_be_new_is_drawn_from_the_seed(base: Base) -> None:
    one, same, other = (
        started(adopt(tuned(start={"head": "new"}, schedule={"seed": seed}), base), base) for seed in (1, 1, 2)
    )
    assert torch.equal(one.out.weight, same.out.weight)
    assert not torch.equal(one.out.weight, other.out.weight)
    assert not any(torch.equal(row, old) for row, old in zip(one.out.weight, base.model.out.weight, strict=True))


def test_what_is_frozen_learns_nothing_and_drops_out_nothing(base: Base) -> None:
    model = started(adopt(tuned(start={"freeze": ["subsampling.*", "blocks.0.*", "gru*"]}), base), base)
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == {name for name, _ in model.named_parameters() if name.startswith(("blocks.1.", "norm.", "out."))}
    model.train()
    assert not model.get_submodule("blocks.0").training
    assert not model.get_submodule("blocks.0.norm").training
    assert model.get_submodule("blocks.1").training
    # It drops out nothing, and cuDNN passes gradients through it in this mode alone.
    assert model.get_submodule("gru").training
    assert not model.eval().get_submodule("blocks.1").training


def test_tuning_moves_what_is_not_frozen_and_nothing_else(base: Base, tmp_path: Path) -> None:
    base.model.set_normalisation([-5.0] * 80, [3.0] * 80)
    schedule = {"epochs": 2, "batch_s": 4, "workers": 0, "threads": 1, "precision": "fp32"}
    plan = adopt(tuned(start={"freeze": ["subsampling.*", "blocks.*"]}, schedule=schedule), base)
    model, around = started(plan, base), Surroundings()
    averaged = fit(plan, model, six_clips(), six_clips(), ALPHABET, MEL, around, tmp_path, Listener())
    kept = checkpoints.load(tmp_path / "last.pt")
    before = base.model.state_dict()
    moved = {name for name, weight in averaged.state_dict().items() if not torch.equal(weight, before[name])}
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert moved == learning == {name for name in before if name.startswith(("gru", "norm.", "out."))}
    assert len(kept.optimizer["state"]) == len(learning)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("block.*", r"no parameter fits 'block.\*' of `start.freeze`; near it are .*blocks.\*"),
        ("gru.weight_ih", "near it are .*gru.weight_ih_l0"),
        ("*", "freezes every parameter, and nothing is left to learn"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(pattern: str, complaint: str) -> None:
    with pytest.raises(BadOption, match=complaint):
        freeze(toy_model(), (pattern,))


def test_a_restored_model_serves_as_the_bundle_does(tiny_bundle: Path) -> None:
    """Read back, exported anew: the same numbers come from onnxruntime."""
    base, served = find_base(Start(model=str(tiny_bundle))), AcousticModel.load(tiny_bundle / "model.fp32.onnx")
    features = heard()[:1, :16]
    expected, _ = served.step(features, [served.initial()])
    with torch.no_grad():
        logprobs = base.model(torch.from_numpy(features), *base.model.initial(1))[0].numpy()
    assert logprobs == pytest.approx(expected, abs=PARITY)


def test_the_toy_of_the_tests_is_a_recipe_without_a_start() -> None:
    with pytest.raises(ValueError, match="no section `start`"):
        started(recipe(), Base("base", toy_model(), LETTERS))
