"""Runs where Home Assistant is installed and Earloop is not: its own Wyoming speech-to-text entity, unmodified.

python run_home_assistant.py PORT OUT WAV…: asks the port what is here, hears every WAV, writes what came of it as JSON.
"""

import asyncio
import json
import sys
import wave
from pathlib import Path
from types import SimpleNamespace

from homeassistant.components import stt
from homeassistant.components.wyoming.data import WyomingService
from homeassistant.components.wyoming.stt import WyomingSttProvider
from homeassistant.const import __version__

PIECE = 2048  # bytes, as satellites send


async def heard(entity, wav):
    """What Home Assistant's assistant would get for this recording."""
    with wave.open(wav) as file:
        pcm = file.readframes(file.getnframes())

    async def stream():
        for at in range(0, len(pcm), PIECE):
            yield pcm[at : at + PIECE]

    metadata = stt.SpeechMetadata(
        language=entity.supported_languages[0],
        format=stt.AudioFormats.WAV,
        codec=stt.AudioCodecs.PCM,
        bit_rate=stt.AudioBitRates.BITRATE_16,
        sample_rate=stt.AudioSampleRates.SAMPLERATE_16000,
        channel=stt.AudioChannels.CHANNEL_MONO,
    )
    assert entity.check_metadata(metadata)
    result = await entity.async_process_audio_stream(metadata, stream())
    return {"text": result.text, "result": result.result.value}


async def told(port, *wavs):
    service = await WyomingService.create("127.0.0.1", int(port))
    assert service is not None, "no info within Home Assistant's own second"
    entity = WyomingSttProvider(SimpleNamespace(entry_id="test"), service)
    return {
        "version": __version__,
        "name": entity.name,
        "title": service.get_name(),
        "languages": entity.supported_languages,
        "heard": [await heard(entity, wav) for wav in wavs],
    }


PORT, OUT, *WAVS = sys.argv[1:]
Path(OUT).write_text(json.dumps(asyncio.run(told(PORT, *WAVS))), encoding="utf-8")
