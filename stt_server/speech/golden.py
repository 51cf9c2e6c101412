"""Does a loaded model still hear what it must? The golden clip of its bundle, written down as at its export."""

from __future__ import annotations

from stt_server.errors import BadBundle
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer, RecognizerSettings


def check_golden(recognizer: Recognizer) -> None:
    """Raise BadBundle where the model hears another text than the manifest's in the golden clip.

    Heard greedily and with settings of its own: every model must hear it so, and what an operator says about decoders
    and endpoints must not make a sound bundle look damaged.
    """
    bundle = recognizer.bundle
    golden = bundle.manifest.golden
    plain = Recognizer(bundle, recognizer.model, recognizer.decoders, RecognizerSettings(decoder="greedy"))
    heard = plain.transcribe(read_audio(bundle.path(golden))).text
    if heard != golden.text:
        raise BadBundle(
            f"the model {bundle.name} hears {heard!r} in its golden clip, not {golden.text!r}; it is damaged or does "
            "not fit this onnxruntime; install it again",
            field="golden",
        )
