"""Clients of the stream protocols, each as its own devices behave: how they open, code audio, end, and read what comes.

for message in await DEVICES["kaldi"].talk(socket, samples, chunk_s=0.25): …
"""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from stt_server.speech.pcm import AudioFormat, encode_pcm
from stt_server.speech.resample import resample
from tests.web.conftest import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from websockets.asyncio.client import ClientConnection

    Message = str | bytes
    Samples = np.ndarray[Any, np.dtype[np.float32]]

COMPLETED = "conversation.item.input_audio_transcription.completed"


@dataclass(frozen=True)
class Device:
    """`last` tells whether a message is the last that matters; `texts` finds what was heard in all of them."""

    name: str
    path: str
    texts: Callable[[list[Message]], list[str]]
    ends: tuple[str, ...]
    last: Callable[[Message], bool]
    begins: tuple[str, ...] = ()
    encoding: str = "s16le"
    rate: int = 16_000
    wrap: Callable[[bytes], Message] = bytes

    def messages(self, samples: Samples, chunk_s: float) -> list[Message]:
        """16 kHz samples as the messages that carry them, so many seconds in each."""
        coded = encode_pcm(AudioFormat(self.encoding, self.rate), resample(samples, 16_000, self.rate))
        step = int(chunk_s * self.rate) * AudioFormat(self.encoding, self.rate).frame_bytes
        return [self.wrap(coded[start : start + step]) for start in range(0, len(coded), step)]

    async def talk(self, socket: ClientConnection, samples: Samples, chunk_s: float) -> list[Message]:
        """Say it all without waiting, and read meanwhile, up to the last message or the close frame."""
        reading = asyncio.create_task(self.read(socket))
        with suppress(ConnectionClosed):
            for message in (*self.begins, *self.messages(samples, chunk_s), *self.ends):
                await socket.send(message)
        return await reading

    async def read(self, socket: ClientConnection) -> list[Message]:
        heard: list[Message] = []
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionClosed):
                while not heard or not self.last(heard[-1]):
                    heard.append(await socket.recv())
        return heard


def _never(_: Message) -> bool:
    return False


def _appended(audio: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()})


def _found(*path: str | int, when: Callable[[dict[str, Any]], bool]) -> Callable[[list[Message]], list[str]]:
    """The texts at a path in those messages of which it is so."""

    def texts(messages: list[Message]) -> list[str]:
        found = []
        for message in messages:
            said: Any = json.loads(message) if str(message).startswith("{") else {}
            if said and when(said):
                for key in path:
                    said = said[key]
                found.append(said)
        return [text for text in found if text]

    return texts


_NATIVE = Device(
    "native",
    "/v1/stream",
    _found("text", when=lambda said: said.get("type") == "final"),
    ('{"type":"finish"}',),
    _never,
)
BROWSER: dict[str, Any] = {"encoding": "f32le", "rate": 48_000}
TELEPHONE: dict[str, Any] = {"encoding": "mulaw", "rate": 8_000}
_REALTIME_ON = {
    "type": "session.update",
    "session": {"audio": {"input": {"turn_detection": {"silence_duration_ms": 600}}}},
}
DEVICES = {
    device.name: device
    for device in (
        _NATIVE,
        replace(_NATIVE, name="browser", path=f"{_NATIVE.path}?sample_rate=48000&encoding=f32le", **BROWSER),
        replace(_NATIVE, name="telephone", path=f"{_NATIVE.path}?sample_rate=8000&encoding=mulaw", **TELEPHONE),
        Device(
            "vosk",
            "/",
            _found("text", when=lambda said: "text" in said),
            ('{"eof" : 1}',),
            _never,
            begins=('{ "config" : { "sample_rate" : 16000.000000 } }',),
        ),
        Device(
            "kaldi",
            "/client/ws/speech?content-type=audio/x-raw,+rate=(int)16000,+format=(string)S16LE,+channels=(int)1",
            _found("result", "hypotheses", 0, "transcript", when=lambda said: said.get("result", {}).get("final")),
            ("EOS",),
            _never,
        ),
        Device(
            "deepgram",
            "/v1/listen?encoding=linear16&sample_rate=16000&interim_results=true",
            _found("channel", "alternatives", 0, "transcript", when=lambda said: said.get("is_final", False)),
            ('{"type":"CloseStream"}',),
            _never,
        ),
        Device("deepspeech", "/recognize", lambda said: [str(text) for text in said if text], ("EOS",), lambda _: True),
        Device(
            "sherpa",
            "/sherpa",
            _found("text", when=lambda said: said.get("is_final") is True),
            ("Done",),
            lambda message: message == "Done!",
            encoding="f32le",
        ),
        Device(
            "realtime",
            "/v1/realtime?intent=transcription",
            _found("transcript", when=lambda said: said.get("type") == COMPLETED),
            ('{"type":"input_audio_buffer.clear"}',),
            lambda message: json.loads(message)["type"] == "input_audio_buffer.cleared",
            begins=(json.dumps(_REALTIME_ON),),
            rate=24_000,
            wrap=_appended,
        ),
    )
}  # fmt: skip
