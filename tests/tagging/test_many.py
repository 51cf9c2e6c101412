"""Twenty taggers at once, over HTTP, on servers that share one database: no clip is leased twice, no vote lost.

Every answer that a client got is held against what the database has in the end.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select

from stt_server.store import keys, people
from stt_server.store.database import Database, open_database
from stt_server.store.rights import Scope
from stt_server.store.tables import CLIPS, LEASES, VOTES
from tests.store import giving
from tests.web.conftest import _server

CLIENTS = 20
BUSY = 503
HEARD = "turn on the light"


@dataclass
class Log:
    """What clients were told, in the order in which they were told it."""

    holders: dict[str, str] = field(default_factory=dict)  # clip: who has it, as far as its clients know
    votes: list[tuple[str, str]] = field(default_factory=list)  # (lease, clip)
    twice: list[str] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)


@pytest.mark.slow
async def test_twenty_clients_at_once_lose_no_vote_and_share_no_clip(tmp_path: Path, database_url: str):
    await judge_all(tmp_path, database_url, clips=30, servers=2)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_twenty_clients_at_once_judge_a_long_queue(tmp_path: Path, database_url: str):
    await judge_all(tmp_path, database_url, clips=1000, servers=3)


async def judge_all(folder: Path, url: str, clips: int, servers: int) -> None:
    """Let twenty people judge until nothing is left, and look at what became of it."""
    with closing(open_database(folder, url)) as database:
        _, consent = giving.giver(database)
        for number in range(clips):
            giving.clip(database, consent, None, f"{HEARD} number {number}")
        shown = _keys(database)
        log = Log()
        async with AsyncExitStack() as stack:
            opened = [await stack.enter_async_context(_server(folder, None, {"database": url})) for _ in range(servers)]
            http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)))
            urls = [opened[number % servers].url for number in range(CLIENTS)]
            async with asyncio.timeout(10 * clips):
                await asyncio.gather(*(_tag(http, database, *each, log) for each in zip(urls, shown, strict=True)))
        _check(database, log, clips)


def _keys(database: Database) -> list[str]:
    with database.write() as connection:
        made = [keys.create(connection, f"tagger {number}", [Scope.TAG], giving.now()) for number in range(CLIENTS)]
        for key in made:
            people.of_key(connection, key.split("_")[1], giving.now())
    return made


async def _tag(http: aiohttp.ClientSession, database: Database, url: str, key: str, log: Log) -> None:
    """Judge until no clip waits. Nothing to lease is no end: another may yet answer so that a third is asked."""
    while True:
        given = await _post(http, f"{url}/v1/tagging/lease", key, log)
        if given is None:
            if not await asyncio.to_thread(_waiting, database):
                return
            await asyncio.sleep(0.05)
            continue
        lease, clip = given["lease"], given["clip"]
        if clip["id"] in log.holders:
            log.twice.append(clip["id"])
        log.holders[clip["id"]] = key
        blind = clip["hypothesis"] is None
        said = {"verdict": "corrected", "text": f"answer {clip['id'][:1]}"} if blind else {"verdict": "right"}
        await asyncio.sleep(0)
        log.holders.pop(clip["id"], None)  # before the vote is sent: from then on another may have it
        if await _post(http, f"{url}/v1/tagging/{lease}/vote", key, log, said) is not None:
            log.votes.append((lease, clip["id"]))


def _waiting(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(select(func.count()).where(CLIPS.c.status == "waiting")) or 0


async def _post(http: aiohttp.ClientSession, url: str, key: str, log: Log, body: Any = None) -> dict[str, Any] | None:
    """Ask until there is an answer: a database that is busy for too long on a slow machine is no refusal."""
    while True:
        async with http.post(url, json=body, headers={"X-API-Key": key}) as answer:
            if answer.status != BUSY:
                log.refused[answer.status] += answer.status >= 300
                return await answer.json() if answer.status == 200 else None
        await asyncio.sleep(0.1)


def _check(database: Database, log: Log, clips: int) -> None:
    with database.read() as connection:
        votes = connection.execute(select(VOTES.c.id, VOTES.c.clip_id, VOTES.c.person_id)).all()
        states = Counter(connection.scalars(select(CLIPS.c.status)))
        leases = connection.execute(select(LEASES)).all()
    assert log.twice == []
    assert log.refused.total() == 0, log.refused
    assert {(vote.id, vote.clip_id) for vote in votes} == set(log.votes)
    assert len(votes) == len(log.votes) == len({(vote.clip_id, vote.person_id) for vote in votes})
    assert leases == []
    assert states["waiting"] == 0
    assert states.total() == clips
