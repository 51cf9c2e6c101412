"""More than the machine can do: newcomers are refused before the upgrade, those who are in keep their latency."""

import asyncio

import pytest

from stt_server.engine import load
from stt_server.engine.batcher import NOTICE_EVERY_S
from tests.engine.toy import loud, quiet
from tests.faults.streams import Slow, speak
from tests.web.conftest import Server, Start, finals, heard, said, until, wav

SECOND = loud(3) + quiet(3)  # 0.96 s


async def test_a_server_that_lags_refuses_newcomers_and_takes_them_again_when_it_has_caught_up(start: Start, http):
    server: Server = await start(Slow(0.1), max_lag_ms=300, max_load=100)  # a stream and a half is all it can do
    begun = asyncio.Event()
    first = [asyncio.create_task(speak(server.socket(), SECOND * 2, begun=begun)) for _ in range(4)]
    await begun.wait()
    await until(lambda: server.services.engines.loads[0].refuses(1, live=False) == "lag")
    async with http.post(f"{server.url}/stt", data=wav()) as answer:
        assert (answer.status, int(answer.headers["Retry-After"]) >= 1) == (503, True)
        assert "behind" in answer.headers["X-Earloop-Error"]
    await until(lambda: server.services.engines.loads[0].refuses(1, live=True) == "lag")
    late = await speak(server.socket(), SECOND)
    assert (late.refused, late.reason) == (503, "busy")
    assert server.counted("earloop_refused_total{reason=lag}") == 2
    assert server.counted("earloop_lag_seconds{engine=0}") > 0.3
    async with http.get(f"{server.url}/readyz") as answer:
        assert (answer.status, (await answer.json())["lag_ms"] > 0) == (200, True)
    for told in await asyncio.gather(*first):  # late, but every word
        assert [text for text in told.finals() if text] == ["la la la"] * 2
        assert told.kinds()[-1] == "finished"
    await until(lambda: server.services.engines.loads[0].refuses(1, live=True) is None)
    assert (await speak(server.socket(), SECOND)).finals()[0] == "la la la"


async def test_a_server_that_knows_what_a_stream_costs_refuses_before_anything_lags(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(load, "EVIDENCE_S", 2.0)  # the slower the machine, the less is left of a recording's 24 s
    server: Server = await start(Slow(0.02), max_load=0.9)  # an eighth of its time for each, or more where it is busy
    async with server.socket() as socket:  # a recording, faster than real time, from which it learns the cost
        await asyncio.gather(socket.send(loud(150)), heard(socket))
        await socket.send('{"type":"finish"}')
        await said(socket)
    before = server.services.engines.loads[0].need(1)
    told = await asyncio.gather(*(speak(server.socket(), SECOND * 3, flush_every_s=0.5) for _ in range(12)))
    admitted = [each for each in told if each.refused is None]
    cost = max(before, server.services.engines.loads[0].need(1))  # of a machine that may have become busier
    assert max(1, 0.4 / cost) <= len(admitted) <= 8
    assert server.counted("earloop_refused_total{reason=load}") == 12 - len(admitted)
    for each in admitted:
        assert [text for text in each.finals() if text], each.kinds()
        assert each.kinds()[-1] == "finished"


async def test_who_is_behind_is_told_so_again_and_again(start: Start):
    server: Server = await start(Slow(0.4), lag_notice_ms=300)  # two and a half times too slow
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = await speak(server.socket(), SECOND * 2)
    took_s = loop.time() - began
    lags_ms = [message["lag_ms"] for _, message in told.messages if message["type"] == "behind"]
    assert 3 <= len(lags_ms) <= 1 + took_s / NOTICE_EVERY_S
    assert all(lag_ms > 300 for lag_ms in lags_ms)
    assert max(lags_ms) > lags_ms[0]


async def test_who_sends_faster_than_real_time_is_not_told_that_the_server_is_behind(start: Start):
    server: Server = await start(Slow(0.01), lag_notice_ms=100)
    async with server.socket() as socket:
        await socket.send(loud(100))
        await socket.send('{"type":"finish"}')
        messages = await said(socket)
    assert finals(messages) == [" ".join(["la"] * 100)]
    assert "behind" not in {message["type"] for message in messages}


async def test_a_vosk_client_that_is_behind_still_gets_one_answer_for_each_frame(start: Start):
    server: Server = await start(Slow(0.3), lag_notice_ms=50)
    async with server.socket("/") as socket:
        await socket.send('{"config":{"sample_rate":16000}}')
        for _ in range(4):
            await socket.send(loud(1))
        await socket.send('{"eof":1}')
        answers = [str(await asyncio.wait_for(socket.recv(), 60)) for _ in range(5)]
    assert all(("partial" in answer) or ("text" in answer) for answer in answers)
