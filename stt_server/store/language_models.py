"""Language models: rows that say where a file's bytes are, with which weights it is used, and who gave it.

Rows of one name are its versions, 1, 2, …: the newest that is not removed answers the streams that ask for the name.
So a new version takes over from the one before, and removing it gives the name back. A row is named by its id, by
`name` (the newest of it) or by `name@version`. Rows are never deleted: they are the history, and what a removed model
helped to hear must still be traced to it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, update

from stt_server.errors import NotFound
from stt_server.store.tables import CLIPS, LANGUAGE_MODELS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

PREFIX: Final = "language-models/"


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """A row of `language_models`. Weights that are None are those of the model bundle it decodes for."""

    id: str
    name: str
    version: int
    object_key: str | None
    sha256: bytes = field(repr=False)  # of the file
    size: int  # bytes
    alpha: float | None = None
    beta: float | None = None
    lineage: dict[str, Any] = field(default_factory=dict)  # what file it was, what kind of model
    reason: str = ""
    created: datetime
    created_by: str
    removed: datetime | None = None
    removed_by: str | None = None
    removed_reason: str = ""

    @property
    def ref(self) -> str:
        """`name@version`, as kept clips have it."""
        return f"{self.name}@{self.version}"


def object_key(ident: str) -> str:
    """The key of its file in the object store."""
    return f"{PREFIX}{ident}"


def insert_language_model(connection: Connection, model: LanguageModel) -> None:
    """Keep a new row."""
    connection.execute(insert(LANGUAGE_MODELS).values(asdict(model)))


def next_version(connection: Connection, name: str) -> int:
    """One above the highest that a name ever had, removed ones too."""
    highest = select(func.max(LANGUAGE_MODELS.c.version)).where(LANGUAGE_MODELS.c.name == name)
    return (connection.scalar(highest) or 0) + 1


def get(connection: Connection, ref: str) -> LanguageModel:
    """The row of this id, else the newest that is not removed of this `name` or `name@version`.

    Raises NotFound, naming what is written alike.
    """
    by_id = connection.execute(select(LANGUAGE_MODELS).where(LANGUAGE_MODELS.c.id == ref)).one_or_none()
    found = _model(by_id) if by_id is not None else next(iter(_named(connection, ref)), None)
    if found is None:
        raise NotFound(_nothing_like(connection, ref), field="language_model")
    return found


def versions(connection: Connection, ref: str) -> list[LanguageModel]:
    """What `ref` means to who removes: of a name all versions that are there, else the one of it. Raises NotFound."""
    return _named(connection, ref) or [get(connection, ref)]


def listed(connection: Connection, *, removed: bool = False) -> list[LanguageModel]:
    """By name, the newest version first; removed ones only where they are wanted."""
    return [_model(row) for row in connection.execute(_ordered(removed))]


def answering(connection: Connection) -> list[LanguageModel]:
    """Of each name the version that answers."""
    newest: dict[str, LanguageModel] = {}
    for model in listed(connection):
        newest.setdefault(model.name, model)
    return list(newest.values())


def forget_bytes(connection: Connection, ids: Collection[str], *, by: str, reason: str, now: datetime) -> None:
    """Let these be removed ones, whose bytes nobody will find any more. The caller has asked for their erasure."""
    gone = {"object_key": None, "removed": now, "removed_by": by, "removed_reason": reason}
    connection.execute(update(LANGUAGE_MODELS).where(LANGUAGE_MODELS.c.id.in_(ids)).values(gone))


def objects_of(connection: Connection) -> list[str]:
    """The keys of all files that rows name."""
    keys = select(LANGUAGE_MODELS.c.object_key).where(LANGUAGE_MODELS.c.object_key.is_not(None))
    return [key for key in connection.scalars(keys.order_by(LANGUAGE_MODELS.c.id)) if key]


def heard_with(connection: Connection, ref: str) -> int:
    """How many of the clips that are kept were first heard with this `name@version`."""
    return connection.scalar(select(func.count()).select_from(CLIPS).where(CLIPS.c.lm == ref)) or 0


def _ordered(removed: bool) -> Select[Any]:
    query = select(LANGUAGE_MODELS).order_by(LANGUAGE_MODELS.c.name, LANGUAGE_MODELS.c.version.desc())
    return query if removed else query.where(LANGUAGE_MODELS.c.removed.is_(None))


def _named(connection: Connection, ref: str) -> list[LanguageModel]:
    """The newest first, none that is removed."""
    name, _, version = ref.partition("@")
    query = _ordered(removed=False).where(LANGUAGE_MODELS.c.name == name)
    found = [_model(row) for row in connection.execute(query)]
    return [each for each in found if not version or str(each.version) == version]


def _model(row: Row[Any]) -> LanguageModel:
    return LanguageModel(**row._mapping)


def _nothing_like(connection: Connection, ref: str) -> str:
    names = sorted({each.name for each in listed(connection)})
    near = get_close_matches(ref.partition("@")[0], names, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "`earloop lm list` shows all."
    return f"The catalog has no language model {ref[:100]!r}; {hint}"
