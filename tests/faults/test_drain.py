"""SIGTERM while people speak: every open stream gets its last words within the grace, and the process leaves."""

import asyncio
import signal

import pytest

from tests.faults.process import process
from tests.faults.streams import Told, speak
from tests.faults.test_overload_real import kit_speech

DRAIN_S = 45.0  # far more than it takes, for a busy machine
SPOKEN_S = 4.0  # by each stream before the signal


async def terminated_under(streams: int) -> None:
    """Streams of the kit's speech at the shipped model, and SIGTERM in the middle of it."""
    loop = asyncio.get_running_loop()
    arguments = ("--drain-s", str(DRAIN_S), "--max-streams", str(streams))
    async with process(*arguments) as server:
        speech = [kit_speech(60, number) for number in range(streams)]
        begun = [asyncio.Event() for _ in speech]
        speaking = [
            asyncio.create_task(speak(server.socket(), pcm, begun=event))
            for pcm, event in zip(speech, begun, strict=True)
        ]
        await asyncio.gather(*(event.wait() for event in begun))
        async with asyncio.timeout(90):
            while await server.metric("earloop_audio_seconds_total") < streams * SPOKEN_S:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        asked = loop.time()
        told: list[Told] = list(await asyncio.gather(*speaking))
        code = await asyncio.wait_for(server.process.wait(), DRAIN_S)
        took_s = loop.time() - asked
    print(f"{streams} streams ended within {took_s:.2f} s")  # noqa: T201 - what the test measured, shown by -s
    assert code == 0
    assert took_s < DRAIN_S, took_s
    for each in told:
        assert each.kinds()[-2:] == ["final", "finished"], each.kinds()[-5:]
        assert each.messages[-2][1]["reason"] == "finish"
        assert each.messages[-1][1]["audio_s"] >= SPOKEN_S / 2
        assert each.code in (1000, 1001)
        assert "error" not in each.kinds()
    assert sum(bool(" ".join(each.finals()).split()) for each in told) > streams * 0.8  # and they were words


@pytest.mark.slow
async def test_forty_streams_get_their_finals_before_the_server_leaves():
    await terminated_under(40)
