"""`earloop serve` as a process of its own. What it says on the wire is tested in tests/web."""

import asyncio
import inspect
import json
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from stt_server.commands.serve import serve
from stt_server.settings import Settings
from stt_server.speech.bundle import find_bundle

PATIENCE_S = 60


@pytest.fixture
def shipped() -> str:
    return str(find_bundle(""))


@asynccontextmanager
async def serving(*words: str) -> AsyncIterator[tuple[Process, str]]:
    """The process, and the URL it prints once it listens."""
    process = await start(*words)
    assert process.stdout
    try:
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        found = re.search(rb"http://\S+", line)
        assert found, line
        yield process, found[0].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def start(*words: str) -> Process:
    command = [sys.executable, "-m", "stt_server.cli", "serve", *words]
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)


async def ended(*words: str) -> tuple[int | None, str]:
    process = await start(*words)
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, errors.decode()


async def logged(process: Process, event: str) -> None:
    assert process.stderr
    async with asyncio.timeout(PATIENCE_S):
        while event.encode() not in await process.stderr.readline():
            pass


def test_every_setting_is_an_option():
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields)


async def test_a_model_that_is_not_there_is_a_sentence_and_exit_code_3():
    code, errors = await ended("--model", "nothing")
    assert (code, errors) == (3, "earloop: " + errors.removeprefix("earloop: "))
    assert "there is no model 'nothing'" in errors
    assert "Traceback" not in errors


async def test_an_impossible_setting_is_a_sentence_and_exit_code_2():
    code, errors = await ended("--port", "70000")
    assert code == 2
    assert "port cannot be 70000" in errors.replace("'", "")


async def test_a_port_in_use_is_a_sentence_and_exit_code_5(shipped):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, errors = await ended("--model", shipped, "--port", str(taken.getsockname()[1]))
    assert code == 5
    assert "choose another with --port" in errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_an_open_stream_say_its_finals_and_ends_with_code_0(shipped, number):
    async with serving("--model", shipped, "--port", "0") as (process, url):
        async with connect(url.replace("http", "ws") + "/v1/stream") as stream:
            await stream.send(bytes(16_000))
            assert json.loads(await asyncio.wait_for(stream.recv(), PATIENCE_S))["type"] == "ready"
            process.send_signal(number)
            async with asyncio.timeout(PATIENCE_S):
                said = [json.loads(message)["type"] async for message in stream]
            assert said[-1] == "finished"
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


async def test_a_second_signal_ends_the_process_at_once(shipped):
    async with (
        serving("--model", shipped, "--port", "0") as (process, url),
        connect(url.replace("http", "ws") + "/v1/stream"),  # opened nothing: it holds up the leaving
    ):
        process.terminate()
        await logged(process, "draining")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == -signal.SIGTERM


async def test_beyond_loopback_the_first_start_prints_an_admins_key_once_and_it_works(shipped, tmp_path):
    words = ("--model", shipped, "--port", "0", "--host", "0.0.0.0", "--data", str(tmp_path))
    async with serving(*words) as (process, url):
        assert process.stdout
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode()
        found = re.search(r"shown this once: (el_[0-9a-f]{16}_\S{43})$", line.strip())
        assert found, line
        async with connect(url.replace("http", "ws") + f"/v1/stream?key={found[1]}") as stream:
            await stream.send(bytes(16_000))
            assert json.loads(await asyncio.wait_for(stream.recv(), PATIENCE_S))["type"] == "ready"
        with pytest.raises(InvalidStatus, match="401"):
            await connect(url.replace("http", "ws") + "/v1/stream")
    async with serving(*words) as (process, _):
        process.terminate()
        assert process.stdout
        assert b"el_" not in await asyncio.wait_for(process.stdout.read(), PATIENCE_S)


async def test_a_damaged_database_is_a_sentence_and_exit_code_7(shipped, tmp_path):
    (tmp_path / "earloop.db").write_bytes(b"nonsense" * 1000)
    code, errors = await ended("--model", shipped, "--data", str(tmp_path), "--port", "0")
    assert code == 7
    assert "is no database, or damaged" in errors
    assert "Traceback" not in errors
