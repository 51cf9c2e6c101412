"""What a bundle's model hears in a manifest's clips: heard once, decoded again and again by `tune` and `calibrate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.lm.place import tell
from stt_server.commands.transcribe import progress_bar
from stt_server.corpus import posteriors
from stt_server.corpus.corpora import find_corpus
from stt_server.services import recognizer_settings
from stt_server.speech.recognizer import Recognizer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stt_server.corpus.clip import Clip
    from stt_server.corpus.posteriors import Posteriors
    from stt_server.settings import Settings
    from stt_server.speech.bundle import Bundle

ManifestName = Annotated[
    str, typer.Argument(metavar="MANIFEST", help="A manifest's path, or a corpus by name; `kit` is the bundle's own.")
]
Limit = Annotated[int | None, typer.Option(help="Only so many clips, spread over the manifest.", min=1)]
LogProbsFile = Annotated[
    Path | None, typer.Option(help="Keep what the model hears here (.npz), and take it from here the next time.")
]
NoVad = Annotated[bool, typer.Option("--no-vad", help="Hear each clip as one utterance.")]


def ears(folder: Path, settings: Settings) -> Recognizer:
    """The model with a greedy decoder: what it hears is decoded later, and often."""
    return Recognizer.load(
        folder, threads=settings.threads, decoder="greedy", settings=replace(recognizer_settings(settings), beam=None)
    )


def clips_of(bundle: Bundle, name: str, split: str | None, corpora: Path | None, limit: int | None) -> list[Clip]:
    """Those of a manifest, a corpus or the kit, or of one split; at most `limit`, spread."""
    if name == "kit" and bundle.manifest.kit:
        name = str(bundle.path(bundle.manifest.kit))
    clips = list(find_corpus(corpora, name).clips(split))
    return clips if limit is None else clips[:: max(1, len(clips) // limit)][:limit]


def heard_in(recognizer: Recognizer, clips: Sequence[Clip], kept: Path | None, *, vad: bool) -> list[Posteriors]:
    """From the file where that has them, else from the model."""
    known_by = posteriors.mark(recognizer.bundle.manifest.models["fp32"].sha256, clips, vad=vad)
    if kept and (found := posteriors.load(kept, known_by)) is not None:
        tell(f"{kept}: what the model hears in {len(found)} clips")
        return found
    with progress_bar() as progress:
        task = progress.add_task("hearing", total=len(clips))
        heard = posteriors.hear(recognizer, clips, lambda done: progress.update(task, completed=done), vad=vad)
    if kept:
        posteriors.save(heard, kept, known_by)
    return heard
