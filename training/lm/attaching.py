"""A language model put into a bundle, or in the place of the one it has, with the weights that it was tuned to.

Everything is made and proved in a folder beside the bundle first. In place, the new files then get names of their own
and the manifest is replaced in one step, so whoever loads the bundle finds the old one or the new one whole.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stt_server.errors import BadInput, BadOption, Conflict
from stt_server.speech import bundle as bundles
from stt_server.speech.decoder.choice import usual_search
from stt_server.speech.decoder.greedy import GreedyDecoder
from stt_server.speech.files import read_audio
from stt_server.speech.golden import check_golden
from stt_server.speech.recognizer import Recognizer
from training.lm.appearing import appearing
from training.lm.model_file import read_model
from training.lm.numbering import SPECIAL

if TYPE_CHECKING:
    from stt_server.speech.bundle import Bundle

    Entries = dict[str, Any]

ENDINGS = (".arpa.gz", ".arpa", ".lm")
LEAST_SPELLABLE = 0.5  # of the words; below that the model was made of other letters
CARD_HEADING = "## Language model"


@dataclass(frozen=True, slots=True)
class Weights:
    """How the decoder weighs the model; None: as the bundle has it."""

    alpha: float | None = None
    beta: float | None = None
    beam: int | None = None
    engine: str | None = None

    def over(self, manifest: bundles.Manifest) -> Entries:
        """The manifest's decoder with these, and an engine that takes a model."""
        engine = self.engine or manifest.decoder.engine
        if engine == GreedyDecoder.name:
            engine = usual_search()
        given = {"alpha": self.alpha, "beta": self.beta, "beam": self.beam, "engine": engine}
        return manifest.decoder.model_dump() | {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Attached:
    """The bundle with its new model, and what it hears in its golden clip with it."""

    bundle: Bundle
    golden: str
    heard: str


def attach(source: Path, lm: Path, weights: Weights, target: Path | None) -> Attached:
    """Into a new folder `target`, or into the bundle itself where that is None.

    Raises NotFound, BadInput naming what is wrong with the model, BadBundle where the bundle no longer hears its golden
    clip, Unsupported where the engine is not installed, Conflict where `target` is there.
    """
    bundle = bundles.load_bundle(source)
    if target is None and not source.is_dir():
        raise BadOption(f"{source} is a zip; name a new folder for the bundle with --output", field="in_place")
    if target is not None and target.exists():
        raise Conflict(f"{target} is there already; name another --output, or remove it")
    _check_words(lm, bundle)
    place = target or source
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        shutil.copytree(bundle.folder, part, copy_function=link)
        golden, heard = _make(bundle, lm, weights, part)
        if target is None:
            _replace(bundle, part)
        else:
            _sweep(bundle, part, part)
            part.rename(target)
    except OSError as error:
        raise BadInput(f"{place} cannot be written: {error.strerror}", field="output") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Attached(bundles.load_bundle(place), golden, heard)


def _check_words(lm: Path, bundle: Bundle) -> None:
    """Raise BadInput for a file that is no model, or one that is written with other letters than the bundle's."""
    _ending(lm)
    words = read_model(lm).vocabulary[len(SPECIAL) :]
    letters = set(bundle.manifest.labels)
    strange = [word for word in words if not letters.issuperset(word)]
    if len(strange) > (1 - LEAST_SPELLABLE) * len(words):
        raise BadInput(
            f"{lm}: {len(strange)} of its {len(words)} words, such as {strange[0][:40]!r}, cannot be written with the "
            f"letters of {bundle.name}; build it without --no-normalize",
            field="lm",
        )


def _ending(lm: Path) -> str:
    for ending in ENDINGS:
        if lm.name.endswith(ending):
            return ending
    raise BadInput(f"{lm}: a language model's name ends in {', '.join(ENDINGS)}", field="lm")


def link(source: str, target: str) -> None:
    """A second name for the same bytes: a bundle is large, and of its files none is ever written again."""
    try:
        Path(target).hardlink_to(source)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _make(bundle: Bundle, lm: Path, weights: Weights, part: Path) -> tuple[str, str]:
    """Change the copy in `part`; what its golden clip says and what the bundle with its new model hears in it."""
    manifest = json.loads((part / bundles.MANIFEST).read_text(encoding="utf-8"))
    digest = bundles.sha256(lm)
    name = _free(part, "lm", _ending(lm), digest)
    (part / name).unlink(missing_ok=True)  # attached once before: the same bytes, which a server may be reading
    shutil.copyfile(lm, part / name)
    before = manifest.get("lm")
    manifest["lm"] = bundles.entry(part, name)
    manifest["decoder"] = weights.over(bundle.manifest)
    manifest["error_rates"] = [
        row for row in manifest.get("error_rates", []) if row.get("decoder") == GreedyDecoder.name
    ]
    told = {"name": lm.name, "attached": datetime.now(UTC).strftime("%Y-%m-%d"), "sha256": digest}
    manifest["lineage"] = manifest.get("lineage", {}) | {"lm": told | ({"before": before["sha256"]} if before else {})}
    if bundle.manifest.card:
        manifest["card"] = _card(part, bundle.manifest.card.path, manifest)
    (part / bundles.MANIFEST).unlink()  # else the bundle's own would be written: it is the same file
    bundles.write_bundle(part, manifest)
    recognizer = Recognizer.load(part, decoder=weights.engine)
    check_golden(recognizer)
    golden = recognizer.bundle.manifest.golden
    return golden.text, recognizer.transcribe(read_audio(recognizer.bundle.path(golden))).text


def _free(folder: Path, stem: str, ending: str, digest: str) -> str:
    """A name that no file of the folder has: in place, old and new lie side by side for a moment."""
    plain = f"{stem}{ending}"
    return plain if not (folder / plain).exists() else f"{stem}-{digest[:12]}{ending}"


def _card(part: Path, name: str, manifest: Entries) -> Entries:
    """The card with a paragraph of the new model behind it, under a name of its own."""
    told, decoder = manifest["lineage"]["lm"], manifest["decoder"]
    text = (part / name).read_text(encoding="utf-8").partition(f"\n{CARD_HEADING}\n")[0].rstrip()
    text += (
        f"\n\n{CARD_HEADING}\n\n`{told['name']}` (SHA-256 {told['sha256'][:12]}) was attached on {told['attached']}, "
        f"with alpha {decoder['alpha']:g} and beta {decoder['beta']:g}. Error rates with a language model further up "
        "are those of the one before; `earloop evaluate` measures this one.\n"
    )
    (part / "card.part").write_text(text, encoding="utf-8")
    fresh = _free(part, "card", ".md", bundles.sha256(part / "card.part"))
    (part / "card.part").rename(part / fresh)
    return bundles.entry(part, fresh)


def _replace(bundle: Bundle, part: Path) -> None:
    """Move what is new into the bundle, its manifest last, and take out what that no longer names."""
    for name in sorted(_files(bundles.read_manifest(part)) - _files(bundle.manifest)):
        (part / name).replace(bundle.folder / name)
    with appearing(bundle.folder / bundles.MANIFEST) as partial:
        shutil.copyfile(part / bundles.MANIFEST, partial)
    _sweep(bundle, part, bundle.folder)


def _sweep(bundle: Bundle, part: Path, folder: Path) -> None:
    """Take out of `folder` what the bundle's old manifest names and the new one, in `part`, does not."""
    for name in _files(bundle.manifest) - _files(bundles.read_manifest(part)):
        (folder / name).unlink(missing_ok=True)


def _files(manifest: bundles.Manifest) -> set[str]:
    return {file.path for file in manifest.files()}
