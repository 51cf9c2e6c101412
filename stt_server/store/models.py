"""Models: rows that say where a bundle's bytes are, what it came from and how well it hears.

A row is named by its id, by `name` (the newest of that name) or by `name@version`. Rows are never deleted: what a
removed model answered must still be traced to what it had learned from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, select, update

from stt_server.errors import NotFound
from stt_server.store.tables import GATE_REPORTS, MODELS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection, Row

PREFIX: Final = "models/"
PASSED: Final = "passed"  # a gate's verdict


class Status(StrEnum):
    """How a model stands."""

    CANDIDATE = "candidate"  # kept, and nobody has let it answer yet
    ACCEPTED = "accepted"  # it answers or has answered
    REFUSED = "refused"  # a gate has shown that it is not better
    REMOVED = "removed"  # its bytes are gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A row of `models`."""

    id: str
    name: str
    version: str
    language: str
    place: str = ""  # of a bundle that no object holds: a shipped one's name, or a path
    object_key: str | None = None
    sha256: bytes = field(repr=False)  # of the manifest
    size: int = 0  # bytes of the object
    status: str = Status.CANDIDATE
    created: datetime
    created_by: str
    person_id: str | None = None  # whose own model it is: nobody else is heard by it
    base_id: str | None = None
    job_id: str | None = None
    snapshot_id: str | None = None
    error_rates: list[dict[str, Any]] = field(default_factory=list)
    lineage: dict[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def title(self) -> str:
        """The name with the version as recognisers say it, and as clips keep it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Passed:
    """Of a gate report that was passed: its id, and the model that it was held against."""

    id: str
    base_id: str | None


def object_key(model_id: str) -> str:
    """The key of its zipped bundle in the object store."""
    return f"{PREFIX}{model_id}.zip"


def insert_model(connection: Connection, model: Model) -> None:
    """Keep a new row."""
    connection.execute(insert(MODELS).values(asdict(model)))


def get(connection: Connection, ref: str) -> Model:
    """The model of this id, else the newest that is not removed of this `name@version` or `name`.

    Raises NotFound, naming what is written alike.
    """
    by_id = connection.execute(select(MODELS).where(MODELS.c.id == ref)).one_or_none()
    if by_id is not None:
        return _model(by_id)
    name, _, version = ref.partition("@")
    same = and_(MODELS.c.name == name, MODELS.c.version == version) if version else MODELS.c.name == name
    there = select(MODELS).where(same, MODELS.c.status != Status.REMOVED)
    found = connection.execute(there.order_by(MODELS.c.created.desc(), MODELS.c.id).limit(1)).one_or_none()
    if found is None:
        raise NotFound(_nothing_like(connection, ref), field="model")
    return _model(found)


def titled(connection: Connection, title: str) -> Model | None:
    """The newest model, removed or not, that says of itself `name version` as this title does."""
    alike = MODELS.c.name + " " + MODELS.c.version == title
    row = connection.execute(
        select(MODELS).where(alike).order_by(MODELS.c.created.desc(), MODELS.c.id).limit(1)
    ).first()
    return None if row is None else _model(row)


def with_manifest(connection: Connection, sha256: Collection[bytes], place: str = "") -> Model | None:
    """The model, not removed, whose manifest has one of these hashes and whose bytes lie in this place."""
    same = and_(MODELS.c.sha256.in_(sha256), MODELS.c.place == place, MODELS.c.status != Status.REMOVED)
    row = connection.execute(select(MODELS).where(same).order_by(MODELS.c.created).limit(1)).one_or_none()
    return None if row is None else _model(row)


def is_taken(connection: Connection, name: str, version: str, sha256: bytes) -> bool:
    """Whether another bundle has or had this name and version: what it answered is called so."""
    same = and_(MODELS.c.name == name, MODELS.c.version == version, MODELS.c.sha256 != sha256)
    return connection.scalar(select(MODELS.c.id).where(same).limit(1)) is not None


def listed(connection: Connection, name: str | None = None, *, removed: bool = False) -> list[Model]:
    """All, or those of one name, the newest first; removed ones only where they are wanted."""
    query = select(MODELS).order_by(MODELS.c.created.desc(), MODELS.c.id)
    if name is not None:
        query = query.where(MODELS.c.name == name)
    if not removed:
        query = query.where(MODELS.c.status != Status.REMOVED)
    return [_model(row) for row in connection.execute(query)]


def with_ids(connection: Connection, ids: Collection[str]) -> dict[str, Model]:
    """Those of these ids that there are, removed ones too."""
    return {row.id: _model(row) for row in connection.execute(select(MODELS).where(MODELS.c.id.in_(ids)))}


def passed_report(connection: Connection, model_id: str, report_id: str | None = None) -> Passed | None:
    """A model's newest gate report that says `passed`, or this one if it is the model's and says so."""
    query = select(GATE_REPORTS.c.id, GATE_REPORTS.c.base_id).order_by(GATE_REPORTS.c.created.desc(), GATE_REPORTS.c.id)
    query = query.where(GATE_REPORTS.c.model_id == model_id, GATE_REPORTS.c.verdict == PASSED)
    if report_id is not None:
        query = query.where(GATE_REPORTS.c.id == report_id)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else Passed(row.id, row.base_id)


def objects_of(connection: Connection) -> list[str]:
    """The keys of all bundles and of all gate reports' pages that rows name, the bundles first."""
    bundles = select(MODELS.c.object_key).where(MODELS.c.object_key.is_not(None)).order_by(MODELS.c.id)
    pages = select(GATE_REPORTS.c.html_key).where(GATE_REPORTS.c.html_key.is_not(None)).order_by(GATE_REPORTS.c.id)
    return [key for query in (bundles, pages) for key in connection.scalars(query) if key]


def set_status(connection: Connection, model_id: str, status: Status) -> None:
    """Say how it stands from now on."""
    connection.execute(update(MODELS).where(MODELS.c.id == model_id).values(status=status))


def forget_bytes(connection: Connection, model_id: str) -> None:
    """Make it a removed one, whose bytes nobody will find any more. The caller has asked for their erasure."""
    gone = {"status": Status.REMOVED, "object_key": None, "place": "", "size": 0}
    connection.execute(update(MODELS).where(MODELS.c.id == model_id).values(gone))


def _model(row: Row[Any]) -> Model:
    return Model(**row._mapping)


def _nothing_like(connection: Connection, ref: str) -> str:
    names = sorted({model.name for model in listed(connection)})
    near = get_close_matches(ref.partition("@")[0], names, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "`earloop models list` shows all."
    return f"There is no model {ref[:100]!r}; {hint}"
