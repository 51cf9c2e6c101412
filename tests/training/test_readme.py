"""The trainer's README tells the keys there are; `python -m tests.training.test_readme` prints its table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from training.recipe import EarlyStop, LanguageModel, Recipe, Source, Start, SyntheticSpeech

README = Path(__file__).parents[2] / "training" / "README.md"
INSIDE: dict[str, type[BaseModel]] = {
    "data.train": Source,
    "start": Start,
    "lm": LanguageModel,
    "schedule.early_stop": EarlyStop,
    "data.train.N.synthetic": SyntheticSpeech,
}
NOT_UNFOLDED = {"calm", "data.dev", "data.test", "data.replay"}  # the keys of another section again


def table() -> str:
    head = ["| key | default | what it does |", "| --- | --- | --- |"]
    return "\n".join([*head, *_rows(Recipe, "")])


def _rows(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{name}"
        inner = INSIDE.get(key) or _section(field.annotation)
        if inner is None or key in NOT_UNFOLDED or field.description:
            yield f"| `{key}` | {_default(field)} | {field.description} |"
        if inner is not None and key not in NOT_UNFOLDED:
            yield from _rows(inner, f"{key}.N." if key == "data.train" else f"{key}.")


def _section(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or isinstance(field.default, BaseModel) or field.default in ("", ()):
        return "none"
    shown = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
    return f"`{shown.replace('(', '[').replace(')', ']')}`"


def test_the_readme_tells_every_key_of_a_recipe() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.split("<!-- keys -->\n")[1].split("<!-- /keys -->")[0] == f"{table()}\n"


def test_every_key_of_a_recipe_says_what_it_does() -> None:
    assert "| None |" not in table()


def test_experiments_have_a_place() -> None:
    assert "\n## Experiments\n" in README.read_text(encoding="utf-8")


if __name__ == "__main__":
    import sys

    sys.stdout.write(f"{table()}\n")
