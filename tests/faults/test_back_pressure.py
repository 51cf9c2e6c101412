"""A client that is faster than real time is slowed by its socket, not buffered; one that does not read is cut off."""

import asyncio
import json
from dataclasses import dataclass, field
from statistics import median

import aiohttp
import numpy as np
import pytest

from tests.engine.toy import loud, quiet
from tests.faults.process import TOY, Remote, process
from tests.faults.streams import Told, speak

RATE = 48_000
PHRASE_S = 0.96
PHRASES = 625  # 600 s
PHRASE = np.repeat([0.5, 0.0], int(RATE * PHRASE_S / 2)).astype("<f4").tobytes()  # "la la la", then an endpoint
SPEAKERS = (loud(3) + quiet(3)) * 6


@dataclass
class Pushed:
    """A client that sends ten minutes, 115 MB, as fast as it can."""

    sent_s: float = 0.0
    messages: list[dict] = field(default_factory=list)

    async def run(self, server: Remote) -> None:
        async with server.socket(f"/v1/stream?encoding=f32le&sample_rate={RATE}&partials=false") as socket:
            reading = asyncio.create_task(self._read(socket))
            for _ in range(PHRASES):
                await socket.send(PHRASE)
                self.sent_s += PHRASE_S
            await socket.send('{"type":"finish"}')
            await reading

    async def _read(self, socket) -> None:
        while not self.messages or self.messages[-1]["type"] != "finished":
            self.messages.append(json.loads(await socket.recv()))


@dataclass
class Observer:
    """What a monitor sees meanwhile: the server's memory, how far the sender is ahead, how quickly it is answered."""

    memory_mb: list[float] = field(default_factory=list)
    ahead_s: list[float] = field(default_factory=list)
    answered_s: list[float] = field(default_factory=list)

    async def run(self, server: Remote, pushed: Pushed) -> None:
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as http:
            while True:
                asked, sent_s = loop.time(), pushed.sent_s
                async with http.get(f"{server.url}/readyz") as answer:
                    assert answer.status == 200
                heard_s = await server.metric("earloop_audio_seconds_total")
                self.answered_s.append(loop.time() - asked)
                self.ahead_s.append(sent_s - heard_s)
                self.memory_mb.append(await server.memory_mb())
                await asyncio.sleep(0.2)


async def test_ten_minutes_pushed_at_once_are_slowed_by_the_socket_and_all_heard():
    async with process(module=TOY, env={"TOY_STEP_S": "0.001"}) as server:
        await speak(server.socket(), SPEAKERS[: len(SPEAKERS) // 6])  # what the process needs anyhow is there
        before_mb = await server.memory_mb()
        pushed, observer = Pushed(), Observer()
        watching = asyncio.create_task(observer.run(server, pushed))
        others = [asyncio.create_task(speak(server.socket(), SPEAKERS, flush_every_s=0.7)) for _ in range(3)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(150):
            await pushed.run(server)
        pushed_s = loop.time() - began
        assert not watching.done(), watching.exception()
        watching.cancel()
        told: list[Told] = list(await asyncio.gather(*others))
    finals = [message["text"] for message in pushed.messages if message["type"] == "final" and message["text"]]
    assert len(finals) == PHRASES
    assert pushed.messages[-1]["audio_s"] == pytest.approx(PHRASES * PHRASE_S, abs=0.01)
    assert max(observer.memory_mb) - before_mb < 40  # of 115
    assert max(observer.ahead_s) < 100  # queue, buffers of the kernel on both sides
    assert median(observer.answered_s) < pushed_s / 10  # and not behind all that was pushed
    for each in told:
        assert 0 < median(each.flush_latencies_s()) < pushed_s / 10
        assert each.kinds()[-1] == "finished"
