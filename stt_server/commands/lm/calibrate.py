"""`earloop lm calibrate`: weights under which the native engine's confidence says how often words are right."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from stt_server.commands.folders import check_folders
from stt_server.commands.lm.attach import InPlace, NewBundle, check_target
from stt_server.commands.lm.hearing import Limit, LogProbsFile, ManifestName, NoVad, clips_of, ears, heard_in
from stt_server.commands.lm.place import BundleName, tell
from stt_server.settings import load_settings
from stt_server.speech.bundle import find_bundle
from stt_server.speech.decoder.native import NativeDecoder

if TYPE_CHECKING:
    from stt_server.speech.bundle import Bundle
    from stt_server.speech.decoder.confidence import Calibration
    from training.lm.calibrating import Judged, Reliability


def calibrate(
    bundle: BundleName,
    manifest: ManifestName,
    split: Annotated[str, typer.Option(help="The split that weights are fitted on.")] = "dev",
    tested_on: Annotated[str, typer.Option(help="The split that they are then measured on.")] = "test",
    limit: Limit = None,
    logprobs: LogProbsFile = None,
    test_logprobs: Annotated[Path | None, typer.Option(help="The same for the split they are measured on.")] = None,
    no_vad: NoVad = False,
    plot: Annotated[Path | None, typer.Option(help="Draw confidence against truth into this file (.svg).")] = None,
    output: NewBundle = None,
    in_place: InPlace = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fit the weights of words' confidence on one split, measure them on another; write them into a bundle if asked."""
    from training.lm.calibrating import fit, judge, keep

    if output is not None or in_place:
        check_target(output, in_place=in_place)
    check_folders(logprobs, test_logprobs, plot)
    settings = load_settings()
    folder = find_bundle(bundle, settings.data)
    recognizer = ears(folder, settings)
    decoder = _decoder(recognizer.bundle)
    judged = []
    for name, file in ((split, logprobs), (tested_on, test_logprobs)):
        clips = clips_of(recognizer.bundle, manifest, name, settings.corpora, limit)
        judged.append(judge(decoder, heard_in(recognizer, clips, file, vad=not no_vad)))
    fitted = fit(judged[0])
    found = [Found.of(name, words, fitted) for name, words in zip((split, tested_on), judged, strict=True)]
    _answer(fitted, found, as_json=as_json)
    if plot:
        _draw(found[-1], plot)
    if output is not None or in_place:
        keep(folder, fitted, output)
        tell(f"{output or folder}: the manifest has these weights")


@dataclass(frozen=True, slots=True)
class Found:
    """Of a split: how reliable confidence is without calibration and with it."""

    split: str
    words: int
    right: float
    before: Reliability
    after: Reliability

    @classmethod
    def of(cls, split: str, judged: list[Judged], fitted: Calibration) -> Found:
        """Raises BadInput where no word was heard."""
        from stt_server.speech.decoder.confidence import UNCALIBRATED
        from training.lm.calibrating import measure

        before, after = measure(judged, UNCALIBRATED), measure(judged, fitted)
        return cls(split, len(judged), sum(each.is_right for each in judged) / len(judged), before, after)


def _decoder(bundle: Bundle) -> NativeDecoder:
    """The bundle's search with its own language model and weights, its confidence not calibrated."""
    manifest, weights = bundle.manifest, bundle.manifest.decoder
    lm = bundle.path(manifest.lm) if manifest.lm else None
    return NativeDecoder(manifest.alphabet, lm, alpha=weights.alpha, beta=weights.beta, beam=weights.beam)


def _answer(fitted: Calibration, found: list[Found], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"confidence": asdict(fitted), "splits": [asdict(each) for each in found]}))
        return
    typer.echo("weights  " + "  ".join(f"{name} {value:g}" for name, value in asdict(fitted).items()))
    for each in found:
        typer.echo(f"{each.split:<9}{each.words} words, {100 * each.right:.1f} % of them right")
        for name, one in (("posterior", each.before), ("calibrated", each.after)):
            typer.echo(f"  {name:<12}ECE {100 * one.ece:5.1f} %   NCE {one.nce:6.3f}")


def _draw(found: Found, file: Path) -> None:
    """Raises Unsupported where matplotlib is not installed."""
    from stt_server.errors import Unsupported

    try:
        from training.report.charts import reliability_chart

        points = [[(each.confidence, each.right) for each in one.bins] for one in (found.before, found.after)]
        svg = reliability_chart(*points)
    except ImportError as error:
        raise Unsupported("drawing needs matplotlib: pip install 'earloop[train]'") from error
    file.write_text(svg + "\n", encoding="utf-8")
    tell(f"{file}: drawn")
