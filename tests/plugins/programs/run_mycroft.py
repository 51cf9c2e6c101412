"""Runs where Mycroft's unmodified repository and its packages are: its own `stt` module and the listener's consumer.

python run_mycroft.py SERVER WAV OUT: hears WAV by its built-in modules and by our plugins, through the queue by which
the microphone's thread speaks to the consumer. Two things in C that nothing here uses are left out: the sound card
(`pyaudio`) and the neural nets of an intent engine (`fann2`).
"""

import json
import sys
import types
from pathlib import Path
from queue import Queue

sys.modules["pyaudio"] = sound = types.ModuleType("pyaudio")
sound.PyAudio = sound.paInt16 = None
sys.modules["fann2"] = nets = types.ModuleType("fann2")
nets.libfann = types.ModuleType("libfann")

from mycroft.client.speech import listener  # noqa: E402
from mycroft.client.speech.listener import AUDIO_DATA, STREAM_DATA, STREAM_START, STREAM_STOP  # noqa: E402
from mycroft.configuration import Configuration  # noqa: E402
from mycroft.stt import STTFactory  # noqa: E402
from pyee import BaseEventEmitter  # noqa: E402
from speech_recognition import AudioData, AudioFile, Recognizer  # noqa: E402

BATCH, STREAMING = "mycroft-stt-plugin-earloop", "mycroft-stt-plugin-earloop-streaming"
PATIENT = {"timeout_s": 60, "connect_s": 20, "retry_s": 30}
HASTY = {"timeout_s": 30, "connect_s": 20, "retry_s": 0.5}  # nobody is there: refused at once
CHUNK = 2048
SAID = (
    "recognizer_loop:utterance",
    "recognizer_loop:speech.recognition.unknown",
    "recognizer_loop:no_internet",
    "speak",
)


class Emitter(BaseEventEmitter):
    """The listener's events, as they go to the bus."""

    def __init__(self):
        super().__init__()
        self.told = []
        for name in SAID:
            self.on(name, lambda *payload, name=name: self.told.append([name, *payload]))


def configured(module, section):
    config = Configuration.get()
    config["stt"] = {"module": module, module: section}
    config["lang"] = "en-us"
    listener.connected = lambda: True  # which asks the internet


def consumed(module, section, audio):
    """What the consumer tells the bus after one command, streamed or not as the engine wants it."""
    configured(module, section)
    engine, emitter, queue = STTFactory.create(), Emitter(), Queue()
    state = types.SimpleNamespace(running=True, sleeping=False)
    consumer = listener.AudioConsumer(state, queue, emitter, engine, None, None)
    raw = audio.get_raw_data()
    if engine.can_stream:
        queue.put((STREAM_START, None))
        for at in range(0, len(raw), CHUNK):
            queue.put((STREAM_DATA, raw[at : at + CHUNK]))
    queue.put((AUDIO_DATA, AudioData(b"\0\0" + raw, audio.sample_rate, audio.sample_width)))
    if engine.can_stream:
        queue.put((STREAM_STOP, None))
    while not queue.empty():
        consumer.read()
    told = [[name, payload[0].get("utterances") if payload else None] for name, *payload in emitter.told]
    return {"engine": type(engine).__module__ + "." + type(engine).__name__, "told": told}


def main():
    url, wav, out = sys.argv[1:4]
    with AudioFile(wav) as source:
        audio = Recognizer().record(source)
    gone = "http://127.0.0.1:9"
    told = {
        "deepspeech_server": consumed("deepspeech_server", {"uri": f"{url}/stt"}, audio),
        "deepspeech_stream_server": consumed(
            "deepspeech_stream_server", {"stream_uri": f"{url}/stt?format=16K_PCM16"}, audio
        ),
        "kaldi": consumed("kaldi", {"uri": f"{url}/client/dynamic/recognize"}, audio),
        "batch": consumed(BATCH, {"url": url, **PATIENT}, audio),
        "streaming": consumed(STREAMING, {"url": url, **PATIENT}, audio),
        "batch_gone": consumed(BATCH, {"url": gone, **HASTY}, audio),
        "streaming_gone": consumed(STREAMING, {"url": gone, **HASTY}, audio),
    }
    Path(out).write_text(json.dumps(told), encoding="utf-8")


main()
