"""What Mycroft's and OVOS's own modules send, by the library they send it with, and what they make of the answer.

The twin of `test_assistants.py` and `test_ovos.py`, where the modules themselves run.
"""

from collections.abc import Iterator

import pytest
import requests

from tests.plugins.conftest import SENTENCES, chunks, heard_natively, off_loop, pcm
from tests.web.conftest import Server, Start, wav
from tests.web.keys import make_key

WITHIN_S = 60


def deepspeech_server(url: str, audio: bytes, query: str = "") -> str:
    """`DeepSpeechServerSTT`: a wav without a content type; whatever text comes back is taken."""
    return requests.post(f"{url}/stt{query}", data=wav(audio), timeout=WITHIN_S).text


def deepspeech_stream_server(url: str, audio: bytes, query: str = "") -> str | None:
    """`DeepSpeechStreamThread`: raw audio in chunks of the microphone's; None after an error."""

    def spoken() -> Iterator[bytes]:
        yield from chunks(audio)

    target = f"{url}/stt?format=16K_PCM16{query.replace('?', '&')}"
    answer = requests.post(target, data=spoken(), stream=True, timeout=WITHIN_S)
    return answer.text if answer.ok else None


def ovos_server_plugin(url: str, audio: bytes, query: str = "") -> str | None:
    """`OVOSHTTPServerSTT` 0.1.3."""
    headers = {"Content-Type": "audio/wav", "User-Agent": "python-requests"}
    target = f"{url}/stt{query}"
    answer = requests.post(target, data=wav(audio), headers=headers, params={"lang": "en-US"}, timeout=WITHIN_S)
    return answer.text if answer.ok else None


MODULES = (deepspeech_server, deepspeech_stream_server, ovos_server_plugin)


@pytest.mark.parametrize("module", MODULES)
async def test_a_built_in_module_hears_what_the_native_client_hears(start: Start, recognizer, module):
    server, audio = await start(recognizer), pcm(SENTENCES[1])
    expected = await heard_natively(server, audio)
    assert expected
    assert await off_loop(module, server.url, audio) == expected


@pytest.mark.parametrize("module", MODULES)
async def test_a_refusal_is_never_taken_for_what_was_said(server: Server, module):
    key = await make_key(server)
    assert not await off_loop(module, server.url, pcm(SENTENCES[1]))
    assert await off_loop(module, server.url, pcm(SENTENCES[1]), f"?key={key}")
