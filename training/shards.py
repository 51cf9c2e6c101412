"""A pack: what `fit` needs of a run, in a folder of files that numpy alone reads.

    recipe.yaml     every key, as in the folder of the run
    pack.json       what follows
    start.pt        where the recipe goes on from a model, its weights
    *.npz           clips of one part each: `audio` in one of `codecs`, one stream; `ends`, where each clip ends in its
                    samples; `rows`, a JSON list of [number, text, source, speaker, weight, name]

`number` is a clip's place among those of its part at home, so that a whole pack is learned in the order of home, and a
part of it in the same order with gaps. Parts are `train` (what is replayed included), `dev`, `noise` and `rir`.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from stt_server.errors import BadInput, NotFound
from training.clips import ClipArray, Spoken
from training.codecs import codec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pcm = NDArray[np.int16]

PACK, RECIPE, START = "pack.json", "recipe.yaml", "start.pt"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(_Part):
    """A file of a pack; `snr_db` is how far what its encoding lost lies below it, null where nothing was."""

    file: str
    sha256: str
    part: str
    clips: int
    seconds: float
    snr_db: float | None = None


class Amount(_Part):
    clips: int
    seconds: float


class Pack(_Part):
    """`pack.json`. `whole` is what there was to pack of each part; training clips from `first_replay` on are replayed,
    and where `hold` is set, held to what the model of `start.pt` makes of them.
    """

    format: Literal[1] = 1
    encoding: str
    whole: dict[str, Amount]
    first_replay: int
    hold: bool = False
    start: str | None = None  # its SHA-256
    shards: list[Shard]

    def held(self, part: str) -> Amount:
        """What the shards have of a part."""
        mine = [shard for shard in self.shards if shard.part == part]
        return Amount(clips=sum(each.clips for each in mine), seconds=sum(each.seconds for each in mine))


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of a packed clip beside its samples."""

    number: int
    text: str = ""
    source: str = ""
    speaker: str = ""
    weight: float = 1.0
    name: str = ""

    @property
    def said(self) -> Spoken:
        return Spoken(self.text, self.source, self.speaker, self.weight, self.name)


def write_shard(path: Path, encoding: str, clips: Sequence[Pcm], rows: Sequence[Row]) -> None:
    """Appears whole or not at all."""
    stream = np.concatenate(clips) if clips else np.zeros(0, np.int16)
    told = json.dumps([astuple(row) for row in rows], ensure_ascii=False, separators=(",", ":"))
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(
            file,
            audio=codec(encoding).encode(stream),
            ends=np.cumsum([len(clip) for clip in clips], dtype=np.int64),
            rows=np.frombuffer(told.encode(), np.uint8),
        )
    part.replace(path)


def read_shard(path: Path, encoding: str) -> tuple[Pcm, NDArray[np.int64], list[Row]]:
    """All samples as one stream, where each clip ends, and its row. Raises BadInput for a file that is none."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            ends, audio = kept["ends"], kept["audio"]
            rows = [Row(*row) for row in json.loads(kept["rows"].tobytes())]
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path} is damaged or no shard of this version; pack again") from error
    return codec(encoding).decode(audio, int(ends[-1]) if len(ends) else 0), ends, rows


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_pack(folder: Path) -> Pack:
    """Raises NotFound, and BadInput for a pack of another version."""
    path = folder / PACK
    if not path.is_file():
        raise NotFound(f"{folder} holds no pack: there is no {PACK} in it; `earloop train pack RECIPE` writes one")
    try:
        return Pack.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BadInput(f"{path} is damaged or of another version: {error.errors()[0]['msg']}") from error


def find_files(pack: Pack, folders: Sequence[Path]) -> dict[str, Path]:
    """Where each file of the pack lies among `folders`, its content checked. Raises NotFound naming what is not there,
    BadInput for what is not what was packed.
    """
    wanted = {shard.file: shard.sha256 for shard in pack.shards} | ({START: pack.start} if pack.start else {})
    found = {name: folder / name for name in wanted for folder in reversed(folders) if (folder / name).is_file()}
    missing = sorted(set(wanted) - set(found))
    if missing:
        raise NotFound(f"of the pack's {len(wanted)} files there is no {missing[0]}, and {len(missing) - 1} others")
    for name, path in found.items():
        if digest(path) != wanted[name]:
            raise BadInput(f"{path} is not what was packed: its SHA-256 is not that of {PACK}; bring it again")
    return found


def read_part(pack: Pack, part: str, files: dict[str, Path]) -> tuple[ClipArray, list[int]]:
    """The clips of a part in the order they have at home, and their numbers there."""
    clips: list[tuple[Row, Pcm]] = []
    for shard in pack.shards:
        if shard.part == part:
            stream, ends, rows = read_shard(files[shard.file], pack.encoding)
            clips += zip(rows, np.split(stream, ends[:-1]), strict=True)
    clips.sort(key=lambda clip: clip[0].number)
    samples = np.concatenate([pcm for _, pcm in clips]) if clips else np.zeros(0, np.int16)
    ends = np.cumsum([len(pcm) for _, pcm in clips], dtype=np.int64)
    return ClipArray(samples, ends, [row.said for row, _ in clips]), [row.number for row, _ in clips]
