"""Nightly: whole assistants from their packages, each in an environment of its own that pip makes.

OVOS's alpha with the real voice loop of its listener, driven by `ovoscope`; Mycroft's own `stt` and `listener`
modules, unmodified, from its repository.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.conftest import SENTENCES, heard_natively, pcm
from tests.plugins.environments import outcome, pip, plugin_installed
from tests.plugins.test_ovos import check_failed, check_heard, check_listed
from tests.web.conftest import Start, wav

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]

SENTENCE = SENTENCES[0]
RESOLVE_S = 1500.0  # for pip to find versions that go together, and to build some
UTTERANCE = [f"recognizer_loop:{each}" for each in ("wakeword", "record_begin", "record_end", "utterance")]
UNKNOWN = [*UTTERANCE[:-1], "recognizer_loop:speech.recognition.unknown"]
# pkg_resources, which both import, left setuptools with 82.
MYCROFTS = """
    setuptools<81 requests~=2.26.0 SpeechRecognition==3.8.1 pyee==8.1.0 tornado~=6.1 websocket-client~=1.2.1
    requests-futures python-dateutil fasteners PyYAML lingua-franca==0.4.2 mycroft-messagebus-client==0.9.4
    adapt-parser==0.5.1 pyxdg==0.27 psutil msm==0.8.9
"""
MYCROFTS_BARE = "padatious==0.4.8 padaos==0.1.9 petact==0.1.2 precise-runner==0.2.1 xxhash"  # without what is in C
MYCROFT_CORE = "https://github.com/MycroftAI/mycroft-core"
MYCROFT_COMMIT = "ab242a2c821553e6ecde0fa656f3be0331aef738"  # its last


def made(folder: Path, *arguments: str) -> str:
    """An environment with these packages, as its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=600)
    python = str(folder / "bin" / "python")
    pip("install", *arguments, python=python, within_s=RESOLVE_S)
    return python


@pytest.fixture(scope="module")
def alpha(tmp_path_factory: pytest.TempPathFactory) -> str:
    wanted = ("ovoscope", "ovos-dinkum-listener", "ovos-stt-plugin-server", "SpeechRecognition", "setuptools<82")
    return made(tmp_path_factory.mktemp("alpha"), "--pre", *wanted)


async def test_ovos_alpha_hears_the_same(start: Start, recognizer, alpha: str, tmp_path: Path):
    server, plugin, audio = await start(recognizer), plugin_installed("ovos", tmp_path), pcm(SENTENCE)
    told = await outcome([alpha], "run_ovos.py", server, wav(audio), tmp_path, plugin)
    check_listed(told["listed"])
    check_heard(told["heard"], await heard_natively(server, audio))
    check_failed(told["failed"])


async def test_the_voice_loop_of_ovos_hears_a_command_and_asks_its_fallback_when_the_server_is_gone(
    start: Start, recognizer, alpha: str, tmp_path: Path
):
    server, plugin, audio = await start(recognizer), plugin_installed("ovos", tmp_path), pcm(SENTENCE)
    told = await outcome([alpha], "run_voice_loop.py", server, wav(audio), tmp_path, plugin)
    for way in ("streaming", "batch"):
        assert told[way] == {"said": UTTERANCE, "utterances": [[SENTENCE]]}, way
    assert told["gone"] == {"said": UNKNOWN, "utterances": []}
    for way in ("gone_with_fallback", "gone_batch_with_fallback"):
        assert told[way] == {"said": UTTERANCE, "utterances": [["the other engine"]]}, way
    assert not [name for name in told["threads"] if name.startswith("earloop")]


@pytest.fixture(scope="module")
def mycroft(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Its environment and its repository: a checkout named by MYCROFT_CORE, else cloned. Skipped where neither is."""
    checkout = Path(os.environ.get("MYCROFT_CORE") or tmp_path_factory.mktemp("mycroft") / "core")
    if not checkout.is_dir():
        clone = ["git", "clone", "--quiet", "--depth", "1", MYCROFT_CORE, str(checkout)]
        if subprocess.run(clone, capture_output=True, timeout=600, check=False).returncode:
            pytest.skip(f"{MYCROFT_CORE} cannot be cloned here; name a checkout by MYCROFT_CORE")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    assert head.stdout.strip() == MYCROFT_COMMIT
    python = made(tmp_path_factory.mktemp("mycroft-env"), *MYCROFTS.split())
    pip("install", "--no-deps", *MYCROFTS_BARE.split(), python=python, within_s=RESOLVE_S)
    return python, checkout


async def test_mycrofts_listener_hears_by_its_own_modules_and_by_our_plugins(
    start: Start, recognizer, mycroft: tuple[str, Path], tmp_path: Path
):
    (python, checkout), server, audio = mycroft, await start(recognizer), pcm(SENTENCE)
    plugin = plugin_installed("mycroft", tmp_path)
    told = await outcome([python], "run_mycroft.py", server, wav(audio), tmp_path, checkout, plugin)
    ours = "mycroft_stt_plugin_earloop."
    engines = {
        "deepspeech_server": "mycroft.stt.DeepSpeechServerSTT",
        "deepspeech_stream_server": "mycroft.stt.DeepSpeechStreamServerSTT",
        "kaldi": "mycroft.stt.KaldiSTT",
        "batch": f"{ours}EarloopSTT",
        "streaming": f"{ours}EarloopStreamingSTT",
    }
    for name, engine in engines.items():
        assert told[name] == {"engine": engine, "told": [["recognizer_loop:utterance", [SENTENCE]]]}, name
    for name in ("batch_gone", "streaming_gone"):
        assert told[name]["told"] == [["recognizer_loop:no_internet", None], ["speak", None]], name
