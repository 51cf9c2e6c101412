"""Recipes on top of other recipes: `extends: NAME|PATH`, merged before anything is checked.

Sections merge key by key, lists and single values replace what was there, `null` takes a section away. A path is looked
for beside the recipe that names it, then from where the command was called; a bare name is a shipped recipe.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from stt_server.errors import BadOption, NotFound

RECIPES = Path(__file__).parent / "recipes"
EXTENDS = "extends"
SIZES = "sizes"

Tree = dict[str, Any]


def find_recipe(name: str, beside: Path | None = None) -> Path:
    """A recipe's file: the path given, or the shipped one of that name. Raises NotFound naming those shipped."""
    near = [beside / name] if beside else []
    for path in (*near, Path(name), RECIPES / f"{name}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
    raise NotFound(f"there is no recipe {name!r}: give a YAML file's path or one of: {shipped}")


def read_tree(path: Path) -> Tree:
    """The keys of a recipe file, on top of those of the one it extends, and so on down. Raises BadOption, NotFound."""
    return _read_on_top(path, ())


def merged(base: Tree, top: Tree) -> Tree:
    """`top` on `base`; neither is changed."""
    result = dict(base)
    for key, value in top.items():
        under = result.get(key)
        result[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return result


def settle(tree: Tree, dotted: str) -> None:
    """Take a key out of the `sizes` of a tree, because somebody has said what it is to be."""
    rows = tree.get(SIZES)
    if isinstance(rows, list):
        tree[SIZES] = [_without(row, dotted) for row in rows]


def _read_on_top(path: Path, above: tuple[Path, ...]) -> Tree:
    place = path.absolute().resolve()
    if place in above:
        round_trip = " extends ".join(each.name for each in (*above[above.index(place) :], place))
        raise BadOption(f"{path}: recipes extend each other in a circle: {round_trip}", field=EXTENDS)
    tree = _read(path)
    name = tree.pop(EXTENDS, None)
    if name is None:
        return tree
    if not isinstance(name, str):
        raise BadOption(f"{path}: `{EXTENDS}` names one recipe, a file or a shipped one, not {name!r}", field=EXTENDS)
    try:
        beneath = find_recipe(name, path.parent)
    except NotFound as error:
        raise NotFound(f"{path} extends a recipe that is not there; {error}", field=EXTENDS) from error
    base = _read_on_top(beneath, (*above, place))
    for dotted in _leaves(tree):
        settle(base, dotted)
    return merged(base, tree)


def _read(path: Path) -> Tree:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadOption(f"{path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise BadOption(f"{path} holds no recipe: it must be a mapping of sections such as `data` and `model`")
    return tree


def _leaves(tree: Tree, prefix: str = "") -> list[str]:
    """The dotted keys of a tree down to lists and single values."""
    found = []
    for key, value in tree.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def _without(row: Any, dotted: str) -> Any:
    if not isinstance(row, dict) or not isinstance(row.get("set"), dict):
        return row
    return {**row, "set": {key: value for key, value in row["set"].items() if not _overlap(key, dotted)}}


def _overlap(key: str, other: str) -> bool:
    """Whether one is the other or lies in it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")
