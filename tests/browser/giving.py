"""People who agree and give clips, by the same requests as the pages: what there is to judge and to look through."""

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from stt_server.speech.files import write_wav


class Giver:
    """Somebody of their own token, who has agreed to training and public release."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        self.headers = {"X-Contributor": self.ask("POST", "/v1/people")["token"]}
        version = self.ask("GET", "/v1/consent")["offer"]["version"]
        self.ask("PUT", "/v1/consent", json={"version": version, "purposes": ["recognition", "training", "release"]})

    def give(self, samples: np.ndarray, folder: Path, **said: str) -> Any:
        """A clip that is kept."""
        path = folder / "given.wav"
        write_wav(path, samples)
        form = aiohttp.FormData()
        for name, value in said.items():
            form.add_field(name, value)
        form.add_field("audio", BytesIO(path.read_bytes()), filename="given.wav", content_type="audio/wav")
        return self.ask("POST", "/v1/clips", data=form)

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """What the server answers; fails where it refuses."""
        return asyncio.run(self._ask(method, path, **body))

    async def _ask(self, method: str, path: str, **body: Any) -> Any:
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=self.headers) as http,
            http.request(method, self.url + path, **body) as answer,
        ):
            assert answer.status < 300, await answer.text()
            return await answer.json() if answer.status != 204 else None
