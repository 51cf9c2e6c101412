"""Watching the rows of jobs: what ended is told by webhook and mail, and what is due begins by itself.

The worker never tells anybody anything: it writes its row, and whichever server looks next tells. One task, every
`WATCH_S`; a look costs two reads where nothing is to be done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from stt_server.errors import EarloopError
from stt_server.jobs import triggers
from stt_server.jobs.telling import FIRST_S, next_try
from stt_server.logs import EventLog
from stt_server.store import notices
from stt_server.store.notices import Channel
from stt_server.store.ring import now
from stt_server.tasks import ended, every
from stt_server.web.context import SERVICES
from stt_server.web.mail import mail_of
from stt_server.web.webhook import webhook_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from aiohttp import web

    from stt_server.jobs.triggers import Terms
    from stt_server.services import Services
    from stt_server.settings import Settings
    from stt_server.store.database import Database
    from stt_server.store.notices import Notice

WATCH_S: Final = 2.0
TRIGGER_S: Final = 15.0
CLOSE_S: Final = 3.0

log = EventLog("notify")


class Teller(Protocol):
    """A webhook, a mail server."""

    async def tell(self, notice: Notice) -> None:
        """Raises Unavailable where it did not arrive."""
        ...


@dataclass(frozen=True, slots=True)
class Notifier:
    """Tells by these channels what ended; `first_s` is waited after the first failure, four times as long each time."""

    store: Database
    tellers: Mapping[Channel, Teller]
    first_s: float = FIRST_S

    async def look(self) -> int:
        """Tell what is due; says how many arrived. Raises Unavailable where the database is away."""
        taken = await self.store.run(_take, list(self.tellers)) if self.tellers else []
        return sum(await asyncio.gather(*(self._tell(notice) for notice in taken)))

    async def _tell(self, notice: Notice) -> bool:
        try:
            await self.tellers[notice.channel].tell(notice)
        except EarloopError as error:
            again = next_try(notice.attempt, now(), self.first_s)
            log.warning("not_told", job=notice.job.id, channel=notice.channel, why=error.message, final=again is None)
            await self.store.run(_note_failure, notice, error.message, again)
            return False
        await self.store.run(_note_told, notice)
        log.info("told", job=notice.job.id, channel=notice.channel, attempt=notice.attempt)
        return True


def tellers_of(settings: Settings) -> dict[Channel, Teller]:
    """Raises BadOption for settings that cannot be."""
    found = {Channel.WEBHOOK: webhook_of(settings), Channel.MAIL: mail_of(settings)}
    return {channel: teller for channel, teller in found.items() if teller is not None}


def install(app: web.Application, services: Services) -> None:
    """Watch while the application runs. Raises BadOption for settings that cannot be."""
    notifier = Notifier(services.store, tellers_of(services.settings))
    terms = triggers.terms_of(services.settings)

    async def watching(app: web.Application) -> AsyncIterator[None]:
        closing = asyncio.Event()
        tasks = [
            asyncio.create_task(every(WATCH_S, closing, notifier.look, _failed)),
            asyncio.create_task(every(TRIGGER_S, closing, lambda: _fire(app[SERVICES].store, terms), _failed)),
        ]
        yield
        closing.set()
        await asyncio.gather(*(ended(task, CLOSE_S) for task in tasks))

    app.cleanup_ctx.append(watching)


def _failed(error: EarloopError) -> None:
    """A database that is away for a while, a dataset that nothing may be asked of."""
    log.warning("not_watched", why=error.message)


async def _fire(store: Database, terms: Terms) -> None:
    if terms.any and (job := await store.run(triggers.fire, terms, now())):
        log.info("training_begins_by_itself", job=job.id, by=job.created_by)


def _take(database: Database, channels: Sequence[Channel]) -> list[Notice]:
    moment = now()
    with database.read() as connection:
        if not notices.any_due(connection, channels, moment):
            return []
    with database.write() as connection:
        notices.open_for(connection, channels, moment)
        return notices.take(connection, channels, moment)


def _note_told(database: Database, notice: Notice) -> None:
    with database.write() as connection:
        notices.set_told(connection, notice, now())


def _note_failure(database: Database, notice: Notice, error: str, again: datetime | None) -> None:
    with database.write() as connection:
        notices.set_failed(connection, notice, error, again)
