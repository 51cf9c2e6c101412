"""All that somebody gave, as a zip that is made while it is read: neither memory nor a disk ever holds the whole.

consent.txt      every consent, with the words agreed to
manifest.csv     a row per clip: what is known of it
clips/<id>.flac  the audio as it is kept
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from stt_server.errors import NotFound
from stt_server.store import clips, consents, people

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stt_server.store.clips import KeptClip
    from stt_server.store.consents import Consent
    from stt_server.store.database import Database
    from stt_server.store.objects import ObjectStore

PAGE: Final = 200  # rows read at once
COLUMNS: Final = (
    "id file created duration_s hypothesis confidence text verdict status script reference language "
    "model lm protocol device origin purposes licence"
).split()


@dataclass(slots=True)
class _Pipe:
    """What a zip is written to: a file that has no beginning any more."""

    held: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> int:
        self.held += data
        return len(data)

    def flush(self) -> None:
        """There is nothing behind it."""

    def close(self) -> None:
        """The same."""

    def taken(self) -> bytes:
        data = bytes(self.held)
        self.held.clear()
        return data


def take_out(database: Database, objects: ObjectStore, person_id: str) -> Iterator[bytes]:
    """The zip in pieces, the largest as large as a clip. Blocking.

    A clip that leaves meanwhile is left out. Raises NotFound for nobody, Unavailable.
    """
    pipe = _Pipe()
    agreed = _agreed(database, person_id)
    with database.read() as connection:
        ids = clips.of_person(connection, person_id)
    with ZipFile(pipe, "w", ZIP_DEFLATED) as file:
        file.writestr("consent.txt", agreed)
        with file.open(ZipInfo("manifest.csv"), "w") as manifest:
            for rows in _manifest(database, ids):
                manifest.write(rows)
                yield pipe.taken()
        for clip_id in ids:
            if (audio := _audio(database, objects, clip_id)) is not None:
                file.writestr(ZipInfo(f"clips/{clip_id}.flac"), audio, ZIP_STORED)
                yield pipe.taken()
    yield pipe.taken()


def _agreed(database: Database, person_id: str) -> str:
    with database.read() as connection:
        people.get(connection, person_id)
        given = consents.history(connection, person_id)
        parts = [f"{_head(each)}\n\n{consents.words(connection, each.id)}\n" for each in given]
    return "\n".join(parts) or "Nothing was ever agreed to.\n"


def _head(given: Consent) -> str:
    until = given.ended or given.expires
    times = f"from {given.given.isoformat()}" + (f" to {until.isoformat()}" if until else "")
    return f"{times}, by {given.way}, for {', '.join(sorted(given.purposes))}, version {given.version}:"


def _manifest(database: Database, ids: Sequence[str]) -> Iterator[bytes]:
    """The head, then the rows of a page of clips at a time."""
    yield _csv([COLUMNS])
    for start in range(0, len(ids), PAGE):
        with database.read() as connection:
            found = clips.with_ids(connection, ids[start : start + PAGE])
        yield _csv([_row(found[each]) for each in ids[start : start + PAGE] if each in found])


def _row(clip: KeptClip) -> list[object]:
    special = {
        "file": f"clips/{clip.id}.flac",
        "created": clip.created.isoformat(),
        "purposes": " ".join(sorted(clip.purposes)),
    }
    return [special[name] if name in special else getattr(clip, name) for name in COLUMNS]


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _audio(database: Database, objects: ObjectStore, clip_id: str) -> bytes | None:
    """None for a clip that has left."""
    try:
        with database.read() as connection:
            key = clips.get(connection, clip_id).object_key
        return objects.get(key)
    except NotFound:
        return None
