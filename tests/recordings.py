"""Recordings in every format of OpenAI's list, encoded when they are asked for. Those of PyAV need it installed.

recording("webm", say("turn on the light"))
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import soundfile

from stt_server.speech.resample import resample

if TYPE_CHECKING:
    from tests.voices import Samples

BY_SOUNDFILE = {
    "flac": ("FLAC", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "mpga": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "OPUS"),
    "wav": ("WAV", "PCM_16"),
}
BY_PYAV = {  # FFmpeg's muxer and encoder
    "mp4": ("mp4", "aac"),
    "m4a": ("ipod", "aac"),
    "mpeg": ("mpeg", "mp2"),
    "webm": ("webm", "libopus"),
}
OPENAIS = (*BY_SOUNDFILE, *BY_PYAV)


def recording(kind: str, samples: Samples) -> bytes:
    """16 kHz samples as a file of one of `OPENAIS`."""
    if kind in BY_PYAV:
        return muxed(*BY_PYAV[kind], samples)
    container, subtype = BY_SOUNDFILE[kind]
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=container, subtype=subtype)
    return file.getvalue()


def muxed(muxer: str, encoder: str, samples: Samples, *, channels: int = 1, rate: int = 48_000) -> bytes:
    """16 kHz samples, copied to every channel, by any muxer and encoder that FFmpeg has."""
    layout = {1: "mono", 2: "stereo"}[channels]
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        track = container.add_stream(encoder, rate=rate, layout=layout)
        assert isinstance(track, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.tile(resample(samples, 16_000, rate), (channels, 1)), "fltp", layout)
        frame.sample_rate = rate
        size = track.codec_context.frame_size or 960
        convert = av.AudioResampler(track.codec_context.format.name, layout, rate, frame_size=size)
        for each in (*convert.resample(frame), *convert.resample(None)):
            container.mux(track.encode(each))
        container.mux(track.encode(None))
    return file.getvalue()
