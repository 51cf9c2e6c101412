"""A snapshot as files: audio first, a clip at a time, then the lists that name what was written.

| format | audio | lists |
| --- | --- | --- |
| `earloop`, `nemo`, `common-voice` | `clips/….flac` | one, or one per split |
| `deepspeech` | `clips/….wav`: DeepSpeech reads no flac | `train.csv`, `dev.csv`, `test.csv` |
| `audiofolder` | `train/….flac`, `dev/….flac`, `test/….flac` | `metadata.csv` beside them |
| `webdataset` | `train-000000.tar` …: `NAME.flac`, `NAME.txt`, `NAME.json` in shards | none |

Beside them lie `LICENCE.txt` and `snapshot.json`: statistics, hashes, how many rows were withdrawn. Clips without
speech are in no list of speech; they lie in `noise/` with a manifest that a recipe's `data.noise` takes.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stt_server.corpus.clip import Clip
from stt_server.corpus.formats.table import write_corpus
from stt_server.corpus.splits import SHARES
from stt_server.datasets.archives import File, tar_of
from stt_server.datasets.hashes import name_of, row_hash, speaker_of
from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.speech.files import read_audio, write_wav
from stt_server.store import audit, datasets, snapshots
from stt_server.store.ring import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore
    from stt_server.store.snapshots import Line, Snapshot

WEBDATASET: Final = "webdataset"
FORMATS: Final = ("earloop", "deepspeech", "nemo", "common-voice", "audiofolder", WEBDATASET)
SHARD_BYTES: Final = 32 << 20  # of a webdataset; one is in memory at a time
NOISE: Final = "noise"


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written, as the database had it when it was asked for."""

    snapshot: Snapshot
    dataset_id: str
    lines: list[Line]
    format: str


def open_export(database: Database, name: str, number: int | None, format_: str) -> Export:
    """The rows that may be used of a snapshot, the newest unless said.

    Raises NotFound, BadOption for a format that is none, Conflict for rows that are not what they were.
    """
    if format_ not in FORMATS:
        raise BadOption(f"A snapshot is exported as one of {', '.join(FORMATS)}.", field="format")
    with database.read() as connection:
        snapshot = snapshots.get(connection, name, number)
        dataset_id = datasets.get(connection, name).id
        lines = snapshots.lines(connection, snapshot.id)
    for line in lines:
        if row_hash(line, snapshot.purpose, dataset_id) != line.row_sha256:
            raise Conflict(f"Clip {line.clip_id} of {name} {snapshot.number} is not what it was; make a new snapshot.")
    return Export(snapshot, dataset_id, lines, format_)


def note_export(database: Database, export: Export, by: str) -> None:
    """Write down that somebody takes it out: whom to ask, should something of it be withdrawn later."""
    with database.write() as connection:
        clips = len(export.lines)
        audit.note(connection, now(), "snapshot_exported", by, export.snapshot.id, format=export.format, clips=clips)


def files(export: Export, objects: ObjectStore) -> Iterator[File]:
    """Everything, in the order of writing. A clip whose bytes have left meanwhile is passed over."""
    speech = [line for line in export.lines if line.text]
    written: list[Line] = []
    yield from (_shards if export.format == WEBDATASET else _folders)(export, speech, objects, written)
    yield from _noises(export, [line for line in export.lines if not line.text], objects, written)
    yield File("LICENCE.txt", export.snapshot.licence_text.encode())
    yield File("snapshot.json", _as_json(described(export.snapshot) | {"exported": len(written)}))


def described(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as JSON says it."""
    return {
        "dataset": snapshot.dataset,
        "number": snapshot.number,
        "purpose": snapshot.purpose.value,
        "created": snapshot.created.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "sha256": snapshot.sha256.hex(),
        "withdrawn": snapshot.withdrawn,
        "statistics": snapshot.statistics,
    }


def _folders(export: Export, lines: Iterable[Line], objects: ObjectStore, written: list[Line]) -> Iterator[File]:
    """Audio, then lists made by the writers of `corpus/formats`."""
    clips: list[tuple[Line, str, int]] = []
    for line, flac in _read(lines, objects):
        file = _audio(export, line, flac)
        clips.append((line, file.name, len(file.data)))
        written.append(line)
        yield file
    with tempfile.TemporaryDirectory(prefix="earloop-export-") as folder:
        root = Path(folder)
        (root / "clips").mkdir()
        listed = [_clip(export, line, root / name, size) for line, name, size in clips]
        for path in write_corpus(root, listed, export.format) if listed else []:
            yield File(path.relative_to(root).as_posix(), path.read_bytes())


def _audio(export: Export, line: Line, flac: bytes) -> File:
    folder = line.split if export.format == "audiofolder" else "clips"
    name = f"{folder}/{name_of(line, export.snapshot.purpose)}"
    if export.format != "deepspeech":
        return File(f"{name}.flac", flac)
    wav = io.BytesIO()
    write_wav(wav, read_audio(flac))
    return File(f"{name}.wav", wav.getvalue())


def _clip(export: Export, line: Line, path: Path, size: int) -> Clip:
    return Clip(
        path,
        line.text,
        export.snapshot.dataset,
        speaker_of(line, export.snapshot.purpose, export.dataset_id),
        duration_s=round(line.duration_s, 3),
        split=line.split,
        licence=line.licence or None,
        size=size,
    )


def _shards(export: Export, lines: Iterable[Line], objects: ObjectStore, written: list[Line]) -> Iterator[File]:
    """Shards of about `SHARD_BYTES`, each of one split."""
    chosen = list(lines)
    for part, _ in SHARES:
        shard: list[File] = []
        number = 0
        for line, flac in _read((line for line in chosen if line.split == part), objects):
            shard += _sample(export, line, flac)
            written.append(line)
            if sum(len(file.data) for file in shard[::3]) >= SHARD_BYTES:
                yield File(f"{part}-{number:06d}.tar", tar_of(shard))
                shard, number = [], number + 1
        if shard:
            yield File(f"{part}-{number:06d}.tar", tar_of(shard))


def _sample(export: Export, line: Line, flac: bytes) -> list[File]:
    """The files of one clip: the same name up to the first dot is one sample."""
    purpose = export.snapshot.purpose
    name, speaker = name_of(line, purpose), speaker_of(line, purpose, export.dataset_id)
    told = {"text": line.text, "duration": round(line.duration_s, 3), "licence": line.licence, "speaker": speaker}
    known = {key: value for key, value in told.items() if value not in (None, "")}
    return [
        File(f"{name}.flac", flac),
        File(f"{name}.txt", line.text.encode()),
        File(f"{name}.json", _as_json(known)),
    ]


def _noises(export: Export, lines: Iterable[Line], objects: ObjectStore, written: list[Line]) -> Iterator[File]:
    rows = []
    for line, flac in _read(lines, objects):
        name = f"{name_of(line, export.snapshot.purpose)}.flac"
        rows.append([NOISE, name, round(line.duration_s, 3), line.licence])
        written.append(line)
        yield File(f"{NOISE}/{name}", flac)
    if rows:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([["kind", "path", "duration_s", "licence"], *rows])
        yield File(f"{NOISE}/manifest.csv", text.getvalue().encode())


def _read(lines: Iterable[Line], objects: ObjectStore) -> Iterator[tuple[Line, bytes]]:
    for line in lines:
        try:
            data = objects.get(line.object_key)
        except NotFound:  # withdrawn since the rows were read
            continue
        yield line, data


def _as_json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
