"""Datasets: names that clips are gathered under, each with the script that its recorder asks for.

`everyday` is made at first need and holds every clip that came by itself, from streams and assistants; into the others
clips are put when they are recorded or uploaded, or by a curator.

A dataset that is deleted lets go of its clips, which stay with whoever gave them. Its snapshots stay, for models have
learned from them, and that must be traced; so its row stays under another name, which nobody can ask for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, insert, literal, select, update

from stt_server.errors import BadOption, Conflict, NotFound
from stt_server.store import migrate
from stt_server.store.ids import new_id
from stt_server.store.jobs import UNFINISHED
from stt_server.store.tables import CLIPS, CUSTOM_MODEL_DATASETS, DATASET_CLIPS, DATASETS, JOBS, SNAPSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

    from stt_server.store.database import Database

    Script = tuple[tuple[str, int], ...]  # a sentence, and how often it is to be said

EVERYDAY: Final = "everyday"
BY_THEMSELVES: Final = ("stream", "ovos")  # origins of clips that belong to it
MOST_SENTENCES: Final = 10_000
MOST_TIMES: Final = 10_000
LONGEST_SENTENCE: Final = 500
MOST_CLIPS: Final = 500  # in one statement
LONGEST_PLAIN: Final = 60  # letters of a title that become a name; there is room for an id behind them
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
REMOVED: Final = "~"  # in a name that nobody can ask for
_OTHER: Final = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A row of `datasets`, with what is in it now."""

    id: str
    name: str
    description: str
    licence: str
    script: Script
    created: datetime
    created_by: str
    clips: int = 0
    audio_s: float = 0.0
    snapshots: int = 0
    said: dict[str, int] = field(default_factory=dict)  # how often each sentence of its script was; `get` alone tells
    removed: datetime | None = None


def create(
    connection: Connection, name: str, by: str, now: datetime, *, description: str = "", licence: str = ""
) -> None:
    """Make a dataset. Raises BadOption for a name that is none, Conflict for one that is taken."""
    if not _NAME.fullmatch(name):
        raise BadOption(
            "A dataset's name has small letters, digits, dots, dashes and underscores, 100 at most.", field="name"
        )
    migrate.lock(connection)
    if _find(connection, name) is not None:
        raise Conflict(f"There is a dataset {name} already.", field="name")
    row = {"id": new_id(), "name": name, "created": now, "created_by": by}
    connection.execute(insert(DATASETS).values(row | {"description": description, "licence": licence}))


def get(connection: Connection, name: str) -> Dataset:
    """Raises NotFound."""
    row = connection.execute(_query().where(DATASETS.c.name == name)).one_or_none() if _NAME.fullmatch(name) else None
    if row is None:
        raise NotFound(f"There is no dataset {name[:100]!r}; `earloop dataset list` shows all.", field="dataset")
    return _dataset(row, _said(connection, row.id))


def find(connection: Connection, ref: str) -> Dataset:
    """The dataset of this name, else of this id. Raises NotFound, also for one that was deleted."""
    there = DATASETS.c.removed.is_(None)
    name: str | None = connection.scalar(select(DATASETS.c.name).where(DATASETS.c.id == ref, there))
    return get(connection, name if name is not None and _find(connection, ref) is None else ref)


def made_by(connection: Connection, by: str) -> int:
    """How many datasets this one has made, and not deleted."""
    theirs = (DATASETS.c.created_by == by, DATASETS.c.removed.is_(None))
    return connection.scalar(select(func.count()).select_from(DATASETS).where(*theirs)) or 0


def create_titled(connection: Connection, title: str, by: str, now: datetime, *, licence: str = "") -> Dataset:
    """Make a dataset that somebody calls by any title, such as `Proof`; two of them may use the same.

    Its name is the title in small letters, with the maker's id behind where another has that; the title is its
    description. Raises BadOption for a title without letters, Conflict where this one has made it before.
    """
    plain = _OTHER.sub("-", title.casefold()).strip("-._")[:LONGEST_PLAIN]
    if not plain:
        raise BadOption("A dataset's name needs a letter or a digit.", field="name")
    migrate.lock(connection)
    name = plain
    if _maker(connection, plain) not in (None, by):
        name = _OTHER.sub("-", f"{plain}-{by}".casefold())
    if (known := _find(connection, name)) is not None:
        raise Conflict(f"You have a dataset {title!r} already; its dataset-id is {known}.", field="name")
    create(connection, name, by, now, description=title, licence=licence)
    return get(connection, name)


def every(connection: Connection) -> list[Dataset]:
    """All of them by name."""
    there = _query().where(DATASETS.c.removed.is_(None))
    return [_dataset(row, {}) for row in connection.execute(there.order_by(DATASETS.c.name))]


def remove_dataset(connection: Connection, dataset: Dataset, now: datetime) -> None:
    """Delete a dataset, but for its snapshots. Its clips stay where else they are, and with whoever gave them.

    Raises Conflict for `everyday`, which would be made again, and while a run learns from it or waits to.
    """
    if dataset.name == EVERYDAY:
        raise Conflict(f"{EVERYDAY} gathers what comes by itself and cannot be deleted.", field="dataset")
    asked = JOBS.c.params["dataset"].as_string() == dataset.name
    running = connection.scalar(select(JOBS.c.id).where(asked, JOBS.c.status.in_(UNFINISHED)).limit(1))
    if running is not None:
        raise Conflict(f"The run {running} learns from it; cancel that first.", field="dataset")
    other = f"{dataset.name[:LONGEST_PLAIN]}{REMOVED}{dataset.id}"
    gone = {"name": other, "description": "", "script": None, "removed": now}
    connection.execute(update(DATASETS).where(DATASETS.c.id == dataset.id).values(gone))
    for table in (DATASET_CLIPS, CUSTOM_MODEL_DATASETS):
        connection.execute(delete(table).where(table.c.dataset_id == dataset.id))


def set_script(connection: Connection, name: str, script: Sequence[tuple[str, int]]) -> None:
    """What the recorder asks for from now on. Raises NotFound, BadOption."""
    for sentence, times in script:
        if not sentence.strip() or len(sentence) > LONGEST_SENTENCE or not 1 <= times <= MOST_TIMES:
            raise BadOption(
                f"A line of a script is 1 to {LONGEST_SENTENCE} letters, to be said 1 to {MOST_TIMES} times.",
                field="script",
            )
    rows = [[sentence.strip(), times] for sentence, times in script]
    if len({sentence for sentence, _ in rows}) < len(rows) or len(script) > MOST_SENTENCES:
        raise BadOption(f"A script has each sentence once and {MOST_SENTENCES} at most.", field="script")
    if not connection.execute(update(DATASETS).where(DATASETS.c.name == name).values(script=rows)).rowcount:
        get(connection, name)


def add(connection: Connection, name: str, clip_ids: Iterable[str], now: datetime) -> int:
    """Put clips into a dataset; says how many were not in it before. Raises NotFound for a dataset that is not there.

    Clips that are not there are passed over: they may have been withdrawn a moment ago.
    """
    dataset_id, added, asked = get(connection, name).id, 0, list(dict.fromkeys(clip_ids))
    for start in range(0, len(asked), MOST_CLIPS):
        some = CLIPS.c.id.in_(asked[start : start + MOST_CLIPS])
        added += _join(connection, dataset_id, select(CLIPS.c.id).where(some), now)
    return added


def remove(connection: Connection, name: str, clip_ids: Iterable[str]) -> int:
    """Take clips out of a dataset; they stay where else they are. Says how many were in it. Raises NotFound."""
    dataset_id, removed, asked = get(connection, name).id, 0, list(clip_ids)
    for start in range(0, len(asked), MOST_CLIPS):
        some = DATASET_CLIPS.c.clip_id.in_(asked[start : start + MOST_CLIPS])
        gone = delete(DATASET_CLIPS).where(DATASET_CLIPS.c.dataset_id == dataset_id, some)
        removed += connection.execute(gone).rowcount
    return removed


def settle(database: Database, now: datetime) -> None:
    """Let `everyday` have what it should; writes only where something is missing."""
    with database.read() as connection:
        missing = _loose(connection)
    if missing:
        with database.write() as connection:
            gather(connection, now)


def gather(connection: Connection, now: datetime) -> int:
    """Put every clip that came by itself into `everyday`, and make that where there is one; says how many were new.

    The caller has begun a writing transaction.
    """
    dataset_id = _find(connection, EVERYDAY)
    loose = select(CLIPS.c.id).where(CLIPS.c.origin.in_(BY_THEMSELVES))
    if dataset_id is None:
        if connection.scalar(loose.limit(1)) is None:
            return 0
        migrate.lock(connection)
        dataset_id = _find(connection, EVERYDAY)
    if dataset_id is None:
        told = "Every clip that came by itself: from streams, and from assistants that upload."
        create(connection, EVERYDAY, "server", now, description=told)
        dataset_id = _find(connection, EVERYDAY)
        assert dataset_id is not None, "it was made"
    return _join(connection, dataset_id, loose, now)


def _loose(connection: Connection) -> bool:
    """Whether a clip that came by itself is not in `everyday`."""
    within = select(DATASET_CLIPS.c.clip_id).join(DATASETS, DATASETS.c.id == DATASET_CLIPS.c.dataset_id)
    within = within.where(DATASETS.c.name == EVERYDAY)
    query = select(CLIPS.c.id).where(CLIPS.c.origin.in_(BY_THEMSELVES), CLIPS.c.id.not_in(within)).limit(1)
    return connection.scalar(query) is not None


def _join(connection: Connection, dataset_id: str, ids: Select[tuple[str]], now: datetime) -> int:
    """Clips are locked for it, so that none is joined while it leaves."""
    within = select(DATASET_CLIPS.c.clip_id).where(DATASET_CLIPS.c.dataset_id == dataset_id)
    new = connection.scalars(ids.where(CLIPS.c.id.not_in(within)).with_for_update(read=True)).all()
    for start in range(0, len(new), MOST_CLIPS):
        some = select(literal(dataset_id), CLIPS.c.id, literal(now, DATASET_CLIPS.c.added.type))
        chosen = some.where(CLIPS.c.id.in_(new[start : start + MOST_CLIPS]))
        connection.execute(insert(DATASET_CLIPS).from_select(["dataset_id", "clip_id", "added"], chosen))
    return len(new)


def _find(connection: Connection, name: str) -> str | None:
    found: str | None = connection.scalar(select(DATASETS.c.id).where(DATASETS.c.name == name))
    return found


def _maker(connection: Connection, name: str) -> str | None:
    made: str | None = connection.scalar(select(DATASETS.c.created_by).where(DATASETS.c.name == name))
    return made


def _query() -> Select[tuple[object, ...]]:
    """Every dataset with the number and length of its clips and the number of its snapshots."""
    joined = DATASET_CLIPS.join(CLIPS, CLIPS.c.id == DATASET_CLIPS.c.clip_id)
    ours = DATASET_CLIPS.c.dataset_id == DATASETS.c.id
    counted = select(func.count()).select_from(joined).where(ours).scalar_subquery()
    lasting = select(func.coalesce(func.sum(CLIPS.c.duration_s), 0.0)).select_from(joined).where(ours).scalar_subquery()
    versions = select(func.count()).where(SNAPSHOTS.c.dataset_id == DATASETS.c.id).scalar_subquery()
    return select(DATASETS, counted.label("clips"), lasting.label("audio_s"), versions.label("snapshots"))


def _said(connection: Connection, dataset_id: str) -> dict[str, int]:
    query = (
        select(CLIPS.c.script, func.count())
        .join(DATASET_CLIPS, and_(DATASET_CLIPS.c.clip_id == CLIPS.c.id, DATASET_CLIPS.c.dataset_id == dataset_id))
        .where(CLIPS.c.script.is_not(None))
        .group_by(CLIPS.c.script)
    )
    return {sentence: count for sentence, count in connection.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _dataset(row: Row[tuple[object, ...]], said: dict[str, int]) -> Dataset:
    values = dict(row._mapping)
    values["script"] = tuple((sentence, times) for sentence, times in values["script"] or ())
    ours = {sentence: said[sentence] for sentence, _ in values["script"] if sentence in said}
    return Dataset(**values, said=ours)  # what else people said they were asked to say is nobody's to read here
