"""A client that behaves, over and over, while others do not: it must keep its words."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from websockets.sync.client import connect

from stt_server.speech.bundle import load_bundle, shipped
from stt_server.speech.files import read_audio
from stt_server.speech.pcm import AudioFormat, encode_pcm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.live import Live

PIECE_BYTES: Final = 6400  # 200 ms
PATIENCE_S: Final = 60.0


class Witness:
    """Streams the shipped model's golden clip until told to stop."""

    def __init__(self, url: str) -> None:
        bundle = load_bundle(shipped())
        self._audio = encode_pcm(AudioFormat(), read_audio(bundle.path(bundle.manifest.golden)))
        self._text = bundle.manifest.golden.text
        self._url = url.replace("http", "ws") + "/v1/stream"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._testify, name="witness")
        self.heard: list[str] = []
        self.fault: Exception | None = None

    def _testify(self) -> None:
        try:
            while not self._stop.is_set():
                self.heard.append(self._listen())
        except Exception as error:  # noqa: BLE001 - raised where it is asked for
            self.fault = error

    def _listen(self) -> str:
        with connect(self._url, compression=None, open_timeout=PATIENCE_S) as socket:
            for at in range(0, len(self._audio), PIECE_BYTES):
                socket.send(self._audio[at : at + PIECE_BYTES])
            socket.send('{"type":"finish"}')
            said = [json.loads(message) for message in socket]
        assert said[-1]["type"] == "finished", said[-1]
        return " ".join(message["text"] for message in said if message["type"] == "final" and message["text"])

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault
        assert set(self.heard) == {self._text}

    @contextmanager
    def testifying(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the witness waits for ever"
        self.check()


@contextmanager
def witnessed(live: Live) -> Iterator[None]:
    """What happens inside must not be noticed by one who behaves."""
    with Witness(live.url).testifying():
        yield
