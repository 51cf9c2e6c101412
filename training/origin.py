"""What a run came from, kept in its folder: the recipe as run, its clips, code, data and machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stt_server.corpus.manifest import read_manifest, write_manifest
from stt_server.errors import BadInput, NotFound
from training.recipe import Recipe, as_yaml
from training.report.lineage import machine

if TYPE_CHECKING:
    from stt_server.corpus.clip import Clip
    from training.data import Gathering

RECIPE, CLIPS, FACTS = "recipe.yaml", "clips.csv", "run.json"
GIT_DEADLINE_S = 30


@dataclass(frozen=True, slots=True)
class Origin:
    """What the folder of an earlier run tells: its recipe, every choice made, its clips by part, hours learned from."""

    recipe: Recipe
    clips: list[Clip]
    hours: float

    def part(self, split: str) -> list[Clip]:
        return [clip for clip in self.clips if clip.split == split]


def write_origin(folder: Path, recipe: Recipe, gathering: Gathering) -> None:
    """Write `recipe.yaml`, the same as `recipe.json`, `clips.csv` and `run.json`."""
    head = "# Every key of the run as it was; `earloop train` takes this file as a recipe.\n"
    (folder / RECIPE).write_text(head + as_yaml(recipe), encoding="utf-8")
    (folder / "recipe.json").write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_manifest(folder / CLIPS, gathering.clips)
    (folder / FACTS).write_text(json.dumps(_facts(gathering), indent=2) + "\n", encoding="utf-8")


def is_run(folder: Path) -> bool:
    """Whether a run has written what it came from there."""
    return (folder / RECIPE).is_file() and (folder / FACTS).is_file()


def read_origin(folder: Path) -> Origin:
    """What `write_origin` kept. Raises NotFound for a folder without a run, BadInput for an older one's."""
    if not is_run(folder):
        raise NotFound(f"{folder} is no folder of a run: there is no {RECIPE} and {FACTS} in it")
    try:
        recipe = Recipe.model_validate(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")))
        hours = float(json.loads((folder / FACTS).read_text(encoding="utf-8"))["data"]["hours"])
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise BadInput(f"{folder}: the run is of another version or damaged: {error}") from error
    return Origin(recipe, list(read_manifest(folder / CLIPS)), hours)


def code_version() -> str:
    """The commit of this checkout, `-dirty` where files differ from it; the package's version where it is installed."""
    told = _code()
    if told["commit"]:
        return f"{told['commit']}-dirty" if told["dirty"] else str(told["commit"])
    return f"earloop {told['package']}" if told["package"] else "unknown"


def _facts(gathering: Gathering) -> dict[str, Any]:
    train = gathering.train
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "code": _code(),
        "data": {
            "sha256": gathering.digest,
            "clips": {split: len(getattr(gathering, split).clips) for split in ("train", "dev", "test")},
            "hours": train.hours,
            "divided": gathering.divided,
            "holds_for": gathering.holds_for,
            "left_out": len(gathering.errors),
        },
        "machine": machine().model_dump(mode="json"),
    }


def _code() -> dict[str, str | bool | None]:
    """Commit and whether files differ from it, where this is a checkout; the version of the installed package."""
    described = _described()
    return {
        "commit": described.removesuffix("-dirty") or None,
        "dirty": described.endswith("-dirty"),
        "package": _package(),
    }


def _described() -> str:
    root = Path(__file__).parent.parent
    if not (root / ".git").exists() or not shutil.which("git"):
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=GIT_DEADLINE_S)
    return done.stdout.strip() if done.returncode == 0 else ""


def _package() -> str | None:
    try:
        return metadata.version("earloop")
    except metadata.PackageNotFoundError:
        return None
