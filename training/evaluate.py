"""Measure a bundle as it is served: clips through the recogniser, with every decoder it has."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stt_server.corpus.manifest import read_manifest
from stt_server.errors import Unsupported
from stt_server.speech.bundle import load_bundle
from stt_server.speech.files import read_audio
from stt_server.speech.recognizer import Recognizer
from stt_server.speech.text import normalize
from stt_server.speech.wer import score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stt_server.corpus.clip import Clip

    Row = dict[str, Any]
    Say = Callable[[str], None]

RATES = ("wer", "cer", "exact")


def measure(folder: Path, clips: Sequence[Clip], say: Say) -> list[Row]:
    """A row for each source, of `clips` and of the bundle's kit, and decoder: source, utterances, decoder, and `wer`,
    `cer` and `exact`, each with value, low and high (95 %). Sources in which nothing is said have no rates and no row.
    """
    spoken = [clip for clip in [*clips, *kit_clips(folder)] if clip.text]
    rows = []
    for recognizer in recognizers(folder, say):
        for source in dict.fromkeys(clip.source for clip in spoken):
            row = _row(recognizer, source, [clip for clip in spoken if clip.source == source])
            say(f"{source}: {100 * row['wer']['value']:.1f} % WER in {row['utterances']} utterances, {row['decoder']}")
            rows.append(row)
    places = {source: place for place, source in enumerate(dict.fromkeys(row["source"] for row in rows))}
    return sorted(rows, key=lambda row: places[row["source"]])


def count_false_words(folder: Path, say: Say) -> list[Row]:
    """For each decoder, in how many of the kit's clips without speech (`clips`) it heard a word (`with_words`)."""
    quiet = [read_audio(clip.path) for clip in kit_clips(folder) if not clip.text]
    rows = []
    for recognizer in recognizers(folder, say) if quiet else []:
        heard = sum(bool(recognizer.transcribe(samples).text) for samples in quiet)
        rows.append({"decoder": recognizer.default_decoder, "clips": len(quiet), "with_words": heard})
    return rows


def recognizers(folder: Path, say: Say = lambda sentence: None) -> list[Recognizer]:
    """The bundle with each decoder that it and this installation have."""
    loaded = [Recognizer.load(folder, decoder="greedy")]
    if load_bundle(folder).manifest.lm is not None:
        try:
            loaded.append(Recognizer.load(folder, decoder="reference"))
        except Unsupported as error:
            say(f"nothing is measured with the language model: {error}")
    return loaded


def kit_clips(folder: Path) -> list[Clip]:
    """The clips of the bundle's evaluation kit; [] where it has none."""
    bundle = load_bundle(folder)
    if bundle.manifest.kit is None:
        return []
    return list(read_manifest(bundle.path(bundle.manifest.kit)))


def _row(recognizer: Recognizer, source: str, clips: Sequence[Clip]) -> Row:
    pairs = [(normalize(clip.text), recognizer.transcribe(read_audio(clip.path)).text) for clip in clips]
    result = score(pairs)
    rates = {name: asdict(getattr(result, name)) for name in RATES}
    return {"source": source, "utterances": len(pairs), "decoder": recognizer.default_decoder, **rates}
