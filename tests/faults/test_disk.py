"""No room for an upload: it is refused with a sentence, and nobody else notices. A full disk is no reason for that."""

import asyncio
import io
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.engine.toy import loud, quiet
from tests.faults.process import TOY, Remote, process
from tests.faults.streams import speak
from tests.web.conftest import wav

SMALL_MB = 2
PHRASES = (loud(3) + quiet(3)) * 3
LARGE = wav((loud(3) + quiet(3)) * 300)  # 9 MB
SHORT = wav(loud(3) + quiet(3))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own with 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"only an administrator can mount a small disk ({error})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=20)


def no_large_files() -> None:
    """In the child: no file may grow beyond 2 MB, which fails as a full disk does and needs no administrator."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_MB << 20, SMALL_MB << 20))


async def refuses_large_uploads_alone(server: Remote) -> None:
    speaking = asyncio.create_task(speak(server.socket(), PHRASES))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as http:
        for _ in range(2):
            async with http.post(f"{server.url}/stt", data=io.BytesIO(LARGE)) as answer:
                reason = answer.headers["X-Earloop-Error"]
                assert (answer.status, reason.startswith("unavailable: ")) == (503, True), reason
                assert "no room" in reason
                assert int(answer.headers["Retry-After"]) >= 1
        async with http.post(f"{server.url}/stt", data=SHORT) as answer:
            assert (answer.status, await answer.text()) == (200, "la la la")
        async with http.get(f"{server.url}/healthz") as answer:
            assert answer.status == 200
    told = await speaking
    assert [text for text in told.finals() if text] == ["la la la"] * 3
    assert await server.metric("earloop_streams_open") == 0


async def test_uploads_need_no_disk(small_disk: Path):
    (small_disk / "full").write_bytes(bytes((SMALL_MB << 20) - 65536))
    async with (
        process(module=TOY, env={"TMPDIR": str(small_disk)}) as server,
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/stt", data=io.BytesIO(LARGE)) as answer,
    ):
        assert (answer.status, (await answer.text()).count("la la la")) == (200, 300)
    assert await asyncio.to_thread(os.listdir, small_disk) == ["full"]


async def test_a_large_upload_without_room_is_503_and_nothing_for_others():
    async with process(module=TOY, before=no_large_files) as server:
        await refuses_large_uploads_alone(server)
