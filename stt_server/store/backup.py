"""One file with all that must not be lost, database and audio, written and read back while a server works.

    backup.json          when, of which kind of database, how many clips
    database             the rows, as `dump.py` has them
    objects/clips/…      the bytes of every clip, as they lie in the object store
    objects/models/…     those of every model that was imported or trained; objects/reports/… the pages of its gate
    objects/language-models/…

Rows first, then bytes: bytes are there before their row is, so none is missing but what left meanwhile. Such a clip's
row is taken out where the backup is restored, in the way that every clip leaves; so are bytes that came after the rows.
Bytes go before rows when restoring, so that a restoration that breaks off leaves no database that looks whole.

A withdrawal does not reach into backups: delete those that are older than you promise.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from stt_server.errors import BadInput, Conflict, NotFound, Unavailable
from stt_server.store import audit, language_models, models, reports
from stt_server.store.database import open_database
from stt_server.store.dump import SQLITE, check_empty, dump, load
from stt_server.store.objects import CLIPS as CLIPS_PREFIX
from stt_server.store.ring import now
from stt_server.store.tables import CLIPS
from stt_server.store.withdrawal import Why, remove_clips

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

FORMAT: Final = 1
HEAD: Final = "backup.json"
ROWS: Final = "database"
OBJECTS: Final = "objects/"
PREFIXES: Final = (CLIPS_PREFIX, models.PREFIX, reports.PREFIX, language_models.PREFIX)
RESTORED: Final = tuple(f"{OBJECTS}{prefix}" for prefix in PREFIXES)
MOST_HEAD: Final = 1 << 16
MOST_OBJECT: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds, or what was restored of one."""

    created: str
    kind: str  # sqlite, postgresql
    clips: int
    missing: int = 0  # clips that left while it was made
    format: int = FORMAT


def write_backup(database: Database, objects: ObjectStore, path: Path) -> Backup:
    """Write a backup that appears when it is complete, readable to its owner only.

    Raises Conflict where there is something in its place, Unavailable, Unsupported.
    """
    path = path.absolute()
    if path.exists():
        raise Conflict(f"{path} is there already; name another file or move it away.")
    created = now().isoformat(timespec="seconds").replace("+00:00", "Z")
    partial = path.with_name(f".{path.name}.partial")
    with _on_disk(path), tempfile.TemporaryDirectory(prefix="earloop-backup-", dir=path.parent) as folder:
        rows = Path(folder) / ROWS
        kind = dump(database, rows)
        keys, more = _keys_in(rows) if kind == SQLITE else _keys(database)
        partial.touch(mode=0o600)
        try:
            with tarfile.open(partial, "w") as archive:
                head = Backup(created, kind, len(keys))
                _add(archive, HEAD, json.dumps(asdict(head)).encode())
                archive.add(rows, ROWS)
                missing = sum(not _add_object(archive, objects, key) for key in keys)
                for key in more:  # a model removed meanwhile stays a row without bytes
                    _add_object(archive, objects, key)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return replace(head, clips=head.clips - missing, missing=missing)


def read_backup(path: Path, objects: ObjectStore, data: Path, url: str = "") -> Backup:
    """Restore a backup into an empty database and object store.

    Raises NotFound, BadInput for what is no backup, Conflict where something would be overwritten, Unavailable.
    """
    if not path.is_file():
        raise NotFound(f"{path}: there is no such file.")
    with _on_disk(path), _opened(path) as archive, tempfile.TemporaryDirectory(prefix="earloop-restore-") as folder:
        head = _head(archive)
        check_empty(data, url, head.kind)
        if next(objects.each(CLIPS_PREFIX), None) is not None:
            raise Conflict(f"There are clips in {objects.place} already; restore into an empty place.")
        rows = Path(folder) / ROWS
        for member in archive:
            _take(archive, member, objects, rows)
        if not rows.is_file():
            raise BadInput(f"{path}: the backup is cut, no database is in it.")
        load(_beside(rows, data), head.kind, data, url)
    with closing(open_database(data, url)) as database:
        clips, missing = _match(database, objects)
    return replace(head, clips=clips, missing=missing)


def _keys(database: Database) -> tuple[list[str], list[str]]:
    """Of the clips, and of all else that rows name."""
    with database.read() as connection:
        clips = list(connection.scalars(select(CLIPS.c.object_key).order_by(CLIPS.c.id)))
        return clips, models.objects_of(connection) + language_models.objects_of(connection)


def _keys_in(rows: Path) -> tuple[list[str], list[str]]:
    """Of the copy, not of the database, which has moved on."""
    with closing(open_database(rows.parent, f"sqlite:///{rows}", as_it_is=True)) as copy:
        return _keys(copy)


def _add_object(archive: tarfile.TarFile, objects: ObjectStore, key: str) -> bool:
    try:
        data = objects.get(key)
    except NotFound:  # it left meanwhile
        return False
    _add(archive, f"{OBJECTS}{key}", data)
    return True


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    archive.addfile(info, BytesIO(data))


def _head(archive: tarfile.TarFile) -> Backup:
    member = archive.next()
    if member is None or member.name != HEAD or member.size > MOST_HEAD:
        raise BadInput("That is no backup of Earloop's: it does not begin with backup.json.")
    try:
        head = Backup(**json.loads(_bytes(archive, member)))
    except (ValueError, TypeError) as error:
        raise BadInput("That is no backup that this Earloop knows; a newer one may have made it.") from error
    if head.format != FORMAT:
        raise BadInput(f"The backup is of format {head.format}; this Earloop reads {FORMAT}. Install a newer one.")
    return head


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, objects: ObjectStore, rows: Path) -> None:
    """One member to its place; nothing else of an archive reaches the disk."""
    if member.name == ROWS and member.isfile():
        source = archive.extractfile(member)
        assert source is not None, "a file has content"
        with rows.open("wb") as file:
            shutil.copyfileobj(source, file)
    elif member.name.startswith(RESTORED) and member.isfile() and member.size <= MOST_OBJECT:
        objects.put(member.name.removeprefix(OBJECTS), _bytes(archive, member))
    elif member.name != HEAD:
        raise BadInput(f"The backup has {member.name[:100]!r} in it, which is nothing of Earloop's.")


def _bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = archive.extractfile(member)
    if source is None:
        raise BadInput(f"The backup has {member.name[:100]!r} in it, which is no file.")
    return source.read()


def _beside(rows: Path, data: Path) -> Path:
    """On the disk of the data folder, where it can be renamed."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = data / f".{ROWS}.partial"
    shutil.move(rows, place)
    return place


def _match(database: Database, objects: ObjectStore) -> tuple[int, int]:
    """Take out rows whose bytes left before they were copied, and bytes that were kept after the rows were.

    Says how many clips there are, and how many were taken out.
    """
    there = {key for key, _ in objects.each(CLIPS_PREFIX)}
    with database.write() as connection:
        rows = {row.object_key: row.id for row in connection.execute(select(CLIPS.c.object_key, CLIPS.c.id))}
        missing = [ident for key, ident in rows.items() if key not in there]
        removed = remove_clips(connection, missing, audit.COMMAND, Why.LOST).clips
    for key in there - set(rows):
        objects.delete(key)
    return len(rows) - removed, removed


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise BadInput(f"{path}: that is no backup, or it is cut: {error}.") from error


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{path} cannot be written or read: {error.strerror or error}.") from error
