"""The wall clock jumps a day forth and back all the time: no deadline and no time of audio depends on it."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.engine.toy import loud, quiet
from tests.faults.process import TOY, process
from tests.faults.streams import speak
from tests.web.conftest import closed, wav

PHRASES = (loud(3) + quiet(3)) * 4
SHIM = Path(__file__).parent / "jumping_clock.c"


@pytest.fixture(scope="module")
def jumping(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process whose wall clock jumps."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make the jumping clock with")
    library = tmp_path_factory.mktemp("clock") / "jumping.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True, timeout=60)
    return {"LD_PRELOAD": str(library)}


def test_the_clock_of_this_test_really_jumps(jumping):
    code = "import time; first = time.time(); time.sleep(0.3); print(abs(time.time() - first) > 3600)"
    env = {**os.environ, **jumping}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "True\n"


async def test_streams_uploads_and_deadlines_are_the_same_under_a_jumping_clock(jumping):
    steady, under_jumps = await asyncio.gather(_seen({}), _seen(jumping))
    assert under_jumps == steady


async def _seen(env: dict[str, str]) -> tuple:
    """All that three streams and an upload are told, and how an idle stream and a silent body end."""
    arguments = ("--idle-timeout-s", "2", "--lag-notice-ms", "600000")  # a machine that stalls is no jumping clock
    async with process(*arguments, module=TOY, env=env) as server:
        speaking = [speak(server.socket(), PHRASES) for _ in range(3)]
        told, upload, idle = await asyncio.gather(asyncio.gather(*speaking), _upload(server.url), _idle(server))
    heard = []
    for each in told:
        messages = [message for _, message in each.messages]
        heard.append([{**message, "session": ""} for message in messages if message["type"] != "partial"])
        assert messages[-1]["type"] == "finished"
        assert not {"behind", "error"} & set(each.kinds())
    return heard, upload, idle


async def _upload(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.post(f"{url}/stt", data=wav(PHRASES)) as answer:
        return answer.status, await answer.text()


async def _idle(server) -> tuple[bool, bool]:
    """Whether a stream that says nothing was closed, and neither at once nor a day later."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with server.socket() as socket:
        code, _ = await closed(socket)
        return code == 1008, loop.time() - began > 1.9
