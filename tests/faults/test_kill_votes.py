"""kill -9 at random moments while people judge clips: a vote that was answered is there, and none is there twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from stt_server.store import people
from stt_server.store.database import open_database
from stt_server.store.tables import CLIPS, VOTES
from stt_server.tagging.agreement import DEFAULT
from tests.faults.process import TOY, Remote, process
from tests.store import giving

TAGGERS, ROUNDS = 6, 4
LONGEST_S = 0.5  # from the first vote to the kill
HEARD = "turn on the light"
LOST = (aiohttp.ClientError, OSError)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_kills_cost_no_vote_that_was_acknowledged(tmp_path: Path):
    chance, tokens = random.Random(7), _taggers_with_clips(tmp_path, 800)
    acknowledged: dict[str, str] = {}  # lease: clip
    for _ in range(ROUNDS):
        async with (
            process("--data", str(tmp_path), module=TOY) as server,
            _judging(server, tokens, acknowledged) as begun,
        ):
            await asyncio.wait_for(begun.wait(), 60)
            await asyncio.sleep(chance.uniform(0, LONGEST_S))
            server.process.kill()
            await server.process.wait()
    assert len(acknowledged) >= ROUNDS * TAGGERS, "nobody judged"
    await asyncio.to_thread(_check, tmp_path, acknowledged)


@asynccontextmanager
async def _judging(server: Remote, tokens: list[str], acknowledged: dict[str, str]) -> AsyncIterator[asyncio.Event]:
    """Let everybody judge until the server is gone; the event says that each has."""
    judged = [asyncio.Event() for _ in tokens]
    everybody = asyncio.Event()

    async def judge(token: str, once: asyncio.Event) -> None:
        with suppress(*LOST):
            async with aiohttp.ClientSession(server.url, headers={"X-Contributor": token}) as http:
                while lease := await _lease(http):
                    answer = {"verdict": "corrected", "text": HEARD}
                    async with http.post(f"/v1/tagging/{lease}/vote", json=answer) as said:
                        assert said.status == 200, await said.text()
                        acknowledged[lease] = (await said.json())["clip"]
                    once.set()
                    if all(each.is_set() for each in judged):
                        everybody.set()
                once.set()  # the others were so fast that nothing is left

    tasks = [asyncio.create_task(judge(token, once)) for token, once in zip(tokens, judged, strict=True)]
    try:
        yield everybody
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def _lease(http: aiohttp.ClientSession) -> str | None:
    async with http.post("/v1/tagging/lease") as answer:
        assert answer.status in (200, 204), await answer.text()
        return str((await answer.json())["lease"]) if answer.status == 200 else None


def _taggers_with_clips(data: Path, clips: int) -> list[str]:
    with closing(open_database(data)) as database:
        _, consent = giving.giver(database)
        for number in range(clips):
            giving.clip(database, consent, None, f"{HEARD} {number}")
        with database.write() as connection:
            return [people.create(connection, giving.now())[1] for _ in range(TAGGERS)]


def _check(data: Path, acknowledged: dict[str, str]) -> None:
    with closing(open_database(data)) as database, database.read() as connection:
        votes = connection.execute(select(VOTES.c.id, VOTES.c.clip_id, VOTES.c.person_id)).all()
        status = {row.id: row.status for row in connection.execute(select(CLIPS.c.id, CLIPS.c.status))}
    assert acknowledged.items() <= {vote.id: vote.clip_id for vote in votes}.items()
    assert len({(vote.clip_id, vote.person_id) for vote in votes}) == len(votes)
    for clip_id, now in status.items():  # what a vote decides is written with it, or not at all
        said = sum(vote.clip_id == clip_id for vote in votes)
        assert now == ("decided" if said >= DEFAULT.people else "waiting"), clip_id
