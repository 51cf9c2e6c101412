"""Runs where OVOS is installed and Earloop is not: the real plugin manager with our plugins and the server's own.

python run_ovos.py SERVER WAV OUT: hears WAV in every way, writes what came of it to OUT as JSON.
"""

import json
import sys
import time
from pathlib import Path

from ovos_plugin_manager import stt as manager
from ovos_plugin_manager.utils.audio import AudioData

BATCH, STREAMING, BUILT_IN = "ovos-stt-plugin-earloop", "ovos-stt-plugin-earloop-streaming", "ovos-stt-plugin-server"
PATIENT = {"timeout_s": 60, "connect_s": 20, "retry_s": 30}
HASTY = {"timeout_s": 30, "connect_s": 20, "retry_s": 0.5}  # nobody is there: refused at once


def made(module, **section):
    return manager.OVOSSTTFactory.create({"module": module, module: section, "lang": "en-us"})


def streamed(plugin, audio, language=None):
    plugin.stream_start(language)
    raw = audio.get_raw_data()
    for at in range(0, len(raw), 4096):
        plugin.stream_data(raw[at : at + 4096])


def caught(work):
    began = time.monotonic()
    try:
        return {"gave": work(), "took_s": time.monotonic() - began}
    except Exception as error:  # noqa: BLE001 - what OVOS's own loop catches
        return {"raised": [each.__name__ for each in type(error).__mro__], "took_s": time.monotonic() - began}


def listed():
    """What the manager finds by the entry points."""
    found = manager.find_stt_plugins()
    classes = {name: manager.load_stt_plugin(name) for name in (BATCH, STREAMING)}
    return {
        "found": sorted(name for name in found if "earloop" in name),
        "configs": {name: sorted(manager.get_stt_module_configs(name)) for name in classes},
        "supported": sorted(name for name in manager.get_stt_supported_langs().get("en", []) if "earloop" in name),
        "languages": {name: sorted(each.available_languages) for name, each in classes.items()},
        "needs_internet": [each.runtime_requirements.requires_internet for each in classes.values()],
        "needs_network": [each.runtime_requirements.requires_network for each in classes.values()],
        "streams": {name: issubclass(each, manager.StreamingSTT) for name, each in classes.items()},
    }


def heard(url, audio):
    batch, streaming = made(BATCH, url=url, **PATIENT), made(STREAMING, url=url, **PATIENT)
    told = {"batch": batch.transcribe(audio, "en-us"), "executed": batch.execute(audio, "en-US")}
    told["auto"] = batch.transcribe(audio, "auto")
    streamed(streaming, audio)
    streaming.stream.language = "en-GB"  # as the voice loop does at the end
    told["streamed"] = streaming.transcribe(lang="en-GB")
    told["ready"] = streaming.transcript_ready.is_set()
    streamed(streaming, audio)
    told["stopped"] = streaming.stream_stop()
    told["stopped_again"] = streaming.stream_stop()
    told["without_anything"] = streaming.transcribe()
    told["over_the_bus"] = streaming.transcribe(audio, "en-us")  # base64 audio, no stream
    streaming.stream_start()
    told["beside_an_empty_stream"] = streaming.transcribe(audio, "en-us")
    told["after_it"] = streaming.stream_stop()
    told["languages"] = sorted(streaming.available_languages)
    told["built_in"] = made(BUILT_IN, urls=[url + "/stt"], timeout=60).execute(audio, "en-US")
    streaming.shutdown()
    return told


def failed(gone, audio):
    batch, streaming = made(BATCH, url=gone, **HASTY), made(STREAMING, url=gone, **HASTY)
    told = {"batch": caught(lambda: batch.transcribe(audio, "en-us"))}
    streamed(streaming, audio)
    told["streamed"] = caught(lambda: streaming.transcribe(lang="en-us"))
    streamed(streaming, audio)
    told["stopped"] = caught(streaming.stream_stop)
    streamed(streaming, audio)  # left open: the process ends nevertheless
    return told


def main():
    url, wav, out = sys.argv[1:4]
    audio = AudioData.from_file(wav)
    told = {"listed": listed(), "heard": heard(url, audio), "failed": failed("http://127.0.0.1:9", audio)}
    Path(out).write_text(json.dumps(told), encoding="utf-8")


main()
