"""kill -9 at random moments while clips are being kept: what was acknowledged is there, and nothing half.

A clip is acknowledged when its upload is answered 201, or when its row is there for others to read.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from websockets.exceptions import WebSocketException

from stt_server.collection.sweep import sweep
from stt_server.speech.files import read_audio
from stt_server.store import clips, consents, people
from stt_server.store.clips import KeptClip
from stt_server.store.consents import Way
from stt_server.store.database import Database, open_database
from stt_server.store.objects import open_objects
from stt_server.store.rights import Purpose
from stt_server.store.ring import now
from tests.engine.toy import RATE, quiet
from tests.faults.process import TOY, Remote, process
from tests.web.conftest import wav

COLLECTING = {
    "EARLOOP_COLLECT": "true",
    "EARLOOP_CLIP_MIN_S": "0",
    "EARLOOP_CLIP_MIN_SNR_DB": "0",
    "EARLOOP_CLIPS_PER_DAY": "0",
    "EARLOOP_CLIP_HOURS": "0",
    "EARLOOP_MAX_LAG_MS": "600000",
    "EARLOOP_MAX_LOAD": "1000",
}
UPLOADERS, SPEAKERS = 4, 3
LONGEST_S = 1.0  # from the first upload to the kill
LOST = (aiohttp.ClientError, WebSocketException, OSError)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_five_kills_cost_no_clip_that_was_acknowledged(tmp_path: Path):
    await _rounds(tmp_path, 5, seed=5)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
async def test_two_hundred_kills_cost_no_clip_that_was_acknowledged(tmp_path: Path):
    await _rounds(tmp_path, 200, seed=200)


async def _rounds(data: Path, rounds: int, seed: int) -> None:
    chance, token = random.Random(seed), _contributor(data)
    acknowledged: set[str] = set()
    for number in range(rounds):
        async with process("--data", str(data), module=TOY, env=COLLECTING) as server, _load(server, token) as told:
            await asyncio.wait_for(told.begun.wait(), 60)
            await asyncio.sleep(chance.uniform(0, LONGEST_S))
            with closing(open_database(data)) as database:
                seen = {clip.id for clip in await asyncio.to_thread(_all, database)}
            server.process.kill()
            await server.process.wait()
            acknowledged |= told.ids | seen
        await asyncio.to_thread(_check, data, acknowledged, number)
    assert len(acknowledged) >= 2 * rounds, "the load was none"


class _Told:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ids: set[str] = set()


@asynccontextmanager
async def _load(server: Remote, token: str) -> AsyncIterator[_Told]:
    told = _Told()
    tasks = [asyncio.create_task(_upload(server, token, told)) for _ in range(UPLOADERS)]
    tasks += [asyncio.create_task(_speak(server, token)) for _ in range(SPEAKERS)]
    try:
        yield told
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def _upload(server: Remote, token: str, told: _Told) -> None:
    with suppress(*LOST):
        async with aiohttp.ClientSession(headers={"X-Contributor": token}) as http:
            while True:
                form = aiohttp.FormData()
                form.add_field("audio", wav(_noise(0.64)), filename="clip.wav")
                async with http.post(f"{server.url}/v1/clips", data=form) as answer:
                    assert answer.status == 201, await answer.text()
                    told.ids.add((await answer.json())["id"])
                told.begun.set()


async def _speak(server: Remote, token: str) -> None:
    with suppress(*LOST):
        async with server.socket("/v1/stream", additional_headers={"X-Contributor": token}) as socket:
            while True:
                await socket.send(_noise(0.48) + quiet(2))
                async with asyncio.timeout(60):
                    while '"final"' not in str(await socket.recv()):
                        pass


def _noise(seconds: float) -> bytes:
    """What the toy hears as speech, never the same twice."""
    return np.random.default_rng().integers(-9000, 9000, int(seconds * RATE)).astype("<i2").tobytes()


def _contributor(data: Path) -> str:
    with closing(open_database(data)) as database, database.write() as connection:
        person, token = people.create(connection, now())
        consents.give(connection, person.id, "1", "words", [Purpose.TRAINING], Way.API, now())
        return token


def _all(database: Database) -> list[KeptClip]:
    found: list[KeptClip] = []
    with database.read() as connection:
        while page := clips.listed(connection, after=found[-1].id if found else None, limit=500):
            found += page
    return found


def _check(data: Path, acknowledged: set[str], number: int) -> None:
    """After a sweep rows and bytes are the same clips, and each plays."""
    objects = open_objects(data)
    with closing(open_database(data)) as database:
        swept = sweep(database, objects, timedelta(seconds=-2))
        found = _all(database)
    assert swept.rows_without_bytes == 0, number
    assert acknowledged <= {clip.id for clip in found}, number
    assert {clip.object_key for clip in found} == {key for key, _ in objects.each("clips/")}, number
    assert list(objects.each("incoming/")) == [], number
    for clip in found:
        assert len(read_audio(objects.get(clip.object_key))) == pytest.approx(clip.duration_s * RATE), number
