"""Runs where OVOS's alpha is installed: the real voice loop of its listener, by ovoscope, with our plugins in it.

python run_voice_loop.py SERVER WAV OUT: what it says on the bus for each plugin, and with a server that is gone what
its fallback engine gets to say.
"""

import json
import os
import sys
import threading
import wave
from pathlib import Path

from ovos_dinkum_listener.plugins import FakeStreamingSTT
from ovos_plugin_manager.stt import OVOSSTTFactory
from ovoscope.listener import MockHotWordEngine
from ovoscope.voice_loop import MiniVoiceLoop, MockStreamingSTT

BATCH, STREAMING = "ovos-stt-plugin-earloop", "ovos-stt-plugin-earloop-streaming"
PATIENT = {"timeout_s": 60, "connect_s": 20, "retry_s": 30}
HASTY = {"timeout_s": 30, "connect_s": 20, "retry_s": 0.5}  # nobody is there: refused at once


class Energy:
    """A voice activity detector: what is quieter than this is silence."""

    def is_silence(self, chunk):
        samples = memoryview(chunk).cast("h")
        return sum(map(abs, samples)) / max(1, len(samples)) < 60


class Fallback(MockStreamingSTT):
    """An engine beside ours that was streamed the same."""

    stream = type("Stream", (), {"language": ""})()


def run(module, url, wav, patience, fallback=None):
    plugin = OVOSSTTFactory.create({"module": module, module: {"url": url, **patience}, "lang": "en-us"})
    stt = plugin if plugin.can_stream else FakeStreamingSTT(plugin, {})
    word = MockHotWordEngine("hey_mycroft", trigger_after=2)
    with MiniVoiceLoop(stt_instance=stt, vad_instance=Energy(), ww_instances={"hey_mycroft": word}) as loop:
        loop.voice_loop.fallback_stt = fallback
        messages = loop.feed_file(wav, silence_tail_chunks=60)
    return {
        "said": [each.msg_type for each in messages],
        "utterances": [each.data["utterances"] for each in messages if "utterances" in each.data],
    }


def with_wake_word(wav, out):
    """Half a second of noise before it, in which the wake word is found."""
    with wave.open(wav) as source, wave.open(out, "wb") as sink:
        sink.setparams(source.getparams())
        sink.writeframes(b"\x00\x04\x00\xfc" * 4096 + source.readframes(source.getnframes()))
    return out


def main():
    url, wav, out = sys.argv[1:4]
    spoken = with_wake_word(wav, f"{out}.wav")
    gone = "http://127.0.0.1:9"
    told = {
        "streaming": run(STREAMING, url, spoken, PATIENT),
        "batch": run(BATCH, url, spoken, PATIENT),
        "gone": run(STREAMING, gone, spoken, HASTY),
        "gone_with_fallback": run(STREAMING, gone, spoken, HASTY, Fallback("the other engine")),
        "gone_batch_with_fallback": run(BATCH, gone, spoken, HASTY, Fallback("the other engine")),
    }
    told["threads"] = [each.name for each in threading.enumerate() if not each.daemon]
    Path(out).write_text(json.dumps(told), encoding="utf-8")
    os._exit(0)  # the thread of `FakeStreamingSTT`, that wraps a batch plugin, is no daemon and waits for audio


main()
