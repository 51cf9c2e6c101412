"""`earloop lm tune`: alpha and beta under which a bundle hears a manifest best."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.folders import check_folders
from stt_server.commands.lm.hearing import Limit, LogProbsFile, ManifestName, NoVad, clips_of, ears, heard_in
from stt_server.commands.lm.place import BundleName, tell
from stt_server.commands.transcribe import progress_bar
from stt_server.errors import BadInput, BadOption
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.decoder.choice import SEARCHES, usual_search
from stt_server.speech.decoder.kenlm_binary import is_kenlm
from stt_server.speech.decoder.native import NativeDecoder

if TYPE_CHECKING:
    from stt_server.speech.bundle import Bundle
    from stt_server.speech.decoder.interface import Decoder
    from training.lm.weighing import Trial, Tuned

TAKERS = {search.name: search for search in SEARCHES}


def tune(
    bundle: BundleName,
    manifest: ManifestName,
    lm: Annotated[Path | None, typer.Option(help="A language model instead of the bundle's.")] = None,
    split: Annotated[str | None, typer.Option(help="train, dev or test; all of them by default.")] = None,
    limit: Limit = None,
    trials: Annotated[int, typer.Option(help="Weights to try besides the bundle's.", min=1)] = 60,
    beam: Annotated[int | None, typer.Option(help="Hypotheses kept; else the bundle's.", min=1, max=1000)] = None,
    decoder: Annotated[str | None, typer.Option(help="The engine; else native where it was built.")] = None,
    logprobs: LogProbsFile = None,
    no_vad: NoVad = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the weights of language model and words with the fewest word errors. The model hears each clip once."""
    from training.lm.weighing import check_optuna
    from training.lm.weighing import tune as search

    check_optuna()
    check_folders(logprobs)
    settings = load_settings()
    recognizer = ears(find_bundle(bundle, settings.data), settings)
    clips = clips_of(recognizer.bundle, manifest, split, settings.corpora, limit)
    heard = heard_in(recognizer, clips, logprobs, vad=not no_vad)
    defaults = recognizer.bundle.manifest.decoder
    with tempfile.TemporaryDirectory(prefix="earloop-lm-") as folder, progress_bar() as progress:
        weighed = Weighed(recognizer.bundle, lm, decoder, beam, Path(folder))
        task = progress.add_task("tuning", total=trials + 1)

        def told(trial: Trial) -> None:
            progress.update(task, advance=1, description=f"alpha {trial.alpha:.2f} beta {trial.beta:.2f}")

        tuned = search(weighed, heard, (defaults.alpha, defaults.beta), trials, told)
    _answer(tuned, weighed.engine, as_json=as_json)


class Weighed:
    """The decoders that are tried. The language model is made ready once, where the engine can take it so."""

    def __init__(self, bundle: Bundle, lm: Path | None, engine: str | None, beam: int | None, folder: Path) -> None:
        manifest = bundle.manifest
        given = lm if lm or manifest.lm is None else bundle.path(manifest.lm)
        if given is None:
            raise BadInput(f"the bundle {bundle.name} has no language model; name one with --lm", field="lm")
        self.engine = engine or usual_search()
        if self.engine not in TAKERS:
            why = f"the decoder {self.engine!r} takes no language model; choose {', '.join(TAKERS)}"
            raise BadOption(why, field="decoder")
        self._alphabet, self._beam = manifest.alphabet, beam or manifest.decoder.beam
        self._lm = _mapped(given, folder) if self.engine == NativeDecoder.name else given

    def __call__(self, alpha: float, beta: float) -> Decoder:
        return TAKERS[self.engine](self._alphabet, self._lm, alpha=alpha, beta=beta, beam=self._beam)


def _mapped(lm: Path, folder: Path) -> Path:
    """The model in the form that takes no time to load; KenLM's, which lists no n-grams, as it is."""
    from training.lm import ArpaModel, read_model, write_model

    if lm.is_file() and is_kenlm(lm):
        return lm
    model = read_model(lm)
    if not isinstance(model, ArpaModel):
        return lm
    write_model(model, folder / "tuned.lm")
    return folder / "tuned.lm"


def _answer(tuned: Tuned, engine: str, *, as_json: bool) -> None:
    rows = [("before", tuned.first), ("best", tuned.best)]
    if as_json:
        facts = {name: {"alpha": each.alpha, "beta": each.beta, "wer": each.wer} for name, each in rows}
        typer.echo(json.dumps(facts | {"engine": engine, "trials": tuned.trials, "clips": len(tuned.best.pairs)}))
        return
    for name, each in rows:
        typer.echo(f"{name:<8}alpha {each.alpha:6.3f}  beta {each.beta:6.3f}  WER {each.score().wer}")
    tell(f"{tuned.trials} trials on {len(tuned.best.pairs)} clips, {engine}; other speech tells whether it holds:")
    tell(f"`earloop lm attach … --alpha {tuned.best.alpha} --beta {tuned.best.beta}`, then `earloop evaluate`")
