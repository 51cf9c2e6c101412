"""vosk-server's own clients: the tool `vosk-transcriber` of its package, and lock-step through `websocket-client`."""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import websocket

from stt_server.speech.files import write_wav
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.resample import resample
from tests.bundles import spoken
from tests.voices import silence
from tests.web.conftest import PATIENCE_S, Server, Start

CLIP = np.concatenate([spoken("stop", "light"), silence(1.5), spoken("yes", "no"), silence(0.5)])
TOOL_S = 120.0  # the tool's import alone takes seconds on a busy machine

# Version 0.3.45 loads a model, which it would fetch from the network, even where a server is to hear, and its `-s`
# knows one address, ws://localhost:2700. All else is its own: reading by ffmpeg, lock-step, the formats it writes.
TOOL = """
import sys
from vosk.transcriber import cli, transcriber
transcriber.Model = lambda **_: None
cli.parser.set_defaults(server=sys.argv.pop(1))
cli.main()
"""


@pytest.fixture
async def real(start: Start, recognizer: Recognizer) -> Server:
    return await start(recognizer)


@pytest.fixture(scope="session")
def texts(recognizer: Recognizer) -> list[str]:
    """What the native way hears in the clip."""
    return [final.text for final in recognizer.transcribe(CLIP).finals if final.text]


async def transcriber(server: Server, *arguments: str) -> str:
    """What the tool prints."""
    address = server.url.replace("http", "ws")
    program = [sys.executable, "-c", TOOL, address, "--log-level", "WARNING", *arguments]
    tool = await asyncio.create_subprocess_exec(
        *program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(TOOL_S):
        said, complaints = await tool.communicate()
    assert tool.returncode == 0, complaints.decode()
    return said.decode()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="vosk-transcriber reads files by ffmpeg")
async def test_the_tool_of_the_package_writes_text_json_and_subtitles(real: Server, texts: list[str], tmp_path: Path):
    pytest.importorskip("vosk", reason="the package has no wheel for this machine")
    at_44k = tmp_path / "clip.wav"
    with at_44k.open("wb") as file:
        write_wav(file, resample(CLIP, 16_000, 44_100), 44_100)
    assert (await transcriber(real, "-i", str(at_44k))).split("\n")[:-2] == texts
    subtitles = await transcriber(real, "-i", str(at_44k), "-t", "srt")
    assert [block.splitlines()[2] for block in subtitles.strip().split("\n\n")] == texts
    await transcriber(real, "-i", str(at_44k), "-o", str(tmp_path / "said.txt"))
    assert (tmp_path / "said.txt").read_text().split("\n")[:-1] == texts
    await real.empty()


def in_lock_step(
    server: Server, config: dict[str, Any], samples: np.ndarray[Any, Any], reset_at_s: float = -1.0
) -> Any:
    """Send a frame, wait for its one answer, and so on; as the sample clients do. All answers."""
    rate = int(float(config["sample_rate"]))
    pcm = (np.clip(resample(samples, 16_000, rate), -1, 1) * 32767).astype("<i2").tobytes()
    socket = websocket.create_connection(server.url.replace("http", "ws"), timeout=PATIENCE_S)
    answers = []
    try:
        socket.send(json.dumps({"config": config}))
        for start in range(0, len(pcm), 4000):
            socket.send_binary(pcm[start : start + 4000])
            answers.append(json.loads(socket.recv()))
            if 0 <= reset_at_s * 2 * rate - start < 4000:
                socket.send('{"reset" : 1}')
                answers.append(json.loads(socket.recv()))
        socket.send('{"eof" : 1}')
        answers.append(json.loads(socket.recv()))
        assert socket.recv() == ""  # the close frame
    finally:
        socket.shutdown()  # `close` does nothing once the server's close frame was read
    return answers


@pytest.mark.parametrize("rate", [16_000, "16000.000000", 8_000.0, 44_100])
async def test_in_lock_step_every_rate_gives_the_native_text(real: Server, recognizer: Recognizer, rate):
    heard = resample(resample(CLIP, 16_000, int(float(rate))), int(float(rate)), 16_000)
    native = [final.text for final in recognizer.transcribe(heard).finals if final.text]
    answers = await asyncio.to_thread(in_lock_step, real, {"sample_rate": rate, "words": True}, CLIP)
    finals = [answer for answer in answers if answer.get("text")]
    assert [final["text"] for final in finals] == native
    assert all([word["word"] for word in final["result"]] == final["text"].split() for final in finals)


async def test_alternatives_and_partial_words_are_those_of_the_search(real: Server, texts: list[str]):
    config = {"sample_rate": 16_000, "max_alternatives": 4, "partial_words": True}
    answers = await asyncio.to_thread(in_lock_step, real, config, CLIP)
    finals = [answer["alternatives"] for answer in answers if "alternatives" in answer]
    best = [several[0]["text"] for several in finals if several[0]["text"]]
    assert best == texts
    for several in finals:
        assert len({each["text"] for each in several}) == len(several) <= 4
        scores = [each["confidence"] for each in several]
        assert scores == sorted(scores, reverse=True)
    partials = [answer for answer in answers if answer.get("partial")]
    assert partials
    assert all([word["word"] for word in each["partial_result"]] == each["partial"].split() for each in partials)


async def test_a_reset_ends_the_utterance_and_the_session_goes_on(real: Server, texts: list[str]):
    answers = await asyncio.to_thread(in_lock_step, real, {"sample_rate": 16_000}, CLIP, 2.0)
    assert [answer["text"] for answer in answers if answer.get("text")] == texts
    assert sum("text" in answer for answer in answers) >= len(texts) + 1
