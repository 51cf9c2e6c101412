"""Which decoders can run here, for a bundle's alphabet and language model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from stt_server.errors import BadOption, Unsupported
from stt_server.logs import EventLog
from stt_server.speech.decoder.confidence import UNCALIBRATED
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.decoder.library import library_path
from stt_server.speech.decoder.native import NativeDecoder
from stt_server.speech.decoder.reference import ReferenceDecoder

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from stt_server.speech.alphabet import Alphabet
    from stt_server.speech.decoder.confidence import Calibration
    from stt_server.speech.decoder.interface import Decoder

SEARCHES: tuple[type[NativeDecoder | ReferenceDecoder], ...] = (NativeDecoder, ReferenceDecoder)  # the best one first
ENGINES = (GreedyDecoder.name, *(search.name for search in SEARCHES))


def load_decoders(
    alphabet: Alphabet,
    lm: Path | None,
    *,
    alpha: float,
    beta: float,
    beam: int,
    required: str | None = None,
    confidence: Calibration = UNCALIBRATED,
) -> dict[str, Decoder]:
    """The decoders by name. Left out are those that were not built or installed; all but greedy where that is required.

    Raises BadOption for a required engine there is not, Unsupported for one that was not built or installed, NotFound
    and BadBundle for a language model that cannot be read.
    """
    if required is not None and required not in ENGINES:
        raise BadOption(f"there is no decoder {required!r}; choose one of: {', '.join(ENGINES)}", field="decoder")
    decoders: dict[str, Decoder] = {GreedyDecoder.name: GreedyDecoder(alphabet)}
    if required == GreedyDecoder.name:
        return decoders
    for search in SEARCHES:
        try:
            decoders[search.name] = (
                NativeDecoder(alphabet, lm, alpha=alpha, beta=beta, beam=beam, confidence=confidence)
                if search is NativeDecoder
                else search(alphabet, lm, alpha=alpha, beta=beta, beam=beam)
            )
        except Unsupported as error:
            if search.name == required:
                raise
            if search is NativeDecoder:
                _tell_once(str(error), ReferenceDecoder.name)
    _load_what_serves(decoders, required)
    return decoders


def _load_what_serves(decoders: dict[str, Decoder], required: str | None) -> None:
    """The reference's language model waits for somebody who asks for it, unless there is no other search."""
    reference = decoders.get(ReferenceDecoder.name)
    is_served = required == ReferenceDecoder.name or NativeDecoder.name not in decoders
    if isinstance(reference, ReferenceDecoder) and is_served:
        reference.load()


def default_decoder(asked: str | None, engine: str, there: Container[str]) -> str:
    """The decoder for streams that leave it to us: the one asked for, else by the bundle's `engine`.

    For a bundle that wants a search it is the best one there is; its alpha, beta and beam are good for both.
    """
    if asked in there:
        return str(asked)
    if engine == GreedyDecoder.name:
        return engine
    return next((search.name for search in SEARCHES if search.name in there), GreedyDecoder.name)


def usual_search() -> str:
    """The search that uses a language model where nobody says which one."""
    return NativeDecoder.name if library_path() else ReferenceDecoder.name


@cache
def _tell_once(why: str, instead: str) -> None:
    EventLog("decoder").warning("no_native_decoder", why=why, instead=f"{instead} where it is installed, else greedy")
