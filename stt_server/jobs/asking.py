"""Asking for a training job: what it names must be there now, not only when a worker looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stt_server.errors import Busy
from stt_server.jobs.params import read_params
from stt_server.store import datasets, jobs, models, snapshots
from stt_server.store.jobs import WAITING
from stt_server.store.ring import now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stt_server.store.database import Connection, Database
    from stt_server.store.jobs import Job

MOST_WAITING: Final = 100
WHEN_FULL_S: Final = 600.0


def ask(database: Database, said: Mapping[str, Any], by: str) -> Job:
    """Ask for a training run. Raises BadOption, NotFound for what it names, Busy where too many jobs wait."""
    with database.write() as connection:
        return ask_within(connection, said, by)


def ask_within(connection: Connection, said: Mapping[str, Any], by: str) -> Job:
    """The same in a transaction that is open already."""
    params = read_params(said)
    datasets.gather(connection, now())  # `everyday` may not have been needed before
    datasets.get(connection, params.dataset)
    if params.snapshot is not None:
        snapshots.get(connection, params.dataset, params.snapshot)
    if params.base is not None:
        models.get(connection, params.base)
    if len(jobs.listed(connection, WAITING, MOST_WAITING)) >= MOST_WAITING:
        raise Busy("Too many jobs wait; cancel some, or let a worker run.", retry_after_s=WHEN_FULL_S)
    return jobs.submit(connection, jobs.TRAIN, params.model_dump(), by, now())
