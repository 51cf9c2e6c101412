"""A real server and a real headless Chromium whose microphone is a wav file.

    page = open_page(wav=…, dark=True, size=(390, 780), allowed=False)

Skipped without chromium and chromium-driver. A test fails when the page wrote an error to its console, unless it says
which one it provokes.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_server.commands.bench.server import own_server
from stt_server.speech.files import write_wav
from tests.browser.page import Page, start_chromium
from tests.voices import say, silence

OpenPage = Callable[..., Page]

SPOKEN = ("yes", "turn on the lights", "stop")


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt-get install chromium chromium-driver)")


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server as `earloop serve` starts it, with the shipped model."""
    with own_server(["--data", str(tmp_path_factory.mktemp("served"))], None) as address:
        yield address


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three utterances with pauses that end them. Silence leads, while the page gets ready, and follows."""
    spoken = [part for text in SPOKEN for part in (say(text, rate=140), silence(1.5))]
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    write_wav(path, np.concatenate([silence(1.0), *spoken]))
    return path


@pytest.fixture
def open_page(url: str, wav: Path, tmp_path: Path) -> Iterator[OpenPage]:
    pages: list[Page] = []

    def open_one(at: str = url, *, microphone: Path = wav, **looks: Any) -> Page:
        page = Page(start_chromium(tmp_path / f"profile{len(pages)}", microphone, **looks))
        pages.append(page)
        page.browser.get(f"{at}/")
        return page

    try:
        yield open_one
        for page in pages:
            page.check_console()
    finally:
        for page in pages:
            page.browser.quit()
