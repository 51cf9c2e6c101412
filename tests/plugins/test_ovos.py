"""The real ovos-plugin-manager 2.2.0 with our plugins, and with the server plugin that every OVOS has.

It runs in a process of its own, without site-packages: nothing of Earloop's environment is there. Their packages come
from the package index; where that does not answer in time the test is skipped and says so.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.conftest import SENTENCES, heard_natively, pcm
from tests.plugins.environments import PROGRAMS, outcome, packages, plugin_installed
from tests.web.conftest import Start, wav

SENTENCE = SENTENCES[0]
BATCH, STREAMING = "ovos-stt-plugin-earloop", "ovos-stt-plugin-earloop-streaming"


def check_listed(listed: dict[str, Any]) -> None:
    """The entry points of both worlds resolve, and the classes say what they are without being made."""
    assert listed["found"] == listed["supported"] == [BATCH, STREAMING]
    assert listed["configs"] == {name: ["en", "en-AU", "en-GB", "en-US"] for name in (BATCH, STREAMING)}
    assert listed["languages"] == {BATCH: ["en"], STREAMING: ["en"]}
    assert listed["streams"] == {BATCH: False, STREAMING: True}
    assert (listed["needs_internet"], listed["needs_network"]) == ([False, False], [True, True])


def check_heard(heard: dict[str, Any], expected: str) -> None:
    """The same words in every way, and nothing where nothing was said."""
    one = [[expected, 1.0]]
    ways = ("batch", "auto", "streamed", "over_the_bus", "beside_an_empty_stream")
    assert {way: heard[way] for way in ways} == dict.fromkeys(ways, one)
    assert heard["executed"] == heard["stopped"] == heard["built_in"] == expected
    assert heard["stopped_again"] is heard["after_it"] is None
    assert heard["without_anything"] == []
    assert heard["ready"] is True
    assert heard["languages"] == ["en"]


def check_failed(failed: dict[str, Any]) -> None:
    """What OVOS takes for a reason to ask its fallback engine: an exception."""
    assert "ConnectionError" in failed["batch"]["raised"]
    assert "ConnectionError" in failed["streamed"]["raised"]
    assert failed["stopped"]["gave"] is None


@pytest.fixture(scope="module")
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    stable = packages(request.config.cache, PROGRAMS / "ovos-stable.txt")
    return stable, plugin_installed("ovos", tmp_path_factory.mktemp("ovos"))


@pytest.mark.timeout(900)  # pip twice and the program, each with a deadline of its own
async def test_ovos_hears_by_our_plugins_and_by_its_own_what_the_native_client_hears(
    start: Start, recognizer, path: tuple[Path, Path], tmp_path: Path
):
    server = await start(recognizer)
    audio = pcm(SENTENCE)
    told = await outcome([sys.executable, "-S"], "run_ovos.py", server, wav(audio), tmp_path, *path)
    check_listed(told["listed"])
    check_heard(told["heard"], await heard_natively(server, audio))
    check_failed(told["failed"])
    await server.empty()
