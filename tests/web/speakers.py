"""Saying something over each protocol that assistants and other servers' clients speak, besides the five of our own.

`who` are headers that show a contributor. What is answered is text that holds what was heard.
"""

import base64
import json
from collections.abc import Awaitable, Callable

import aiohttp
import numpy as np

from tests.web.conftest import Server, said, wav
from tests.web.devices import DEVICES

Who = dict[str, str]
Say = Callable[[Server, aiohttp.ClientSession, Who, bytes, bool], Awaitable[str]]

CHUNK_S = 0.2
LIVE = "/v1/listen?encoding=linear16&sample_rate=16000"
FILES = ("/v1/listen", "/v1/stt", "/v1/deepspeech", "/api/speech-to-text", "/client/dynamic/recognize")


def by_device(name: str) -> Say:
    """Over a WebSocket, as `devices.py` has it."""

    async def say(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
        device = DEVICES[name]
        async with server.socket(_path(device.path, collect), additional_headers=who) as socket:
            return " ".join(device.texts(await device.talk(socket, _samples(pcm), CHUNK_S)))

    return say


def by_file(path: str) -> Say:
    """A recording as the body of a request."""

    async def say(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
        async with http.post(server.url + path, data=wav(pcm), headers=_headers(who, collect)) as answer:
            return await answer.text()

    return say


async def by_json(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    body = {"audio_b64": base64.b64encode(wav(pcm)).decode()}
    async with http.post(f"{server.url}/stt/json", json=body, headers=_headers(who, collect)) as answer:
        return await answer.text()


async def by_deepgram(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    async with server.socket(_path(LIVE, collect), additional_headers=who) as socket:
        for message in (pcm, '{"type": "CloseStream"}'):
            await socket.send(message)
        return json.dumps(await said(socket))


async def by_coqui(server: Server, http: aiohttp.ClientSession, who: Who, pcm: bytes, collect: bool) -> str:
    async with server.socket(_path("/api/v1/stt", collect), additional_headers=who) as socket:
        await socket.send(wav(pcm))
        return json.dumps(await said(socket))


OTHERS: dict[str, Say] = {
    **{name: by_device(name) for name in ("kaldi", "deepspeech", "sherpa", "realtime")},
    **{path: by_file(path) for path in FILES},
    "/stt/json": by_json,
    "deepgram": by_deepgram,
    "coqui": by_coqui,
}


def _path(path: str, collect: bool) -> str:
    return path if collect else f"{path}{'&' if '?' in path else '?'}collect=false"


def _headers(who: Who, collect: bool) -> Who:
    return who if collect else who | {"X-Collect": "false"}


def _samples(pcm: bytes) -> np.ndarray:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
