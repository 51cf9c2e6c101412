"""`earloop train pack RECIPE`: a run made ready for a machine that has no more than torch, numpy, yaml and pydantic.

Data is gathered, listened to and split here, the language model is made here, and here is what the run comes back to:
`packed.py` learns there, `earloop export RUN` or `earloop train --resume` goes on here.

Where not all fits, validation and noise have a share of the room each and training clips the rest. What is left out is
chosen by a hash of each clip, which keeps the mixture of sources and is the same each time. Files that an earlier call
wrote, broken off or not, are not written again: their names tell what is in them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from stt_server.errors import TooLarge
from training import checkpoints
from training.architectures import describe
from training.checkpoints import Checkpoint, Progress
from training.clips import SAMPLE_RATE, ClipArray, Spoken
from training.codecs import codec, snr_db
from training.origin import is_run, write_origin
from training.preparing import prepare
from training.recipe import as_yaml
from training.replay import USUAL
from training.rundir import decoded, learned_from
from training.shards import PACK, RECIPE, START, Amount, Pack, Row, Shard, digest, read_shard, write_shard
from training.sources import surroundings
from training.start import started
from training.tuning import hold_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from training.data import Gathering
    from training.rundir import Run

    Say = Callable[[str], None]

MEBIBYTE = 1 << 20
SHARD_BYTES = 8 * MEBIBYTE  # before compression
LEAST_ROOM = 1 << 16  # below it no further shard is worth its file
ROW_BYTES = 24  # of a row beside its words
SHARES = {"dev": 0.15, "noise": 0.1, "rir": 0.05}  # of the room, at most


def pack_run(run: Run, folder: Path, mib: float, encoding: str) -> Pack:
    """Gather the run and write its pack of at most so many MiB into `folder`, telling what fitted.

    Raises TooLarge where not even one training clip fits, BadInput for an encoding that is not known.
    """
    codec(encoding)  # refused now, not after an hour of gathering
    run, gathering = prepare(run, resume=is_run(run.folder))
    run = _with_usual_share(run, gathering)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECIPE).write_text(as_yaml(run.recipe), encoding="utf-8")
    hold = run.base is not None and hold_of(run.recipe, run.base, gathering) is not None
    start = _write_start(run, folder)
    clips = parts_of(run, gathering)
    writer = Writer(folder, encoding, int(mib * MEBIBYTE) - _size(folder, (RECIPE, START)) - LEAST_ROOM // 4)
    shards = [
        shard for part, share in (*SHARES.items(), ("train", 1.0)) for shard in writer.fill(part, clips[part], share)
    ]
    if not any(shard.part == "train" for shard in shards):
        raise TooLarge(f"not one training clip fits into {mib:g} MiB; raise --mib", field="mib")
    whole = {part: Amount(clips=len(each), seconds=float(each.seconds.sum())) for part, each in clips.items()}
    first = len(gathering.train.clips)
    pack = Pack(encoding=encoding, whole=whole, first_replay=first, hold=hold, start=start, shards=shards)
    (folder / PACK).write_text(pack.model_dump_json(indent=1) + "\n", encoding="utf-8")
    _remove_others(folder, pack)
    for sentence in told(pack, folder):
        run.terminal.say(sentence)
    return pack


def _with_usual_share(run: Run, gathering: Gathering) -> Run:
    """The run with a share of replay that leaves nothing open. `auto` learns three times to find one; that is for the
    machine that learns, and it does not know how, so the usual one is taken.
    """
    data = run.recipe.data
    if data.replay_share != "auto":
        return run
    run = replace(run, recipe=run.recipe.model_copy(update={"data": data.model_copy(update={"replay_share": USUAL})}))
    write_origin(run.folder, run.recipe, gathering)
    return run


def parts_of(run: Run, gathering: Gathering) -> dict[str, ClipArray]:
    """All that `fit` hears, by part."""
    around = surroundings(run.recipe.data.noise, run.places)
    heard = {"noise": around.noises, "rir": around.rooms}
    spoken = {"dev": decoded(run, gathering.dev), "train": decoded(run, learned_from(run, gathering))}
    return spoken | {part: _as_clips(samples) for part, samples in heard.items()}


def _as_clips(sounds: Sequence[NDArray[np.float32]]) -> ClipArray:
    pcm = [np.round(np.clip(each, -1, 1 - 2**-15) * 32768).astype(np.int16) for each in sounds]
    samples = np.concatenate(pcm) if pcm else np.zeros(0, np.int16)
    ends = np.cumsum([len(each) for each in pcm], dtype=np.int64)
    return ClipArray(samples, ends, [Spoken("", "", "", name=str(number)) for number in range(len(pcm))])


def _write_start(run: Run, folder: Path) -> str | None:
    """The weights that learning starts from, as a checkpoint, and its hash; in float16 where they are such numbers."""
    path = folder / START
    if run.base is None:
        path.unlink(missing_ok=True)
        return None
    model = started(run.recipe, run.base)
    weights = {name: _short(weight) for name, weight in model.state_dict().items()}
    kept = Checkpoint({}, weights, {}, Progress(), shape=describe(model), letters=run.recipe.alphabet)
    checkpoints.save(kept, path)
    return digest(path)


def _short(weight: torch.Tensor) -> torch.Tensor:
    half = weight.half()
    return half if torch.equal(half.float(), weight) else weight


@dataclass(slots=True)
class Writer:
    """Writes shards into `folder` until `room` bytes are full."""

    folder: Path
    encoding: str
    room: int

    def fill(self, part: str, clips: ClipArray, share: float = 1.0) -> Iterator[Shard]:
        """As many clips of a part as fit into its share of the room."""
        mine, number, chosen, size = int(self.room * share), 0, list[int](), 0
        for clip in _in_order(part, clips):
            cost = self._cost(clips, clip)
            if chosen and size + cost > min(SHARD_BYTES, mine):
                shard, written = self._write(f"{part}-{number:03d}", part, clips, chosen)
                yield shard
                mine, number, chosen, size = mine - written, number + 1, [], 0
            if cost > mine or mine < LEAST_ROOM:
                break
            chosen.append(clip)
            size += cost
        if chosen:
            yield self._write(f"{part}-{number:03d}", part, clips, chosen)[0]

    def _cost(self, clips: ClipArray, clip: int) -> int:
        """Bytes at most."""
        said = clips.said[clip]
        words = sum(len(each.encode()) for each in (said.text, said.source, said.speaker, Path(said.name).name))
        audio = math.ceil(codec(self.encoding).sample_bytes * len(clips.pcm(clip)))
        return audio + words + ROW_BYTES

    def _write(self, name: str, part: str, clips: ClipArray, chosen: Sequence[int]) -> tuple[Shard, int]:
        pcm = [clips.pcm(clip) for clip in chosen]
        rows = [_row(clip, clips.said[clip]) for clip in chosen]
        path = self.folder / f"{name}-{_key(self.encoding, pcm, rows)}.npz"
        if not path.is_file():
            write_shard(path, self.encoding, pcm, rows)
        heard, _, _ = read_shard(path, self.encoding)
        lost = snr_db(np.concatenate(pcm), heard)
        written = path.stat().st_size
        self.room -= written
        seconds = sum(map(len, pcm)) / SAMPLE_RATE
        shard = Shard(
            file=path.name,
            sha256=digest(path),
            part=part,
            clips=len(chosen),
            seconds=seconds,
            snr_db=round(lost, 1) if math.isfinite(lost) else None,
        )
        return shard, written


def _in_order(part: str, clips: ClipArray) -> list[int]:
    def mark(clip: int) -> bytes:
        said = clips.said[clip]
        return hashlib.sha256(f"{part} {said.name} {said.text}".encode()).digest()

    return sorted(range(len(clips)), key=mark)


def _row(clip: int, said: Spoken) -> Row:
    """With the name of its file alone: the folders of this machine are nobody's business there."""
    return Row(clip, said.text, said.source, said.speaker, said.weight, Path(said.name).name)


def _key(encoding: str, pcm: Sequence[NDArray[np.int16]], rows: Sequence[Row]) -> str:
    """Eight letters that are others for other clips, texts or encodings."""
    content = hashlib.sha256(json.dumps([encoding, [astuple(row) for row in rows]]).encode())
    for each in pcm:
        content.update(each.tobytes())
    return content.hexdigest()[:8]


def _size(folder: Path, names: Sequence[str]) -> int:
    return sum((folder / name).stat().st_size for name in names if (folder / name).is_file())


def _remove_others(folder: Path, pack: Pack) -> None:
    """Shards of an earlier pack in the same folder."""
    mine = {shard.file for shard in pack.shards}
    for path in folder.glob("*-[0-9][0-9][0-9]-????????.npz"):
        if path.name not in mine:
            path.unlink()


def told(pack: Pack, folder: Path) -> Iterator[str]:
    """What fitted, what it costs to learn from it, and what to do where not all did."""
    names = {"train": "to learn from", "dev": "to validate on", "noise": "of noise", "rir": "of rooms"}
    for part, name in names.items():
        whole, held = pack.whole[part], pack.held(part)
        if whole.clips:
            yield f"{name}: {held.clips} of {whole.clips} clips, {_time(held.seconds)} of {_time(whole.seconds)}"
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    lost = [shard.snr_db for shard in pack.shards if shard.part == "train" and shard.snr_db is not None]
    loss = f"what is lost lies {min(lost):.0f} dB or more below the speech" if lost else "nothing is lost"
    yield f"packed {size / MEBIBYTE:.1f} MiB in {len(pack.shards)} shards into {folder}; {pack.encoding}: {loss}"
    train, whole = pack.held("train"), pack.whole["train"]
    if train.clips < whole.clips:
        of_train = _size(folder, [shard.file for shard in pack.shards if shard.part == "train"])
        needed = (size - of_train + of_train * whole.seconds / train.seconds) / MEBIBYTE
        yield f"the rest of the training clips is left out: all of them need about --mib {math.ceil(1.05 * needed)}"


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 600 else f"{seconds:.0f} s"
