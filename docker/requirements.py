"""Print what pyproject.toml wants installed, the package itself left out: `requirements.py PYPROJECT EXTRA…`.

An image installs these first, in a layer that stays while only our code changes. pip has no option for it.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: str, extras: list[str]) -> list[str]:
    """The dependencies, then those of each extra. Raises KeyError for an extra that does not exist."""
    project = tomllib.loads(pyproject)["project"]
    return [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]


if __name__ == "__main__":
    path, *asked = sys.argv[1:]
    sys.stdout.writelines(f"{each}\n" for each in requirements(Path(path).read_text(encoding="utf-8"), asked))
