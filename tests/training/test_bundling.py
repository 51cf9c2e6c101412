"""What a bundle says of itself before anything in it was heard."""

import re
from typing import Any

import pytest

from training.bundling import version_of


def files(fp32: str = "a", lm: str | None = None) -> dict[str, Any]:
    """A manifest as far as its version needs it."""
    models = {
        name: {"path": f"model.{name}.onnx", "sha256": digit * 64} for name, digit in (("fp32", fp32), ("int8", "b"))
    }
    return {"models": models} | ({"lm": {"path": "lm.arpa.gz", "sha256": lm * 64}} if lm else {})


def test_a_version_is_the_day_and_a_digest_that_a_catalog_can_name() -> None:
    assert re.fullmatch(r"20\d{6}\.[0-9a-f]{8}", version_of(files()))


@pytest.mark.parametrize("other", [files(fp32="c"), files(lm="c")])
def test_two_models_of_one_day_have_two_versions(other: dict[str, Any]) -> None:
    """Only what stands behind the dot: the test may run over midnight."""
    first, again, second = (version_of(each).split(".")[1] for each in (files(), files(), other))
    assert first == again != second
