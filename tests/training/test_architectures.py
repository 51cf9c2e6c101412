"""One table names the architectures; recipes and checkpoints say which, and old checkpoints are `conv`."""

import pytest
import torch

from stt_server.errors import BadInput
from tests.training.material import recipe, toy_model
from training.architectures import ARCHITECTURES, architecture_of, build, describe, new_model
from training.recipe import Recipe


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_can_be_built_from_what_is_told_of_it(name: str) -> None:
    model = build({"architecture": name, "width": 24})
    assert architecture_of(model) == name
    again = build(describe(model))
    assert again.shape == model.shape
    again.load_state_dict(model.state_dict())


def test_sizes_without_an_architecture_are_those_of_an_old_checkpoint() -> None:
    old = {"n_mels": 80, "labels": 29, "width": 32, "depth": 1, "kernel": 5, "channels": 4, "right": [1]}
    assert architecture_of(build(old)) == "conv"


@pytest.mark.parametrize(
    ("described", "complaint"),
    [
        ({"architecture": "transformer"}, "no architecture 'transformer'; this version knows conv, deepspeech"),
        ({"architecture": "deepspeech", "kernel": 5}, "not the sizes of a deepspeech model: .*kernel"),
    ],
)
def test_what_cannot_be_built_is_refused(described: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        build(described)


def test_a_recipe_chooses_the_architecture_and_its_width() -> None:
    deep = {"architecture": "deepspeech", "width": 134, "context": 3, "dropout": 0.05}
    plain = Recipe.model_validate({**recipe().model_dump(), "model": deep})
    assert describe(new_model(plain)) == {**deep, "n_mels": 80, "labels": 29}
    assert architecture_of(toy_model()) == "conv"


def test_the_weights_of_a_new_model_are_a_matter_of_the_seed() -> None:
    one, same, other = (new_model(recipe(schedule={"seed": seed})) for seed in (1, 1, 2))
    assert torch.equal(one.out.weight, same.out.weight)
    assert not torch.equal(one.out.weight, other.out.weight)
