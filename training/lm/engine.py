"""Which engine decodes with a bundle's language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_server.errors import Unsupported
from stt_server.speech.decoder.choice import load_decoders

if TYPE_CHECKING:
    from stt_server.speech.bundle import Manifest

GREEDY = "greedy"
PREFERRED = ("native", "reference")


def engine_for(manifest: Manifest, asked: str | None = None) -> str:
    """The one asked for, else the bundle's, else, where that is greedy, the first that can run here.

    Raises Unsupported where none can.
    """
    named = asked or manifest.decoder.engine
    if named != GREEDY:
        return named
    there = load_decoders(manifest.alphabet, None, alpha=0.0, beta=0.0, beam=1)
    for engine in PREFERRED:
        if engine in there:
            return engine
    raise Unsupported("no decoder here takes a language model: pip install 'earloop[reference,kenlm]'")
