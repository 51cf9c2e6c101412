"""The engine tests' toy recognizer with ears: any encoding and rate, as the real one takes them.

It hears `la` for every 160 ms of loud sound. Streams misbehave by the name that is their first hotword; see
`tests/engine/toy.py`.
"""

from dataclasses import dataclass, field

from stt_server.errors import BadOption
from stt_server.messages import Open
from stt_server.speech.pcm import AudioFormat, decode_pcm, to_int16
from stt_server.speech.resample import ResampleState, resampler
from tests.engine.toy import RATE, Toy, ToyStream


@dataclass(eq=False)
class HearingStream(ToyStream):
    form: AudioFormat = field(default_factory=AudioFormat)
    rest: bytes = b""
    resampled: ResampleState | None = None


class Listener(Toy):
    def open(self, options: Open) -> ToyStream:
        if options.model not in (None, self.name):
            raise BadOption(f"there is no model {options.model!r}", field="model")
        spec = options.audio
        form = AudioFormat(spec.encoding, spec.sample_rate, spec.channels)
        return HearingStream(super().open(options).name, form=form)

    def accept(self, stream: ToyStream, data: bytes) -> None:
        assert isinstance(stream, HearingStream)
        convert = resampler(stream.form.sample_rate, RATE)
        samples, stream.rest = decode_pcm(stream.form, data, stream.rest)
        samples, stream.resampled = convert(samples, stream.resampled or convert.initial())
        super().accept(stream, to_int16(samples).astype("<i2").tobytes())


class Broken(Listener):
    """Raises what is no error of ours whenever it hears anything."""

    def accept(self, stream: ToyStream, data: bytes) -> None:
        raise ZeroDivisionError
