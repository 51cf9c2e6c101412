"""The README tells every key of report.json; `python -m tests.training.report.test_readme` prints its table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from training.report import Report

README = Path(__file__).parents[3] / "training" / "report" / "README.md"
TOLD_ONCE = ("BundleHash", "Interval", "Rates")  # they come back under many keys


def table() -> str:
    return key_table(Report)


def key_table(report: type[BaseModel], leave_out: Sequence[str] = ()) -> str:
    """A row for each key with what it is; keys in `leave_out` are not unfolded."""
    return "\n".join(["| key | what it is |", "| --- | --- |", *_rows(report, "", set(), leave_out)])


def _rows(part: type[BaseModel], prefix: str, told: set[str], leave_out: Sequence[str]) -> Iterator[str]:
    for name, field in part.model_fields.items():
        inner, step = _inside(field.annotation)
        yield f"| `{prefix}{name}` | {field.description} |"
        if name not in leave_out and inner is not None and not (inner.__name__ in TOLD_ONCE and inner.__name__ in told):
            told.add(inner.__name__)
            yield from _rows(inner, f"{prefix}{name}.{step}", told, leave_out)


def _inside(kind: object) -> tuple[type[BaseModel] | None, str]:
    """The section inside an annotation such as `list[Source]` or `Rates | None`, and what stands for its place."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind, ""
    for argument in get_args(kind):
        inner, step = _inside(argument)
        if inner is not None:
            origin = getattr(kind, "__origin__", None)
            return inner, ("N." if origin is list else "NAME." if origin is dict else "") + step
    return None, ""


def test_the_readme_tells_every_key_of_the_report() -> None:
    text = README.read_text(encoding="utf-8")
    assert text.split("<!-- keys -->\n")[1].split("<!-- /keys -->")[0] == f"{table()}\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(f"{table()}\n")
