"""Contributors over HTTP, and what they say."""

import asyncio
from typing import Any

import aiohttp
import numpy as np

from tests.engine.toy import quiet
from tests.web.conftest import PATIENCE_S, Server

TRAINING = ["training"]


async def newcomer(server: Server, http: aiohttp.ClientSession, *purposes: str) -> dict[str, str]:
    """Somebody new, as the headers that show who it is; agrees to these purposes, where there are any."""
    async with http.post(f"{server.url}/v1/people") as answer:
        assert answer.status == 201
        who = {"X-Contributor": (await answer.json())["token"]}
    if purposes:
        await agreed(server, http, who, *purposes)
    return who


async def agreed(
    server: Server, http: aiohttp.ClientSession, who: dict[str, str], *purposes: str, status: int = 200
) -> Any:
    state = await got(server, http, "/v1/consent", who)
    body = {"version": state["offer"]["version"], "purposes": list(purposes)}
    async with http.put(f"{server.url}/v1/consent", headers=who, json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def withdrawn(server: Server, http: aiohttp.ClientSession, who: dict[str, str]) -> Any:
    async with http.delete(f"{server.url}/v1/consent", headers=who) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def got(server: Server, http: aiohttp.ClientSession, path: str, who: dict[str, str], status: int = 200) -> Any:
    async with http.get(server.url + path, headers=who) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def clips_of(server: Server, http: aiohttp.ClientSession, who: dict[str, str]) -> list[dict[str, Any]]:
    return (await got(server, http, "/v1/consent/clips", who))["clips"]


async def has_clips(server: Server, http: aiohttp.ClientSession, who: dict[str, str], count: int) -> list[dict]:
    """Their clips, as soon as there are so many."""
    async with asyncio.timeout(PATIENCE_S):
        while len(found := await clips_of(server, http, who)) < count:  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.02)
    assert len(found) == count
    return found


async def stt(server: Server, http: aiohttp.ClientSession, who: dict[str, str], pcm: bytes, query: str = "") -> str:
    """Say it to `/stt` as raw audio."""
    async with http.post(f"{server.url}/stt?format=16K_PCM16{query}", data=pcm, headers=who) as answer:
        assert answer.status == 200, answer.headers
        return await answer.text()


def utterance(seed: int, words: int = 8) -> bytes:
    """Loud noise that no other seed makes, between pauses: the toy hears a word in each 160 ms of it."""
    noise = np.random.default_rng(seed).integers(-9000, 9000, int(words * 0.16 * 16_000)).astype("<i2").tobytes()
    return quiet(3) + noise + quiet(3)
