"""A real server with the tiny bundle and a real headless Chromium whose microphone is a wav file.

    page = open_page(wav=…, dark=True, size=(390, 780), allowed=False)

Skipped without chromium and chromium-driver. A test fails when the page wrote an error to its console, unless it says
which one it provokes.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_server.commands.bench.server import own_server
from stt_server.speech.files import write_wav
from tests.browser.page import Page, start_chromium
from tests.bundles import spoken
from tests.voices import white_noise

OpenPage = Callable[..., Page]
Serve = Callable[..., AbstractContextManager[str]]

SPOKEN = (("yes", "no"), ("stop", "light", "yes"), ("light",))


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt-get install chromium chromium-driver)")


@pytest.fixture(scope="session")
def serve(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """`with serve("--max-streams", "1") as url:` a process of `earloop serve`."""

    def start(*arguments: str) -> AbstractContextManager[str]:
        data = str(tmp_path_factory.mktemp("served"))
        return own_server(["--data", data, "--model", str(tiny_bundle), *arguments], None)

    return start


@pytest.fixture(scope="session")
def url(serve: Serve) -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture(scope="session")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Utterances with pauses that end them; one comes first, while the page gets ready."""
    pause = white_noise(1.5, -60)
    path = tmp_path_factory.mktemp("spoken") / "spoken.wav"
    write_wav(path, np.concatenate([pause, *(part for words in SPOKEN for part in (spoken(*words), pause))]))
    return path


@pytest.fixture
def open_page(url: str, wav: Path, tmp_path: Path) -> Iterator[OpenPage]:
    pages: list[Page] = []

    def open_one(at: str = url, path: str = "/", *, microphone: Path = wav, **looks: Any) -> Page:
        page = Page(start_chromium(tmp_path / f"profile{len(pages)}", microphone, **looks))
        pages.append(page)
        page.browser.get(at + path)
        return page

    try:
        yield open_one
        for page in pages:
            page.check_console()
    finally:
        for page in pages:
            page.browser.quit()
