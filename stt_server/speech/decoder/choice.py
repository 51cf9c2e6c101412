"""Which decoders can run here, for a bundle's alphabet and language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import BadOption, Unsupported
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.reference import ReferenceDecoder

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.interface import Decoder

ENGINES = (GreedyDecoder.name, ReferenceDecoder.name)


def load_decoders(
    alphabet: Alphabet, lm: Path | None, *, alpha: float, beta: float, beam: int, required: str | None = None
) -> dict[str, Decoder]:
    """The decoders by name. Reference is left out where its packages are missing, and where only greedy is required.

    Raises BadOption for a required engine there is not, Unsupported for one whose packages are missing, NotFound and
    BadBundle for a language model that cannot be read.
    """
    if required is not None and required not in ENGINES:
        raise BadOption(f"there is no decoder {required!r}; choose one of: {', '.join(ENGINES)}", field="decoder")
    decoders: dict[str, Decoder] = {GreedyDecoder.name: GreedyDecoder(alphabet)}
    if required == GreedyDecoder.name:
        return decoders
    try:
        decoders[ReferenceDecoder.name] = ReferenceDecoder(alphabet, lm, alpha=alpha, beta=beta, beam=beam)
    except Unsupported:
        if required is not None:
            raise
    return decoders
