"""Nightly: Home Assistant's own Wyoming entity, from its package, in the newest version that runs on Python 3.11.

Later versions want 3.13 and 3.14. Their way to ask is in test_same_text.py and in the recorded conversations.
"""

import asyncio
import json
import sys
import wave
from pathlib import Path

import pytest

from stt_server.services import open_services
from stt_server.settings import load_settings
from stt_server.web.server import serving
from stt_server.wyoming.door import listening
from tests.plugins.environments import environment, packages
from tests.wyoming.conftest import PATIENT
from tests.wyoming.test_same_text import clips, native

HERE = Path(__file__).parent
PINNED = HERE / "programs" / "home-assistant-2024.3.3.txt"
INSTALL_S = 1500.0  # some have to be built
PROGRAM_S = 600

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the packages are pinned for Python 3.11"),
]


async def test_home_assistant_hears_what_our_own_protocol_hears(request, recognizer, tmp_path, free_port):
    installed = await asyncio.to_thread(packages, request.config.cache, PINNED, INSTALL_S)
    spoken = [*clips(), bytes(2 * 16000)]
    wavs = [written(tmp_path / f"{number}.wav", pcm) for number, pcm in enumerate(spoken)]
    settings = load_settings(data=tmp_path / "data", port=0, wyoming_port=free_port, **PATIENT)
    async with (
        listening(settings) as door,
        open_services(settings, recognizer) as services,
        serving(services) as url,
        door.opened(services),
    ):
        told = await outcome(free_port, wavs, tmp_path, installed)
        texts = [await native(url, pcm) for pcm in spoken]
    assert (told["version"], told["name"], told["languages"]) == ("2024.3.3", "Earloop", ["en"])
    assert told["title"] == "Earloop"
    assert told["heard"] == [{"text": text, "result": "success"} for text in texts]
    assert all(texts[:-1])
    assert texts[-1] == ""


def written(path: Path, pcm: bytes) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(pcm)
    return str(path)


async def outcome(port: int, wavs: list[str], home: Path, installed: Path) -> dict:
    out = home / "out.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "programs" / "run_home_assistant.py"), str(port), str(out), *wavs),
        env=environment(home, installed),
        cwd=home,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PROGRAM_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, said.decode(errors="replace")[-4000:]
    return json.loads(out.read_text(encoding="utf-8"))
