"""A recipe is checked before anything is done with it, and its errors name the key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stt_server.errors import BadOption, NotFound
from training.recipe import RECIPES, Recipe, find_recipe, load_recipe, read_change

MINIMAL = {"name": "mine", "data": {"train": [{"corpus": "speech"}]}}


def written(folder: Path, **keys: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | keys), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid_and_named_as_their_files(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.licence != Recipe.model_fields["licence"].default


def test_the_shipped_model_looks_at_most_320_ms_ahead() -> None:
    assert sum(load_recipe("en-small").model.lookahead) * 40 + 15 == 295


def test_a_recipe_needs_a_name_and_data_alone(tmp_path: Path) -> None:
    assert load_recipe(written(tmp_path)).schedule.epochs >= 1


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"schedul": {}}, "there is no key `schedul`; did you mean `schedule`?"),
        ({"schedule": {"epoch": 3}}, "there is no key `schedule.epoch`; did you mean `epochs`?"),
        ({"data": {"train": [{"corpsu": "x"}]}}, "there is no key `data.train.0.corpsu`; did you mean `corpus`?"),
        ({"augmentation": {"qqqqqq": 1}}, "there is no key `augmentation.qqqqqq`"),
        ({"schedule": {"epochs": "many"}}, "`schedule.epochs`: input should be a valid integer"),
        ({"schedule": {"epochs": 0}}, "`schedule.epochs`: input should be greater than or equal to 1"),
        ({"augmentation": {"noise": 1.5}}, "`augmentation.noise`: input should be less than or equal to 1"),
        ({"augmentation": {"gain_db": [6, -6]}}, "`gain_db` runs from 6 down to -6; write the smaller number first"),
        ({"augmentation": {"speed_range": [0, 1]}}, "`speed_range` must lie above 0"),
        ({"augmentation": {"band_width": 90}}, "a `band_width` of 90 hides more than the 80 bands there are"),
        ({"features": {"n_mels": 41}}, "`features.n_mels`: input should be a multiple of 4"),
        ({"model": {"depth": 3}}, "`lookahead` has 10 numbers for a `depth` of 3; give as many"),
        ({"model": {"depth": 1, "kernel": 3, "lookahead": [3]}}, "a block looks 0 to 2 frames ahead"),
        ({"data": {"train": []}}, "`data.train`: tuple should have at least 1 item"),
        ({"data": {"train": [{}]}}, "a source is either a `corpus` or `synthetic` speech; name one of them"),
        ({"data": {"train": [{"corpus": "x", "synthetic": {}}]}}, "a source is either a `corpus` or `synthetic`"),
        ({"lm": {"order": 2, "cutoffs": [0, 0, 1]}}, "3 `cutoffs` for `order` 2"),
        ({"lm": {"cutoffs": [1, 0]}}, "`cutoffs` must not fall"),
        ({"name": "My Model"}, "`name`: string should match pattern"),
    ],
)
def test_what_is_wrong_is_named_in_a_sentence(keys: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption) as caught:
        load_recipe(written(tmp_path, **keys))
    assert complaint in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- list\n", "just words\n", ""])
def test_a_file_that_is_no_mapping_is_no_recipe(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadOption, match="must be a mapping of sections"):
        load_recipe(str(path))


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x00"])
def test_a_file_that_is_no_yaml_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(BadOption, match="is not YAML"):
        load_recipe(str(path))


def test_a_recipe_that_there_is_not_is_answered_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="there is no recipe 'tiyn'.*en-small, tiny"):
        find_recipe("tiyn")


def test_changes_are_set_on_top_of_the_file(tmp_path: Path) -> None:
    told = ["schedule.epochs=3", "model.lookahead=[1, 0]", "model.depth=2", "data.train.0.weight=2", "lm.beam=9"]
    changes = dict(map(read_change, told))
    recipe = load_recipe(written(tmp_path), changes)
    assert (recipe.schedule.epochs, recipe.model.lookahead, recipe.data.train[0].weight) == (3, (1, 0), 2.0)
    assert recipe.lm is not None  # a section that the file does not have
    assert recipe.lm.beam == 9


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("epochs", "write key=value, such as schedule.epochs=3"),
        ("=3", "write key=value"),
        ("model.depth=[1", "the value of 'model.depth=\\[1' is not YAML"),
        ("name.first=x", "`name.first` cannot be set: the recipe has no place for `first` there"),
        ("data.train.7.weight=2", "no place for `7` there"),
        ("data.train.first.weight=2", "no place for `first` there"),
        ("schedul.epochs=3", "with schedul.epochs set: there is no key `schedul`; did you mean `schedule`?"),
    ],
)
def test_a_change_that_cannot_be_made_says_why(change: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=complaint):
        load_recipe(written(tmp_path), dict([read_change(change)]))


def test_a_recipe_written_down_is_the_same_recipe() -> None:
    recipe = load_recipe("en-small")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
