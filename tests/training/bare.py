"""Runs `python -m training.packed` as a bare machine would: what is not torch, numpy, yaml or pydantic is refused."""

import runpy
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

OURS = {"stt_server", "training"}
THEIRS = {"torch", "numpy", "yaml", "pydantic"}
# What these four bring along by themselves.
BROUGHT = {
    "annotated_types", "cython_runtime", "fsspec", "filelock", "functorch", "mpmath", "networkx", "packaging",
    "pydantic_core", "setuptools", "sympy", "torchgen", "typing_extensions", "typing_inspection", "_yaml",
}  # fmt: skip
ALLOWED = OURS | THEIRS | BROUGHT | sys.stdlib_module_names


class Bare(MetaPathFinder):
    """Finds what `finders` find of the allowed, and nothing else, as where nothing else is installed."""

    def __init__(self, finders: Sequence[Any]) -> None:
        self.finders = list(finders)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        first = name.partition(".")[0]
        if first not in ALLOWED and not first.startswith("_sysconfigdata"):
            return None
        return next((spec for each in self.finders if (spec := each.find_spec(name, path, target))), None)


if __name__ == "__main__":
    sys.meta_path[:] = [Bare(sys.meta_path)]
    sys.argv = ["training.packed", *sys.argv[1:]]
    runpy.run_module("training.packed", run_name="__main__", alter_sys=False)
