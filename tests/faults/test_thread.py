"""The inference thread is killed, or hangs in the model: its streams are told, the server says so, others go on."""

import asyncio
import ctypes
import threading

import pytest

from stt_server.engine import engine
from stt_server.errors import Unavailable
from tests.engine.toy import loud, quiet
from tests.faults.process import TOY, process
from tests.faults.streams import speak
from tests.web.conftest import SPEECH, Server, Start, finals, heard_until, said, until


def kill(thread: threading.Thread) -> None:
    """Raise SystemExit in another thread, at its next instruction."""
    assert thread.ident is not None
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    assert raised == 1


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "earloop-engine"]


async def status(http, server: Server, path: str) -> tuple[int, str]:
    async with http.get(server.url + path) as answer:
        return answer.status, (await answer.json())["status"]


async def test_a_killed_thread_fails_its_streams_and_the_server_asks_to_be_restarted(start: Start, http):
    before = set(threads())
    server: Server = await start()
    (thread,) = set(threads()) - before
    async with server.socket() as hit, server.socket() as idle:
        for socket in (hit, idle):
            await socket.send(quiet(1))
            await heard_until(socket, "ready")
        kill(thread)
        await hit.send(loud(1))  # wakes it
        for socket in (hit, idle):
            assert (await heard_until(socket, "error"))["code"] == "internal"
    await until(lambda: not thread.is_alive())
    for path in ("/healthz", "/readyz"):
        assert await status(http, server, path) == (503, "dead")
    refused = await speak(server.socket(), SPEECH)
    assert (refused.refused, refused.reason) == (503, "unavailable")
    assert server.counted("earloop_refused_total{reason=dead}") == 1


async def test_with_two_engines_the_streams_of_the_other_go_on(start: Start, http):
    before = set(threads())
    server: Server = await start(engines=2)
    assert len(set(threads()) - before) == 2
    async with server.socket("/v1/stream?hotwords=deadly") as hit, server.socket() as other:
        await hit.send(quiet(0.5))
        await heard_until(hit, "ready")
        await other.send(loud(3))
        await heard_until(other, "partial")  # on the other engine, which had fewer streams
        await hit.send(loud(1))
        assert (await heard_until(hit, "error"))["code"] == "internal"
        await other.send(quiet(3))
        await other.send('{"type":"finish"}')
        assert finals(await said(other)) == ["la la la"]
    assert (await status(http, server, "/healthz"))[0] == 503
    assert finals([message for _, message in (await speak(server.socket(), SPEECH)).messages]) == ["la la la"]


@pytest.fixture
async def hanging(start: Start) -> Server:
    """A server whose model does not come back, with a stream that waits for it."""
    server: Server = await start(hang_timeout_s=1)
    server.toy.gate.clear()
    return server


async def test_a_thread_that_hangs_fails_its_streams_instead_of_letting_them_wait(hanging: Server, http):
    async with hanging.socket() as stuck, hanging.socket() as waiting:
        await stuck.send(loud(1))
        await waiting.send(quiet(0.5))
        for socket in (stuck, waiting):
            error = await heard_until(socket, "error")
            assert (error["code"], "has not answered for 1 s" in error["message"]) == ("internal", True)
    assert await status(http, hanging, "/healthz") == (503, "dead")
    assert (await speak(hanging.socket(), SPEECH)).refused == 503
    await hanging.empty()


async def test_when_the_call_comes_back_after_all_the_server_serves_again(hanging: Server, http):
    async with hanging.socket() as stuck:
        await stuck.send(loud(1))
        await heard_until(stuck, "error")
    hanging.toy.gate.set()
    async with asyncio.timeout(60):
        while (await status(http, hanging, "/healthz")) != (200, "ok"):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
    assert finals([message for _, message in (await speak(hanging.socket(), SPEECH)).messages]) == ["la la la"]


async def test_a_server_that_leaves_does_not_wait_for_a_hanging_thread(hanging: Server, monkeypatch):
    monkeypatch.setattr(engine, "JOIN_S", 1000.0)
    async with hanging.socket() as stuck:
        await stuck.send(loud(1))
        await heard_until(stuck, "error")
    await hanging.services.engines.drain(2)


async def test_a_server_that_has_no_thread_left_ends_so_that_it_is_started_anew():
    async with process(module=TOY) as server:
        async with server.socket("/v1/stream?hotwords=deadly") as socket:
            await socket.send(loud(1))
            assert (await heard_until(socket, "error"))["code"] == "internal"
        assert await asyncio.wait_for(server.process.wait(), 60) == Unavailable.exit_code
