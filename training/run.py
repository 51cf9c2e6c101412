"""A run from recipe to bundle, in the order a reader would do it by hand.

gather → pre-flight → decode → fit → export, parity → language model → golden clip, kit → evaluate → card → bundle
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from stt_server.corpus.checks import write_findings_csv
from stt_server.errors import Internal
from stt_server.speech import bundle as bundles
from stt_server.speech.alphabet import Alphabet
from stt_server.speech.features import FeatureRecipe, LogMel
from stt_server.speech.files import read_audio, write_flac
from stt_server.speech.recognizer import Recognizer
from training import checkpoints
from training.batches import frames_of
from training.card import measure, write_card
from training.clips import load_clips
from training.data import gather, surroundings
from training.export import STEP_FRAMES, check_parity, export_onnx, parity, rounded
from training.fit import fit
from training.kit import make_kit
from training.lm import estimate, write_arpa
from training.model import SUBSAMPLING, ConvModel, ConvShape
from training.sentences import SentenceSource, read_sentences, spoken_form
from training.synthetic import HELD_OUT, SAMPLE_RATE, draw_utterance, speak

if TYPE_CHECKING:
    from pathlib import Path

    from stt_server.corpus.clip import Clip
    from training.data import Gathered, Places
    from training.recipe import Recipe
    from training.terminal import Terminal

GOLDEN_TRIES = 400
GOLDEN_WORDS = (2, 5)
PARITY_CLIPS = 3


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe, where its data lies and the folder it leaves: log, findings, checkpoint and `bundle/`."""

    recipe: Recipe
    places: Places
    folder: Path
    terminal: Terminal

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def alphabet(self) -> Alphabet:
        return Alphabet(self.recipe.alphabet)

    @property
    def mel(self) -> LogMel:
        return LogMel(FeatureRecipe(n_mels=self.recipe.features.n_mels))


def run_recipe(run: Run, *, resume: bool = False) -> bundles.Bundle:
    """Train and export. Ctrl-C ends the learning and still exports what was learned."""
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "recipe.json").write_text(run.recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
    train = prepare(run)
    if not _finished(run, resume):
        learn(run, train, resume=resume)
    return export(run, train)


def prepare(run: Run) -> Gathered:
    """The training clips, after a pre-flight whose findings are shown and kept."""
    data = run.recipe.data
    train = gather(data.train, data, run.places, _every(run.terminal, 500, "spoken"))
    write_findings_csv(run.folder / "findings.csv", train.findings)
    errors = sum(finding.is_error for finding in train.findings)
    hours = sum(clip.duration_s or 0.0 for clip in train.clips) / 3600
    listed = run.folder / "findings.csv"
    run.terminal.say(f"{len(train.clips)} clips, {hours:.2f} h; {errors} clips left out, see {listed}")
    return train


def learn(run: Run, train: Gathered, *, resume: bool) -> None:
    """Fit; `last.pt` holds what came of it."""
    recipe, data = run.recipe, run.recipe.data
    dev = gather(data.dev, data, run.places)
    decoded = _every(run.terminal, 2000, "decoded")
    arrays = [
        load_clips(part.clips, part.weights, run.places.cache, lambda done, part=part: decoded(done, len(part.clips)))  # type: ignore[misc]
        for part in (train, dev)
    ]
    interrupted = _Interrupted()
    model = new_model(recipe)
    fit(
        recipe,
        model,
        arrays[0],
        arrays[1],
        run.alphabet,
        run.mel,
        surroundings(data.noise, run.places),
        run.folder,
        run.terminal,
        resume=resume,
        stop=interrupted,
    )


def new_model(recipe: Recipe) -> ConvModel:
    """A model of the recipe's sizes, its weights random."""
    m = recipe.model
    shape = ConvShape(
        recipe.features.n_mels,
        len(recipe.alphabet) + 1,
        m.width,
        m.depth,
        m.kernel,
        m.channels,
        m.expansion,
        m.lookahead,
        m.dropout,
    )
    return ConvModel(shape)


def load_model(path: Path) -> ConvModel:
    """The averaged weights of a checkpoint, in the shape they were trained in."""
    checkpoint = checkpoints.load(path)
    model = ConvModel(ConvShape(**{**checkpoint.shape, "right": tuple(checkpoint.shape["right"])}))
    model.load_state_dict(checkpoint.averaged)
    return model


def export(run: Run, train: Gathered) -> bundles.Bundle:
    """The bundle of `last.pt`, measured as it is served."""
    if run.bundle.exists():
        shutil.rmtree(run.bundle)
    run.bundle.mkdir(parents=True)
    model = rounded(load_model(run.folder / "last.pt"))
    manifest = _export_models(run, model, train)
    if run.recipe.lm:
        write_language_model(run, train.clips, run.bundle / "lm.arpa.gz")
        manifest["lm"] = bundles.entry(run.bundle, "lm.arpa.gz")
        manifest["decoder"] = {"engine": "reference", **run.recipe.lm.model_dump(include={"alpha", "beta", "beam"})}
    if run.recipe.kit.utterances:
        make_kit(run.recipe.kit, _first_text(run), run.bundle / "kit")
        manifest["kit"] = bundles.entry(run.bundle, "kit/manifest.csv")
    manifest["golden"] = choose_golden(run, manifest)
    bundles.write_bundle(run.bundle, manifest)
    manifest["error_rates"] = [asdict(row) for row in measure(run.bundle, gather_tests(run), run.terminal.say)]
    write_card(run.bundle / "card.md", manifest, train.clips, run.recipe)
    manifest["card"] = bundles.entry(run.bundle, "card.md")
    bundle = bundles.write_bundle(run.bundle, manifest)
    run.terminal.say(f"bundle {run.bundle}")
    return bundle


def gather_tests(run: Run) -> list[Clip]:
    """The clips of the recipe's test sources."""
    return gather(run.recipe.data.test, run.recipe.data, run.places).clips if run.recipe.data.test else []


def _export_models(run: Run, model: ConvModel, train: Gathered) -> dict[str, Any]:
    """Both graphs, their parity on real clips, and the manifest as far as the model decides it."""
    fp32, int8 = run.bundle / "model.fp32.onnx", run.bundle / "model.int8.onnx"
    export_onnx(model, fp32, int8)
    chosen = train.clips[:: max(1, len(train.clips) // PARITY_CLIPS)][:PARITY_CLIPS]
    some = load_clips(chosen, [1.0] * len(chosen), run.places.cache)
    features = [frames_of(run.mel, some[i]) for i in range(len(some))]
    shortest = min(len(frames) for frames in features)
    stack = np.stack([frames[:shortest] for frames in features])
    silence = run.mel.recipe.silence
    worst, worst_int8 = check_parity(model, fp32, stack, silence), parity(model, int8, stack, silence)
    run.terminal.say(
        f"largest difference of log-probabilities to torch: fp32 {worst:.1e}, int8 {worst_int8:.2f}"
    )
    return _manifest(run, model, {"fp32": worst, "int8": worst_int8})


def _manifest(run: Run, model: ConvModel, worst: dict[str, float]) -> dict[str, Any]:
    recipe, mel = run.recipe, run.mel.recipe
    features = {name: getattr(mel, name) for name in bundles.Features.model_fields}
    frame_ms = mel.hop_ms * SUBSAMPLING
    return {
        "format": 1,
        "kind": "streaming",
        "name": recipe.name,
        "version": datetime.now(UTC).strftime("%Y%m%d"),
        "language": "en",
        "licence": recipe.licence,
        "features": features,
        "labels": recipe.alphabet,
        "blank": 0,
        "subsampling": SUBSAMPLING,
        "step_frames": STEP_FRAMES,
        "lag_frames": model.shape.lag_frames,
        "right_context_ms": model.shape.lag_frames * frame_ms + mel.window_ms - mel.hop_ms,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "states": {name: list(shape[1:]) for name, shape in model.state_shapes(1).items()},
        "models": {name: bundles.entry(run.bundle, f"model.{name}.onnx") for name in ("fp32", "int8")},
        "lineage": {"recipe": recipe.name, "code": code_version(), "parity": worst, **trained(run.folder / "last.pt")},
    }


def trained(checkpoint: Path) -> dict[str, Any]:
    """How long a checkpoint was trained."""
    progress = checkpoints.load(checkpoint).progress
    return {"steps": progress.step, "epochs": progress.epoch, "training_minutes": round(progress.seconds / 60, 1)}


def code_version() -> str:
    """The commit that trained, or the package's version where there is no checkout."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip() or metadata.version("earloop")


def write_language_model(run: Run, clips: list[Clip], path: Path) -> None:
    """A word n-gram of the recipe's sentences, spoken forms and the transcripts of real clips."""
    lm = run.recipe.lm
    if lm is None:
        raise Internal("the recipe has no language model")
    sentences = [line for name in lm.sentences for line in read_sentences(run.places.text(name))]
    if lm.transcripts:
        sentences += [clip.text for clip in clips if clip.source != "synthetic"]
    dice = random.Random(0)
    sentences += [spoken_form(dice) for _ in range(lm.spoken_forms)]
    write_arpa(estimate(sentences, lm.order, lm.cutoffs), path)


def choose_golden(run: Run, manifest: dict[str, Any]) -> dict[str, str]:
    """A spoken clip of a held-out voice that the exported model writes down without a fault."""
    sentences = _first_text(run)
    source = SentenceSource(list(read_sentences(sentences)) if sentences else [], 0.3 if sentences else 1.0)
    heard, path = "", run.bundle / "golden.flac"
    for index in range(GOLDEN_TRIES):
        utterance = draw_utterance(source, run.recipe.kit.seed + 1, index, HELD_OUT)
        if not GOLDEN_WORDS[0] <= len(utterance.text.split()) <= GOLDEN_WORDS[1]:
            continue
        samples = np.pad(0.5 * speak(utterance), SAMPLE_RATE // 3).astype(np.float32)
        write_flac(path, samples, SAMPLE_RATE)
        golden = {**bundles.entry(run.bundle, "golden.flac"), "text": ""}
        recognizer = Recognizer.load(bundles.write_bundle(run.bundle, {**manifest, "golden": golden}).folder)
        heard = recognizer.transcribe(read_audio(path)).text
        if heard == utterance.text:
            break
    return {**bundles.entry(run.bundle, "golden.flac"), "text": heard}


def _first_text(run: Run) -> Path | None:
    for source in run.recipe.data.train:
        if source.synthetic and source.synthetic.sentences:
            return run.places.text(source.synthetic.sentences)
    return None


def _finished(run: Run, resume: bool) -> bool:
    """Whether a resumed run has nothing left to learn."""
    path = run.folder / "last.pt"
    if not resume or not path.exists():
        return False
    progress = checkpoints.load(path).progress
    minutes = run.recipe.schedule.minutes
    return progress.epoch >= run.recipe.schedule.epochs or (minutes is not None and progress.seconds >= 60 * minutes)


def _every(terminal: Terminal, step: int, what: str) -> Any:
    def tell(done: int, of: int) -> None:
        if done % step == 0 or done == of:
            terminal.say(f"{done} of {of} {what}")

    return tell


class _Interrupted:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop; a second one stops at once."""

    def __init__(self) -> None:
        self.wished = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._wish)

    def __call__(self) -> bool:
        return self.wished

    def _wish(self, _number: int, _frame: object) -> None:
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True
