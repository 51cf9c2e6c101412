"""Deepgram's client for JavaScript, `@deepgram/sdk`, installed by npm into a folder of this test's own.

Where npm's registry does not answer in time the test is skipped and says so.
"""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from stt_server.speech.recognizer import Recognizer
from tests.recordings import recording
from tests.web.conftest import Start
from tests.web.test_deepgram_client import TEXT, TWO, pcm

SCRIPT = Path(__file__).with_name("deepgram_client.cjs")
INSTALL_S, RUN_S = 300.0, 120.0
OF_THE_NETWORK = re.compile(r"\b(ECONN\w+|ENOTFOUND|ETIMEDOUT|EAI_AGAIN|ESOCKET\w*|ERR_SOCKET\w*|E5\d\d)\b")


async def output(*command: str | Path, folder: Path, within_s: float) -> str:
    """What a program prints. Fails with its complaints where it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*map(str, command), cwd=folder, stdout=pipe, stderr=pipe)
    try:
        said, complaints = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, complaints.decode(errors="replace")[-2000:]
    return said.decode()


async def installed(npm: str, package: str, folder: Path) -> None:
    command = (npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", package)
    try:
        await output(*command, folder=folder, within_s=INSTALL_S)
    except TimeoutError:
        pytest.skip(f"needs {package}, which npm's registry did not bring within {INSTALL_S:g} s")
    except AssertionError as error:
        if trouble := OF_THE_NETWORK.search(str(error)):
            pytest.skip(f"needs {package}, and npm's registry does not answer: {trouble[0]}")
        raise


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_the_javascript_client_writes_down_live_and_recorded_audio(
    start: Start, tiny: Recognizer, tmp_path: Path
):
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("needs npm and node")
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "audio.pcm").write_bytes(pcm(TWO))
    (folder / "audio.wav").write_bytes(recording("wav", TWO))
    shutil.copy(SCRIPT, folder)
    await installed(npm, "@deepgram/sdk@5", folder)
    server = await start(tiny)
    said = await output(node, SCRIPT.name, server.url, "audio.pcm", "audio.wav", folder=folder, within_s=RUN_S)
    assert json.loads(said) == {
        "live": {"text": TEXT, "types": ["Metadata", "Results", "SpeechStarted", "UtteranceEnd"]},
        "recorded": {"text": TEXT, "utterances": ["stop light", "yes no"]},
    }
