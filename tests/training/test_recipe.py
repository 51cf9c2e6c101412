"""A recipe is checked before anything is done with it, and its errors name the key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from stt_server.errors import BadOption, NotFound
from training.recipe import RECIPES, Recipe, find_recipe, load_recipe, read_change, sized

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
        ({"augmentation": {"gain_db": [6, -6]}}, "`augmentation.gain_db`: it runs from 6 down to -6; write the"),
        ({"augmentation": {"speed_range": [0, 1]}}, "`speed_range` reaches from 0 to 1; it must lie within 0.5 to 2"),
        ({"augmentation": {"snr_db": 10}}, "`augmentation.snr_db`: write [low, high], or {from: [low, high], to:"),
        ({"augmentation": {"snr_db": {"from": [1, 2], "too": [0, 1]}}}, "`augmentation.snr_db`: write [low, high]"),
        ({"calm": {"snr_db": {"from": [1, 2], "to": [2, 1]}}}, "`calm.snr_db`: it runs from 2 down to 1"),
        ({"calm": {"lead_s": {"from": [0, 1], "to": [-1, 0]}}}, "`lead_s` reaches from -1 to 1; it must lie within"),
        ({"augmentation": {"band_width": 90}}, "a `band_width` of 90 hides more than the 80 bands there are"),
        ({"features": {"n_mels": 41}}, "`features.n_mels`: input should be a multiple of 4"),
        ({"model": {"depth": 3}}, "`lookahead` has 10 numbers for a `depth` of 3; give as many"),
        ({"model": {"depth": 1, "kernel": 3, "lookahead": [3]}}, "a block looks 0 to 2 frames ahead"),
        ({"model": {"architecture": "deepspeech", "kernel": 5}}, "`kernel` is a size of `conv`, and this model is"),
        ({"model": {"context": 5}}, "`context` is a size of `deepspeech`, and this model is `conv`"),
        ({"model": {"architecture": "convv"}}, "`model.architecture`: input should be 'conv' or 'deepspeech'"),
        (
            {"data": {"train": [{"corpus": "x"}], "split": True, "dev": [{"corpus": "x"}]}},
            "name them or let it, not both",
        ),
        (
            {"sizes": [{"hours": 1, "set": {"model.widht": 9}}]},
            "size up to 1 h: there is no key `model.widht`",
        ),
        ({"sizes": [{"hour": 1}]}, "there is no key `sizes.0.hour`; did you mean `hours`?"),
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
    with pytest.raises(NotFound, match="there is no recipe 'tiyn'.*en-small.*tiny"):
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


def chain(folder: Path, **files: dict[str, Any]) -> str:
    """Recipes of the names given, the first of which is to be loaded."""
    for name, keys in files.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    return str(folder / f"{next(iter(files))}.yaml")


def test_a_recipe_extends_another_section_by_section(tmp_path: Path) -> None:
    base = MINIMAL | {"schedule": {"epochs": 3, "seed": 7}, "lm": {"beam": 9}, "limits": "none"}
    top = {"extends": "base.yaml", "name": "top", "schedule": {"epochs": 5}, "data": {"noise": ["a"]}, "lm": None}
    recipe = load_recipe(chain(tmp_path, top=top, base=base))
    assert (recipe.name, recipe.schedule.epochs, recipe.schedule.seed) == ("top", 5, 7)
    assert (recipe.data.train[0].corpus, recipe.data.noise) == ("speech", ("a",))
    assert (recipe.lm, recipe.limits) == (None, "none")


def test_lists_are_replaced_whole(tmp_path: Path) -> None:
    base = MINIMAL | {"data": {"train": [{"corpus": "a"}, {"corpus": "b"}]}}
    recipe = load_recipe(chain(tmp_path, top={"extends": "base.yaml", "data": {"train": [{"corpus": "c"}]}}, base=base))
    assert [source.corpus for source in recipe.data.train] == ["c"]


def test_a_recipe_extends_a_shipped_one_and_one_that_extends(tmp_path: Path) -> None:
    path = chain(tmp_path, top={"extends": "middle.yaml"}, middle={"extends": "tiny", "schedule": {"epochs": 77}})
    recipe = load_recipe(path)
    assert (recipe.name, recipe.schedule.epochs) == ("tiny", 77)


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (
            {"one": {"extends": "two.yaml"}, "two": {"extends": "one.yaml"}},
            "one.yaml extends two.yaml extends one.yaml",
        ),
        ({"one": {"extends": "one.yaml"}}, "in a circle: one.yaml extends one.yaml"),
        ({"one": {"extends": ["a", "b"]}}, "`extends` names one recipe"),
    ],
)
def test_recipes_that_cannot_be_extended_are_refused(
    files: dict[str, dict[str, Any]], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(BadOption, match=complaint):
        load_recipe(chain(tmp_path, **files))


def test_a_recipe_to_extend_that_there_is_not_is_named_with_who_asked(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="one.yaml extends a recipe that is not there; there is no recipe 'smal'"):
        load_recipe(chain(tmp_path, one={"extends": "smal"}))


SIZED = MINIMAL | {
    "sizes": [
        {"hours": 1, "set": {"schedule.epochs": 90, "schedule.batch_s": 20}},
        {"hours": 10, "set": {"schedule.epochs": 30}},
        {"set": {"schedule.epochs": 12}},
    ]
}


@pytest.mark.parametrize(("hours", "epochs"), [(0.1, 90), (1, 90), (1.1, 30), (500, 12)])
def test_a_recipe_is_sized_by_the_hours_there_are(hours: float, epochs: int, tmp_path: Path) -> None:
    recipe = sized(load_recipe(written(tmp_path, **SIZED)), hours)
    assert recipe.schedule.epochs == epochs
    assert not recipe.sizes


def test_what_somebody_sets_stays_whatever_the_hours(tmp_path: Path) -> None:
    by_hand = sized(load_recipe(written(tmp_path, **SIZED), {"schedule.epochs": 5}), 0.1)
    assert (by_hand.schedule.epochs, by_hand.schedule.batch_s) == (5, 20)
    extending = chain(tmp_path, top={"extends": "mine.yaml", "schedule": {"epochs": 6}})
    assert sized(load_recipe(extending), 0.1).schedule.epochs == 6
